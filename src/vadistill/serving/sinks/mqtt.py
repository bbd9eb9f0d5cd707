"""Messages to an MQTT broker, from which Home Assistant finds the cameras by itself.

Topics, with the prefix "vadistill": ``vadistill/status`` is "online" or "offline" (the broker says
so when the process dies), ``vadistill/CAMERA/availability`` "offline" while a camera sees nothing,
``vadistill/CAMERA/state`` "ON" while an event is open, else "OFF", ``vadistill/CAMERA/event`` the
last message of an event's beginning or end as JSON, ``vadistill/CAMERA/picture`` its JPEG,
``vadistill/CAMERA/clip`` the last message of an event whose clip is there,
``vadistill/CAMERA/score`` the score now and then, ``vadistill/CAMERA/mute`` "ON" while the camera
is muted, ``vadistill/CAMERA/health`` the last message of whether it is seen, and
``vadistill/health`` of another part.  All are retained, with quality of service 1.  "ON" and "OFF"
to ``vadistill/CAMERA/mute/set`` mute it for an hour, and no more.
"""

from __future__ import annotations

import json
import logging
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from vadistill.errors import StorageError, lacking
from vadistill.serving.config import SinkKind, SinkSettings
from vadistill.serving.sinks.base import DeliveryError, Glance, Refused, picture_of, shrunk
from vadistill.serving.sinks.broker import address_of, prefix_of
from vadistill.serving.sinks.discovery import KINDS, command_topic, config_topic, described
from vadistill.serving.storage.records import Message

if TYPE_CHECKING:
    from paho.mqtt.client import Client

log = logging.getLogger("vadistill.serving")

ANSWER = 10.0
"""Seconds that the broker has to acknowledge a message."""
CONNECT = 5.0
"""Seconds for a connection."""
PATIENCE = 2.0
"""Seconds that a message waits for one; then it goes back to the outbox."""
KEEPALIVE = 20
"""Seconds after which a silent connection is probed; the broker gives it up after 1.5 times."""
MUTED = 60.0
"""Minutes that the switch mutes a camera for."""
SCORES = 10.0
"""Seconds between two scores of a camera."""
BACKOFF = (0.5, 15.0)
"""Seconds between tries to connect, at first and at most."""


class Mqtt:
    """One connection, made anew when it is lost; a message has arrived once it is acknowledged."""

    kind: SinkKind = "mqtt"

    def __init__(self, settings: SinkSettings) -> None:
        try:
            import paho.mqtt.client as paho
        except ImportError as error:
            raise lacking("MQTT needs paho-mqtt", "serve") from error
        self._paho, self._protocol = paho, paho.MQTTv5
        self._address, self._port = address_of(settings)
        self._url, self._prefix = settings.url, prefix_of(settings)
        self.name = settings.name
        # The same at each connection: then the last will of the one before comes before "online".
        self._id = f"vadistill-{self.name}-{random.getrandbits(32):08x}"
        self.restored: Callable[[], None] | None = None
        self.media: Path | None = None
        self.mute: Callable[[str, float], object] | None = None
        self.alarmed: Sequence[str] = ()
        """Cameras whose event is open as they are announced first."""
        self._cameras: dict[str, dict[str, str]] = {}
        """Of cameras that were announced, what their topics say of them now, by kind."""
        self._scored: dict[str, float] = {}
        """When each camera's score was sent, in monotonic seconds."""
        self._lock = threading.RLock()
        self._ready, self._lost, self._over = (threading.Event() for _ in range(3))
        self._client: Client | None = None
        self._thread: threading.Thread | None = None
        self._trouble = "not connected yet"
        self._refusals: dict[int, str] = {}
        """What the broker said to messages that it acknowledged but did not take."""

    def start(self) -> None:
        self._thread = threading.Thread(target=self._keep, name=f"mqtt-{self.name}", daemon=True)
        self._thread.start()

    def deliver(self, message: Message) -> None:
        if not self._ready.wait(PATIENCE):
            raise DeliveryError(f"{self.describe()}: {self._trouble}")
        client, camera = self._client, message.body["camera"]
        if client is None:
            raise DeliveryError(f"{self.describe()}: {self._trouble}")
        place = self._prefix if camera is None else f"{self._prefix}/{camera}"
        with self._lock:
            known = camera is None or camera in self._cameras
            alarm = camera if known and message.kind in ("opened", "closed") else None
            if alarm is not None:
                self._cameras[alarm]["state"] = _switch(message.kind == "opened")
        own = message.kind if message.kind in ("clip", "test") else ""
        kind = own or ("event" if message.of_event else "health")
        topics: list[tuple[str, str | bytes]] = [(f"{place}/{kind}", json.dumps(message.body))]
        if alarm is not None:
            topics.append((f"{place}/state", _switch(message.kind == "opened")))
        # Of a camera that was removed nothing is to stay.
        sent = self._publish(client, topics, retain=known)
        # A broker may end the connection for a large message: alarms go without it then.
        picture = None if alarm is None or message.attempts else picture_of(self.media, message)
        if picture is not None:
            with suppress(OSError):  # it was just removed
                sent += self._publish(client, [(f"{place}/picture", shrunk(picture))])
        deadline = time.monotonic() + ANSWER
        while not all(info.is_published() for info in sent):
            if client is not self._client:
                raise DeliveryError(f"{self.describe()}: the connection was lost")
            if time.monotonic() > deadline:
                raise DeliveryError(f"{self.describe()} did not acknowledge in {ANSWER:g} s")
            next(info for info in sent if not info.is_published()).wait_for_publish(0.2)
        refused = [self._refusals.pop(info.mid, None) for info in sent]
        if any(refused):
            raise Refused(f"{self.describe()}: {next(filter(None, refused))}")

    def announce(self, cameras: Sequence[str]) -> None:
        with self._lock:
            gone = self._cameras.keys() - set(cameras)
            new = [camera for camera in cameras if camera not in self._cameras]
            fresh = {c: {"state": _switch(c in self.alarmed)} for c in cameras}
            self._cameras = {c: self._cameras.get(c, fresh[c]) for c in cameras}
            self.alarmed = ()
        client = self._client
        if client is None or not self._ready.is_set():
            return
        # An empty retained message takes back what was retained.
        for camera in gone:
            topics = [f"{self._prefix}/{camera}/{kind}" for kind in KINDS]
            topics.append(config_topic(self._prefix, camera))
            self._publish(client, [(topic, "") for topic in topics])
        for camera in new:
            self._publish(client, self._all_of(camera))

    def show(self, cameras: Mapping[str, Glance]) -> None:
        """Say how cameras are, of what is known; what is said already stays."""
        now, new = time.monotonic(), list[tuple[str, str]]()
        with self._lock:
            for camera in cameras.keys() & self._cameras.keys():
                glance, said = cameras[camera], self._cameras[camera]
                known = {"mute": _switch(glance.muted)}
                if glance.seen is not None:
                    known["availability"] = "online" if glance.seen else "offline"
                if glance.score is not None and now - self._scored.get(camera, -SCORES) >= SCORES:
                    known["score"], self._scored[camera] = f"{glance.score:.4g}", now
                new += [
                    (f"{self._prefix}/{camera}/{kind}", text)
                    for kind, text in known.items()
                    if said.get(kind) != text
                ]
                said |= known
        client = self._client
        if client is not None and self._ready.is_set():
            self._publish(client, new)

    def close(self) -> None:
        self._over.set()
        self._lost.set()
        if self._thread is not None:
            self._thread.join(3.0)

    def describe(self) -> str:
        return str(self._url)

    def _keep(self) -> None:
        """Connect, and again whenever the connection ends, until the sink is closed.

        Each time with a new client: what an old one still had to send would arrive after newer
        messages, and an "opened" that overtakes its "closed" leaves a camera alarmed for ever.
        """
        row = 0
        while not self._over.is_set():
            client = self._built()
            self._lost.clear()
            try:
                client.connect(self._address.hostname or "", self._port, keepalive=KEEPALIVE)
                self._client = client
                client.loop_start()
                self._attend(client)
            except Exception as error:
                self._trouble = getattr(error, "strerror", None) or type(error).__name__
            client.loop_stop()
            was = self._ready.is_set()
            self._ready.clear()
            self._client = None
            if self._over.is_set():
                break
            row = 1 if was else row + 1
            if row == 1:
                log.warning("sink %s: %s: %s", self.name, self.describe(), self._trouble)
            pause = min(BACKOFF[0] * 2 ** min(row - 1, 30), BACKOFF[1])
            self._over.wait(pause * random.uniform(0.8, 1.2))

    def _attend(self, client: Client) -> None:
        """Wait until a connection ends or is refused; say goodbye where the sink is closed."""
        deadline = time.monotonic() + CONNECT
        while not self._over.is_set() and not self._lost.wait(1.0):
            if not self._ready.is_set() and time.monotonic() > deadline:
                self._trouble = "the broker does not answer"
                return
            if self._ready.is_set() and not client.is_connected():
                return
        if self._over.is_set() and client.is_connected():
            for info in self._publish(client, [(f"{self._prefix}/status", "offline")]):
                info.wait_for_publish(1.0)
            client.disconnect()

    def _built(self) -> Client:
        paho = self._paho
        client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,  # pyright: ignore[reportPrivateImportUsage]
            client_id=self._id,
            protocol=self._protocol,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT
        if self._address.scheme == "mqtts":
            client.tls_set_context(ssl.create_default_context())
        if self._address.username:
            client.username_pw_set(
                unquote(self._address.username), unquote(self._address.password or "")
            )
        client.will_set(f"{self._prefix}/status", "offline", qos=1, retain=True)
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_publish, client.on_message = self._acknowledged, self._commanded
        return client

    def _connected(self, client: Any, _: Any, flags: Any, reason: Any, __: Any) -> None:
        if reason.is_failure:
            self._trouble = f"the broker refuses: {reason}"
            if str(reason) == "Unsupported protocol version":
                self._protocol = self._paho.MQTTv311
            self._lost.set()
            return
        self._refusals.clear()
        client.subscribe(command_topic(self._prefix, "+"), qos=1)
        self._publish(client, [(f"{self._prefix}/status", "online")])
        # A broker that started again may have forgotten what it was to retain.
        with self._lock:  # what comes meanwhile is published after
            for camera in self._cameras:
                self._publish(client, self._all_of(camera))
            self._trouble = "the connection was lost"
            self._ready.set()
        log.info("sink %s: connected to %s", self.name, self.describe())
        if self.restored is not None:
            self.restored()

    def _disconnected(self, client: Any, _: Any, flags: Any, reason: Any, __: Any) -> None:
        if reason.is_failure and self._ready.is_set():
            self._trouble = f"the connection was lost ({reason})"
        self._lost.set()

    def _acknowledged(self, client: Any, _: Any, mid: int, reason: Any, __: Any) -> None:
        if reason.is_failure:
            self._refusals[mid] = f"the broker refuses it: {reason}"

    def _commanded(self, client: Any, _: Any, message: Any) -> None:
        """Mute a camera for an hour, or no more.  A command that the broker has kept is an old
        one."""
        camera = message.topic.removeprefix(f"{self._prefix}/").removesuffix("/mute/set")
        wanted = {b"ON": MUTED, b"OFF": 0.0}.get(message.payload)
        if self.mute is None or wanted is None or message.retain or camera not in self._cameras:
            return
        try:
            self.mute(camera, wanted)
        except StorageError as error:
            log.warning("sink %s cannot mute camera %s: %s", self.name, camera, error)
            return
        with self._lock:
            if camera not in self._cameras:  # it was removed meanwhile
                return
            self._cameras[camera]["mute"] = _switch(wanted > 0)
        self._publish(client, [(f"{self._prefix}/{camera}/mute", _switch(wanted > 0))])

    def _publish(
        self, client: Client, messages: Iterable[tuple[str, str | bytes]], *, retain: bool = True
    ) -> list[Any]:
        return [client.publish(topic, text, qos=1, retain=retain) for topic, text in messages]

    def _all_of(self, camera: str) -> list[tuple[str, str]]:
        """A camera's description, and all that is known of it."""
        with self._lock:
            said = dict(self._cameras.get(camera, {}))
        topics = [(f"{self._prefix}/{camera}/{kind}", text) for kind, text in said.items()]
        return [described(self._prefix, camera), *topics]


def _switch(on: bool) -> str:
    return "ON" if on else "OFF"
