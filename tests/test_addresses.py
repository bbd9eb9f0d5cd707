"""Addresses and other secrets: what is shown of them, everywhere that text is made."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from vadistill import errors
from vadistill.addresses import Address, Secret, is_live, redacted, redacted_words
from vadistill.cli import VERBS, main
from vadistill.errors import VideoError
from vadistill.files import short_names
from vadistill.serving.config import CameraSettings, ServerSettings, Settings, SinkSettings
from vadistill.serving.sinks import build_sink
from vadistill.serving.watching import names
from vadistill.video import open_video

SHOWN = {
    "rtsp://user:hunter2@host/x?token=1": "rtsp://host/…",
    "RTSP://hunter2@host:554/a/b#hunter2": "rtsp://host:554/…",
    "rtsp://u:hunter2@[fe80::1]:554/a": "rtsp://[fe80::1]:554/…",
    "http://host": "http://host",
    "http://host/": "http://host",
    "http://host/hunter2": "http://host/…",
    "rtsp://host/user=admin_password=hunter2_channel=1.sdp": "rtsp://host/…",
    "rtsp://u:hun/ter2@host/x": "rtsp://…",
    "rtsp://u:123?hunter2@host/x": "rtsp://…",
    "rtsp://u:hunter2#@host/x": "rtsp://…",
    "rtsp://admin:Adm!n@2024#@host": "rtsp://…",
    "rtsp:/u:hunter2@host/x": "rtsp://host/…",
    " rtsp:///u:hunter2@host/x": "rtsp://host/…",
    "rtps:/u:hunter2@host/x": "rtps://host/…",
    "u:hunter2@host/x": "…@host/…",
    "admin:Adm!n@2024#@host": "…",
    "u:hun/ter2@host": "…",
    "hunter2@192.0.2.1/x": "…@192.0.2.1/…",
    "host/stream?token=hunter2": "host/…",
    "https://host/x?mail=a@b": "https://…",
    "s3://key:hunter2@bucket/a.mp4": "s3://bucket/…",
    "s3:/bucket/hunter2": "s3://bucket/…",
    "webcam:0": "webcam:0",
    "/dev/video1": "/dev/video1",
    "clips/a@b.mp4": "clips/a@b.mp4",
    "a@b.mp4": "a@b.mp4",
    "boxes:/data/boxes.csv": "boxes:/data/boxes.csv",
    "10:30.mp4": "10:30.mp4",
    "": "",
}


@pytest.mark.parametrize("address", SHOWN)
def test_an_address_is_shown_without_its_secrets(address: str) -> None:
    assert redacted(address) == SHOWN[address]
    assert redacted(SHOWN[address]) == SHOWN[address]


def test_which_addresses_are_live() -> None:
    live = ["rtsp://h/1", "RTSPS://h", "http://h/a", "https://h", "webcam:12", "/dev/video0"]
    assert all(map(is_live, live))
    assert not any(map(is_live, ["a.mp4", "ftp://h/a", "webcam:", "/dev/videos", "", "file:///a"]))


def test_a_secret_is_one_however_it_is_made_text() -> None:
    for secret in (Secret("hunter2"), Address("rtsp://me:hunter2@h")):
        again = pickle.loads(pickle.dumps(secret))
        assert again == copy.deepcopy(secret) == secret and hash(again) == hash(secret)
        made = [
            str(secret),
            repr(secret),
            f"{secret}",
            f"{secret!r:>40}",
            repr([again]),
        ]
        assert "hunter2" in secret.reveal() and "hunter2" not in "".join(made)
        with pytest.raises(TypeError):
            json.dumps(secret)
    assert str(Secret("hunter2")) == str(Secret("x")) == "•••" and not Secret()


# -- every text that is made of an address -------------------------------------------------------

FORMS = (
    "{scheme}://{user}:{password}@host:554/live",
    "{scheme}://{user}:{password}@host/{key}",
    "{scheme}://host:8080/{key}/live?auth={password}",
    "{scheme}://{password}@host",
    "{scheme}:/{user}:{password}@host/live",
    "{user}:{password}@host/live/{key}",
)
SCHEMES = ("rtsp", "rtsps", "rtps", "rtmp", "srt", "udp", "http", "https", "mqtt")
LETTERS = "QXZJqxzj0123456789!#$%&/:;=?@ +~^"
"""Of secrets; what is printed anyway has next to no three of them in a row."""

FOUND = {"user": "admin", "password": "Adm!n@2024#", "key": "QXZ"}

secrets = st.text(LETTERS, min_size=3, max_size=12)
addresses = st.fixed_dictionaries(
    {
        "form": st.sampled_from(FORMS),
        "scheme": st.sampled_from(SCHEMES),
        "user": secrets,
        "password": secrets,
        "key": secrets,
    }
)


def pieces(known: dict[str, str], rest: str) -> set[str]:
    """All three characters in a row of an address's secrets that its rest does not have."""
    found = {
        known[part][i : i + 3]
        for part in ("user", "password", "key")
        if f"{{{part}}}" in known["form"]
        for i in range(len(known[part]) - 2)
    }
    return {piece for piece in found if piece not in rest}


def texts(address: str) -> Iterator[str]:
    """What is made of an address wherever one enters, but for what needs a network."""
    yield redacted(address)
    yield repr(Address(address))
    yield " ".join(redacted_words(["score", address, f"--out={address}"]))
    yield from names([address, address])
    yield from short_names([Path(address), Path(address)])
    camera = CameraSettings("door", Address(address), "m")
    sink = SinkSettings("bell", "webhook", Address(address), secret=Secret(address))
    yield repr([camera, sink, ServerSettings(password=address, token=address)])
    for kind in ("webhook", "mqtt"):
        try:
            yield build_sink(SinkSettings("bell", kind, Address(address))).describe()
        except errors.VadistillError as error:
            yield str(error)
    try:
        yield repr(Settings(sinks=(sink,)))
    except errors.VadistillError as error:
        yield str(error)
    if not is_live(address):
        for source in (address, Path(address)):
            with pytest.raises(VideoError) as caught:
                open_video(source)
            yield str(caught.value)
    if Address(address).scheme or " " not in address:
        yield str(errors.DataError(f"no data set at {Path(address)}", expected="one", fix="look"))


@settings(max_examples=120, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(addresses)
@example(
    {"form": FORMS[0], "scheme": "rtsp", "user": "admin", "password": "Adm!n@2024#", "key": ""}
)
@example({"form": FORMS[5], "scheme": "", "user": "admin", "password": "Adm!n@2024#", "key": "QXZ"})
def test_no_piece_of_a_secret_is_in_any_text(known: dict[str, str]) -> None:
    address = known["form"].format(**known)
    other = known["form"].format(scheme=known["scheme"], user="ä", password="ö", key="ü")
    hidden = pieces(known, other + "".join(texts(other)))
    for text in texts(address):
        found = sorted(piece for piece in hidden if piece in text)
        assert not found, f"{found} of {address!r} in {text!r}"


# -- the command line ------------------------------------------------------------------------------

ADDRESSES = (
    "rtps://admin:QXZ-jqx7@192.0.2.1/live/ZZ9QXj",
    "rtmp://192.0.2.1/live/ZZ9QXj",
    "srt://admin:QXZ-jqx7@192.0.2.1:9000",
    "udp://admin:QXZ jqx7@192.0.2.1:9000",
    "admin:QXZ-jqx7@192.0.2.1/live",
    "admin:QX!Z@jqx7#@192.0.2.1",
    "admin:QXZ/jq x7@192.0.2.1/live",
)
LIVE = (
    "rtsp://admin:QXZ-jqx7@127.0.0.1:1/ZZ9QXj",
    "http://admin:QX%5AZ@127.0.0.1:1/live?auth=jqx7QXj",
)
SECRET = ("QX", "ZZ9", "jqx", "jq x", "x7", "QXj")
COMMANDS = {
    "info": [["{}"], ["{}", "--all"]],
    "data": [["check", "{}"], ["walkway", "{}"], ["features", "{}"]],
    "pretrain": [["{}"], ["x", "--out", "{}"]],
    "extract": [
        *(["{}"], ["{}", "--out", "y"], ["x", "--out={}"], ["x", "--out", "y", "--ray", "{}"]),
    ],
    "fit": [
        *(["motion", "{}"], ["motion", "--data={}"], ["{}"], ["motion", "x", "--recipe", "{}"]),
        *(["auto", "{}"], ["auto", "x", "--out", "{}"], ["auto", "x", "--localiser={}"]),
        ["blend", "x", "--of", "{}", "{}"],
        *(["motion", "x", "--mask", "{}"], ["auto", "x", "--mask={}"]),
    ],
    "selftest": [
        ["m.vad", "--data", "{}"],
        ["{}", "--data", "x"],
        ["m", "--data", "x", "--mask={}"],
    ],
    "score": [
        ["m.vad", "{}"],
        ["{}", "x.mp4"],
        ["m.vad", "x.mp4", "--report", "{}"],
        ["m", "--o={}"],
        ["m.vad", "x.mp4", "--mask", "{}"],
        ["m.vad", "{}", "--ray", "--out", "x"],
        ["m.vad", "x.mp4", "--ray", "{}", "--out", "x"],
        ["m.vad", "x.mp4", "--ray", "--out={}"],
    ],
    "evaluate": [
        ["{}", "--data", "x"],
        ["x", "--data", "{}"],
        ["x", "--data", "x", "--mask", "{}"],
    ],
    "compare": [["{}"], ["x", "{}"]],
    "bench": [["{}", "--video", "x"], ["x", "--video", "{}"]],
    "export": [["{}", "--data", "x", "--out", "y"], ["x", "--data", "{}", "--out", "y"]],
    "weights": [["fetch", "{}"], ["{}"]],
    "reproduce": [["cafe", "--data", "{}"], ["{}"]],
    "watch": [
        ["{}"],
        ["m.vad", "{}"],
        ["x.mp4", "--model", "{}"],
        ["m.vad", "x.mp4", "--mask", "{}"],
        ["{}", "--fsp=3", "--webhok={}"],
        ["rtsp://127.0.0.1:9/x", "--learn", "1h", "--out", "{}"],
        ["rtsp://127.0.0.1:9/x", "--learn={}", "--out", "x"],
    ],
    "serve": [["--settings", "{}"], ["--model", "{}"], ["--footage={}"], ["--hots", "{}"]],
    "demo": [["--out", "{}"], ["{}"]],
}


def test_every_verb_is_tried() -> None:
    assert COMMANDS.keys() == VERBS.keys()


@pytest.mark.parametrize("verb", COMMANDS)
def test_no_verb_says_a_password(
    verb: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    for command in COMMANDS[verb]:
        live = LIVE if command == ["{}"] and verb == "info" else ()
        named = any(word.startswith("-") for word in command)
        for address in (ADDRESSES[:4] if named else ADDRESSES) + live:
            assert main([verb, *(word.replace("{}", address) for word in command)]) == 2
            said = capsys.readouterr()
            everything = said.out + said.err + caplog.text
            assert "Traceback" not in everything
            assert len(said.err.splitlines()) == 1, (command, said.err)
            found = [piece for piece in SECRET if piece in everything]
            assert not found, (command, address, everything)
    assert not [path for path in tmp_path.rglob("*") if any(p in path.name for p in SECRET)]
