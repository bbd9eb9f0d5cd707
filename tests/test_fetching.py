"""Published files: fetched once, checked, kept; and one line that helps where that fails."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from support.file_server import FileServer
from vadistill.errors import WeightsError
from vadistill.fetching import OFFLINE, Published, fetched

CONTENT = bytes(range(256)) * 40
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty cache of a machine that may fetch."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv(OFFLINE)
    return tmp_path / "hub" / "checkpoints"


def get(published: Published, **limits: float) -> Path:
    return fetched(published, what="weights of w", instead="name it as 'w:FILE'", **limits)


def refused(published: Published, says: str, **limits: float) -> str:
    """The one line with which fetching fails."""
    with pytest.raises(WeightsError, match=says) as caught:
        get(published, **limits)
    line = str(caught.value)
    assert "\n" not in line
    assert f"download {published.address} on another machine" in line
    assert f"put it at {published.path}, or name it as 'w:FILE'" in line
    return line


def test_a_file_is_fetched_once_and_lies_where_pytorch_keeps_its_own(cache: Path) -> None:
    with FileServer({"w.pth": CONTENT}) as server:
        for sha, size in ((SHA, len(CONTENT)), (SHA[:8], 10**6)):
            published = Published(f"{server.address}/w.pth", sha, size)
            assert get(published) == published.path == cache / "w.pth"
        assert server.asked == ["w.pth"]
    assert (cache / "w.pth").read_bytes() == CONTENT
    assert (cache / "w.pth").stat().st_mode & 0o044  # as readable as any new file
    assert get(published) == cache / "w.pth"  # its address is gone


def test_what_pytorch_kept_there_is_found(cache: Path) -> None:
    from torch import hub

    assert Path(hub.get_dir()) / "checkpoints" == cache


@pytest.mark.parametrize(
    ("sent", "sha", "size", "says"),
    [
        (CONTENT[:-1], SHA, len(CONTENT), "could not be fetched .its SHA-256 is"),
        (CONTENT, "00" + SHA[2:], len(CONTENT), f"its SHA-256 is {SHA[:16]}…, not 00{SHA[2:16]}…"),
        (CONTENT + b"0", SHA, len(CONTENT), "larger than the 10,240 bytes published"),
        (None, SHA, len(CONTENT), "HTTP Error 404"),
    ],
)
def test_what_is_not_the_published_file_is_not_kept(
    cache: Path, sent: bytes | None, sha: str, size: int, says: str
) -> None:
    with FileServer({"w.pth": sent} if sent else {}) as server:
        refused(Published(f"{server.address}/w.pth", sha, size), says)
    assert list(cache.iterdir()) == []


def test_without_a_network_nothing_waits_and_the_line_says_what_to_put_where(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FileServer({"w.pth": CONTENT}) as server:
        published = Published(f"{server.address}/w.pth", SHA, len(CONTENT))
        monkeypatch.setenv(OFFLINE, "1")
        off = f"w is not on this machine, and fetching is switched off by {OFFLINE}"
        line = refused(published, off)
        assert f"unset {OFFLINE}, or download" in line and "network access" not in line
        assert server.asked == []
        cache.mkdir(parents=True)
        (cache / "w.pth").write_bytes(b"of another release")
        refused(published, "what lies at .*w.pth is another file")
        monkeypatch.setenv(OFFLINE, "0")
        assert get(published).read_bytes() == CONTENT  # in its place
    refused(Published(f"{server.address}/v.pth", SHA), "could not be fetched .*refused")


def test_a_server_that_does_not_answer_is_given_up(cache: Path) -> None:
    start = time.monotonic()
    with FileServer({"w.pth": CONTENT}, stall=60) as server:
        published = Published(f"{server.address}/w.pth", SHA)
        refused(published, "no answer in 0.2 seconds|timed out", patience=0.2)
    with FileServer({"w.pth": CONTENT}, pause=0.1) as server:
        published = Published(f"{server.address}/w.pth", SHA)
        refused(published, "the network is too slow", within=0.3)
        refused(published, "timed out", patience=0.05)
    assert time.monotonic() - start < 30
    assert list(cache.iterdir()) == []
