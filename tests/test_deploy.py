"""What ``deploy/`` holds: every part of it that can run here does; see docs/deploy.md."""

from __future__ import annotations

import itertools
import re
import runpy
import shlex
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from support import rtsp_server
from support.scenes import FPS, film, pixels
from vadistill.cli import main
from vadistill.serving.settings_file import read_settings
from vadistill.video import open_video

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"


class Parsed(Exception):
    """Options were understood; nothing runs."""


def commands() -> list[list[str]]:
    """The arguments of vadistill that the files have, without the program's name."""
    prepare = (DEPLOY / "prepare" / "prepare.sh").read_text(encoding="utf-8")
    unit = (DEPLOY / "vadistill.service").read_text(encoding="utf-8")
    image = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    found = [shlex.split(line) for line in re.findall(r"vadistill ((?:data|fit) .*)", prepare)]
    found += [shlex.split(line) for line in re.findall(r"^ExecStart=\S+ (.*)", unit, re.MULTILINE)]
    found += [
        shlex.split(line.replace(",", " ")) for line in re.findall(r"^CMD \[(.*)\]", image, re.M)
    ]
    return found


def test_every_command_is_one_that_parses(monkeypatch: pytest.MonkeyPatch) -> None:
    import tyro

    parse = tyro.cli

    def parsed(*arguments: Any, **options: Any) -> None:
        parse(*arguments, **options)
        raise Parsed

    monkeypatch.setattr("vadistill.cli.terminal.tyro.cli", parsed)
    assert len(commands()) == 4
    for command in commands():
        with pytest.raises(Parsed):
            main(command)


def test_the_stack_is_of_files_that_are_there() -> None:
    stack = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    assert set(stack["services"]) == {"vadistill", "prepare", "camera", "broker"}
    for service in stack["services"].values():
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        build = service["build"]
        build = build if isinstance(build, dict) else {"context": build, "dockerfile": ""}
        context = DEPLOY / build["context"]
        dockerfile = context / (build["dockerfile"] or "Dockerfile")
        for copied in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile.read_text(), re.M):
            assert all((context / name).exists() for name in copied.split()), copied
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in stack["volumes"] or (DEPLOY / source).is_dir()


def test_settings_watch_the_stack() -> None:
    settings = read_settings(DEPLOY / "prepare" / "vadistill.toml")
    (camera,), (sink,) = settings.cameras, settings.sinks
    assert camera.model == settings.models[0].name
    assert camera.source.reveal() == "rtsp://camera:8554/walkway"
    assert sink.kind == "mqtt"


def joined(folder: Path, out: Path, seconds: float) -> None:
    """What prepare.sh runs, for a shorter film."""
    program = runpy.run_path(str(DEPLOY / "prepare" / "film.py"))
    program["joined"](folder, out, seconds)


def test_the_film_is_its_files_again_and_again(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for seed in (1, 2):
        film(tmp_path / "clips" / f"{seed}.mp4", seed, frames=20)
    joined(tmp_path / "clips", tmp_path / "film.mp4", 3.5)
    source = open_video(tmp_path / "film.mp4")
    frames = list(source)
    assert len(frames) == 80 and source.corrupt_frames == 0
    assert np.allclose([f.time for f in frames], np.arange(80) / FPS, atol=1e-3)
    for index in (0, 19, 20, 39, 40, 79):
        shown = pixels(1 + index // 20 % 2, 20, None)[index % 20]
        assert abs(frames[index].image.astype(int) - shown).mean() < 6
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clips", "film.mp4"]


@pytest.mark.skipif(bool(rtsp_server.missing()), reason=rtsp_server.missing() or "it is there")
def test_the_camera_shows_the_film_at_its_pace(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    film(tmp_path / "clips" / "1.mp4", 1, frames=120)
    joined(tmp_path / "clips", tmp_path / "film.mp4", 60)
    command = [rtsp_server.SYSTEM_PYTHON, str(DEPLOY / "camera" / "camera.py"), "film.mp4", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as camera:
        try:
            assert camera.stdout is not None
            address = f"rtsp://127.0.0.1:{int(camera.stdout.readline())}/walkway"
            frames = list(itertools.islice(open_video(address, name="walkway"), 30))
            assert np.allclose(np.diff([frame.time for frame in frames]), 1 / FPS, atol=2e-3)
        finally:
            camera.kill()
