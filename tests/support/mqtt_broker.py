"""A real MQTT broker on loopback: mosquitto, which tests start, kill and start again."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

WAIT = 10.0


class Broker:
    """``with Broker() as broker: … broker.url``; ``kill`` and ``start`` keep the port.

    ``users`` are name and password pairs; ``rules`` are lines of mosquitto's access list;
    ``largest`` is how many bytes a packet may have.
    """

    def __init__(
        self,
        *,
        users: Sequence[tuple[str, str]] = (),
        rules: Sequence[str] = (),
        largest: int | None = None,
    ) -> None:
        self.program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if self.program is None:
            pytest.skip("no mosquitto here: this test needs a real broker")
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="broker-"))
        lines = [f"listener {self.port} 127.0.0.1", "persistence false", "user root"]
        lines += ["allow_anonymous false" if users else "allow_anonymous true"]
        if largest is not None:
            lines.append(f"max_packet_size {largest}")
        if users:
            secrets = self.folder / "users"
            secrets.write_text("".join(f"{name}:{word}\n" for name, word in users))
            subprocess.run(["mosquitto_passwd", "-U", str(secrets)], check=True)
            lines.append(f"password_file {secrets}")
        if rules:
            (self.folder / "rules").write_text("\n".join(rules) + "\n")
            lines.append(f"acl_file {self.folder / 'rules'}")
        (self.folder / "broker.conf").write_text("\n".join(lines) + "\n")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Run until ``kill``; returns once it listens."""
        self.process = subprocess.Popen(
            [str(self.program), "-c", str(self.folder / "broker.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "mosquitto ended"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError(f"mosquitto does not listen after {WAIT:g} s")

    def kill(self) -> None:
        """End it as a power cut would; what it retained is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder)


class Listener:
    """Everything that a broker sends to a subscriber of all topics, as text."""

    def __init__(self, port: int, **login: str) -> None:
        import paho.mqtt.client as paho

        self.heard: list[tuple[str, str]] = []
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)  # pyright: ignore[reportPrivateImportUsage]
        if login:
            self.client.username_pw_set(login["user"], login["password"])
        self.client.on_connect = self._listen
        self.client.on_message = self._hear
        self.client.reconnect_delay_set(0.1, 0.2)  # pyright: ignore[reportArgumentType]
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _listen(self, client: Any, *_: Any) -> None:
        client.subscribe("#", qos=1)

    def _hear(self, _: Any, __: Any, message: Any) -> None:
        self.heard.append((message.topic, message.payload.decode(errors="replace")))

    def topic(self, name: str) -> list[str]:
        """What was heard of one topic, in order."""
        return [text for topic, text in self.heard if topic == name]

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
