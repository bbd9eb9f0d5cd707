"""What people say of events, and the false alarms that cameras remember for it."""

from __future__ import annotations

from vadistill.serving.live.cameras import Cameras
from vadistill.serving.storage.records import Event, FalseAlarm, Verdict


class Remembering(Cameras):
    """Cameras, and verdicts on their events; raises what ``Cameras`` does."""

    def set_verdict(self, id: int, verdict: Verdict | None) -> Event | None:
        """What a person says of an event; what is like a false alarm is held back from then on.

        None: no such event.
        """
        # Of several marks at a time none is lost: cameras take what is remembered as a whole.
        with self._remembering:
            event = self.store.set_verdict(id, verdict)
            if event is not None:
                self._remember(event)
        if event is not None:
            self.announcer("event", event.as_json())
        return event

    def _remember(self, event: Event) -> None:
        camera = self._camera(event.camera)
        if camera is None or event.verdict != "false":
            self.forget(event.id)
        else:
            self.store.remember(event)
            camera.memory.learn(self.remembered(event.camera))

    def remembered(self, name: str) -> list[FalseAlarm]:
        """False alarms by which a camera holds events back, newest first."""
        found = self._camera(name)
        return [] if found is None else self.store.remembered(name, found.of)

    def forget(self, event: int) -> bool:
        """Hold nothing back for an event any more; False: that was so already."""
        with self._remembering:
            known = self.store.forget(event)
            for camera in self.running() if known else ():
                camera.memory.learn(self.remembered(camera.name))
        return known
