"""Messages to people, by a mail server on loopback and by a web hook of Apprise's own kind."""

from __future__ import annotations

import email
import email.policy
import json
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from support.mqtt_broker import free_port
from support.waiting import until
from support.webhook_receiver import Receiver
from vadistill.addresses import Address
from vadistill.errors import ConfigError
from vadistill.serving import entries
from vadistill.serving.config import SinkSettings
from vadistill.serving.settings_file import read_settings
from vadistill.serving.sinks import SINKS, DeliveryError, Dispatcher, build_sink
from vadistill.serving.storage.store import Message, Store


class Mailbox:
    """Takes every mail."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append(mail)  # pyright: ignore[reportArgumentType]
        return "250 taken"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box, port = Mailbox(), free_port()
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    yield box, port
    server.stop()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data", sinks=["people"])
    yield store
    store.close()


def people(url: str, media: Path | None = None, **more: Any) -> Any:
    sink: Any = build_sink(SinkSettings("people", "apprise", url=Address(url), **more))
    sink.media = media
    return sink


def post(receiver: Receiver) -> str:
    """Apprise's address of a receiver of JSON."""
    return receiver.url.replace("http://", "json://")


def event(store: Store, start: float, camera: str = "door", *, picture: bool = False) -> int:
    """An event that opens and ends, with its picture a moment after it has opened."""
    opened = store.open_event(camera, start, peak=2.25, level=0.5)
    if picture:
        time.sleep(0.3)
        part = store.media / f"{opened.id}.part.jpg"
        part.write_bytes(b"\xff\xd8\xff picture")
        part.replace(store.media / f"{opened.id}.jpg")
    store.close_event(opened.id, end=start + 2, peak=3.0, frames=9)
    return opened.id


def test_an_event_is_one_mail_with_its_picture(store: Store, mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    url = f"mailto://127.0.0.1:{port}?from=box@example.org&to=me@example.org&mode=insecure"
    dispatcher = Dispatcher(store, [people(url, store.media)])
    dispatcher.start()
    event(store, 1767225600.0, picture=True)
    until(lambda: store.pending() == {"people": 0})
    dispatcher.stop()
    (mail,) = box.mails
    assert mail["To"] and "me@example.org" in mail["To"] and mail["Subject"] == "door: unusual"
    text = mail.get_body(("plain", "html"))
    assert text is not None and "score 2.25, events open at 0.5" in text.get_content()
    (picture,) = mail.iter_attachments()
    assert picture.get_content_type() == "image/jpeg"
    assert picture.get_content() == b"\xff\xd8\xff picture"


def test_what_fails_is_told_and_a_test_says_that_it_is_one(store: Store) -> None:
    receiver = Receiver()
    try:
        dispatcher = Dispatcher(store, [people(post(receiver))])
        dispatcher.start()
        now = time.time()
        for kind in ("lost", "back", "failing", "working"):
            part = "camera" if kind in ("lost", "back") else "disk"
            store.notify(kind, part=part, name="door", cause="no answer", since=now)
        store.notify("test", part="sink", name="people", cause="", since=now, sinks=("people",))
        until(lambda: store.pending() == {"people": 0})
        dispatcher.stop()
        told = [body["message"] for body in receiver.bodies()]
        assert [" ".join(text.split()[:4]) for text in told] == [
            "camera door sees nothing", "camera door sees again", "disk door fails since",
            "disk door works again", "This is a test:",
        ]  # fmt: skip
        assert "no answer" in told[0] and "no answer" in told[2]
    finally:
        receiver.close()


def test_further_events_within_the_quiet_minutes_are_counted(store: Store) -> None:
    receiver = Receiver()
    try:
        sink = people(post(receiver), quiet_minutes=10.0)
        for minutes, camera in ((0, "door"), (4, "door"), (5, "yard"), (9, "door"), (11, "door")):
            created = 1767225600.0 + 60 * minutes
            what = {"start": created, "peak": 2.0, "level": 1.0}
            body = {"camera": camera, "event": what, "kind": "opened", "key": f"{minutes}"}
            sink.deliver(Message(1, "people", f"{minutes}", "opened", body, 0, created, 1))
        told = [(body["title"], body["message"]) for body in receiver.bodies()]
        assert [title.split(":")[0] for title, _ in told] == ["door", "yard", "door"]
        assert told[2][1].endswith("2 more since the last message were not told.")
    finally:
        receiver.close()


def test_who_takes_nothing_is_tried_again_and_no_token_is_shown(store: Store) -> None:
    sink = people(f"json://me:hunter2@127.0.0.1:{free_port()}/hunter3")
    assert sink.describe() == "Apprise (json)"
    dispatcher = Dispatcher(store, [sink], backoff=(0.02, 0.1))
    dispatcher.start()
    event(store, 100.0)
    status = until(lambda: dispatcher.status()[0]["failures"] > 1 and dispatcher.status()[0])
    assert status["pending"] == 2 and "did not take it" in status["last_error"]
    assert "hunter" not in json.dumps(status)
    dispatcher.stop()
    body = {"camera": "door", "event": {"start": 0.0, "peak": 1.0, "level": 1.0}}
    with pytest.raises(DeliveryError):
        sink.deliver(Message(1, "people", "k", "opened", body, 0, 0.0, 1))


@pytest.mark.parametrize("url", ["", "nothing", "tgram://", "hunter2://x"])
def test_an_address_that_apprise_does_not_know_is_an_error(url: str) -> None:
    with pytest.raises(ConfigError, match="address of sink 'people'") as told:
        people(url)
    assert "hunter2" not in str(told.value)


def test_a_picture_that_never_comes_is_not_waited_for_long(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vadistill.serving.sinks.base.PICTURE", 0.2)
    receiver = Receiver()
    try:
        sink = people(post(receiver), store.media)
        body = {"camera": "door", "event": {"start": 0.0, "peak": 1.0, "level": 1.0}}
        sink.deliver(Message(1, "people", "k", "opened", body, 0, 0.0, 77))
        assert receiver.bodies()[0]["attachments"] == []
    finally:
        receiver.close()


def test_the_settings_file_knows_every_kind_that_ships(tmp_path: Path) -> None:
    path = tmp_path / "v.toml"
    url = "mailtos://user:password@smtp.example.org?to=me@example.org ntfys://ntfy.sh/topic"
    path.write_text(
        f'[[sink]]\nname = "me"\nkind = "apprise"\nurl = "{url}"\nquiet_minutes = 15.0\n'
    )
    (sink,) = read_settings(path).sinks
    assert sink.url.reveal() == url and build_sink(sink).describe() == "Apprise (mailtos, ntfys)"
    assert set(SINKS) == set(entries.SINKS)
