"""Where a server's events are sent: its sinks, which may be changed while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from vadistill.errors import ConfigError
from vadistill.serving.config import Settings, SinkSettings, changed
from vadistill.serving.fitting import Fitting
from vadistill.serving.sinks import SINKS, Dispatcher, build_sink


class Sending(Fitting):
    """Cameras, their models, and sinks; raises what ``Cameras`` does, ConfigError for a sink."""

    def __init__(self, settings: Settings, path: Path | None) -> None:
        sinks = [build_sink(sink) for sink in settings.sinks if sink.enabled]
        super().__init__(settings, path)
        self.store.sinks = tuple(sink.name for sink in sinks)
        self._dispatcher = Dispatcher(self.store, sinks, media=self.store.media, mute=self.mute)

    def _keep(self, settings: Settings) -> None:
        super()._keep(settings)
        self._dispatcher.announce([camera.name for camera in settings.cameras])

    def sinks(self) -> list[dict[str, Any]]:
        """Where events are sent, and how that goes; nothing that is secret."""
        known = {sink["name"]: sink for sink in self._dispatcher.status()}
        return [
            {
                **(known.get(sink.name) or _off(sink)),
                "prefix": sink.prefix,
                "quiet_minutes": sink.quiet_minutes,
                "enabled": sink.enabled,
                "signed": bool(sink.secret),
            }
            for sink in self.settings.sinks
        ]

    def add_sink(self, sink: SinkSettings) -> None:
        """Send events there, too, from now on; raises ConfigError."""
        with self._changing:
            settings = replace(self.settings, sinks=(*self.settings.sinks, sink))
            _check_kind(sink)
            self._serve(sink, lambda: self._keep(settings))

    def change_sink(self, name: str, **changes: Any) -> bool:
        """Change some settings of a sink; what waits goes to where it is now, and is dropped where
        it is turned off.  False: no such sink.  Raises ConfigError."""
        with self._changing:
            for old in self.settings.sinks:
                if old.name == name:
                    break
            else:
                return False
            if "url" in changes:
                _check_kind(old)
            new = changed(old, **changes)
            sinks = tuple(new if sink is old else sink for sink in self.settings.sinks)
            settings = replace(self.settings, sinks=sinks)
            self._serve(new, lambda: self._keep(settings))
            return True

    def remove_sink(self, name: str) -> bool:
        """Send nothing there any more, nor what waits; False: no such sink."""
        with self._changing:
            kept = tuple(sink for sink in self.settings.sinks if sink.name != name)
            if kept == self.settings.sinks:
                return False
            self._keep(replace(self.settings, sinks=kept))
            self._leave(name)
            return True

    def test_sink(self, name: str) -> bool:
        """Send it a message that is a test; False: no such sink, or it is off."""
        known = name in self.store.sinks
        if known:
            told = f"test of sink {name}"
            self.store.notify(
                "test", part="sink", name=name, cause=told, since=time.time(), sinks=(name,)
            )
        return known

    def _serve(self, sink: SinkSettings, keep: Callable[[], None]) -> None:
        """Send to a sink as it is now, once that is kept in the file."""
        made = build_sink(sink) if sink.enabled else None
        keep()
        if made is None:
            self._leave(sink.name)
            return
        self._dispatcher.remove(sink.name)
        # Before it learns which events are open, so that the end of each is queued for it.
        self.store.sinks = (*(n for n in self.store.sinks if n != sink.name), sink.name)
        self._dispatcher.add(made, [camera.name for camera in self.settings.cameras])

    def _leave(self, name: str) -> None:
        self.store.sinks = tuple(n for n in self.store.sinks if n != name)
        self._dispatcher.remove(name)
        self.store.forget_sink(name)


def _check_kind(sink: SinkSettings) -> None:
    """Raise for a sink of another package: what its address may reach is not known."""
    if sink.kind not in SINKS:
        raise ConfigError(
            f"a sink of kind '{sink.kind}'",
            expected=f"one of {', '.join(SINKS)}",
            fix="name it in the settings file",
        )


def _off(sink: SinkSettings) -> dict[str, Any]:
    """What is shown of a sink that nothing is sent to, or nothing for a moment."""
    try:
        where = build_sink(sink).describe()
    except Exception:  # another package's may raise anything
        where = sink.kind
    counts = {"pending": 0, "delivered": 0, "failures": 0, "last_error": None}
    state = "stopped" if sink.enabled else "off"
    return {"name": sink.name, "kind": sink.kind, "describe": where, "state": state, **counts}
