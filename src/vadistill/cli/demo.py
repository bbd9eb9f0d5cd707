"""``vadistill demo``: the whole journey on a simulated walkway, in minutes and offline."""

from __future__ import annotations

import functools
import json
import time
import webbrowser
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from vadistill import __version__
from vadistill.cli.outputs import check_outputs
from vadistill.cli.terminal import Device, console, link, parse
from vadistill.errors import ConfigError, WeightsError
from vadistill.files import write_json
from vadistill.progress import clock
from vadistill.report import SELF_TEST_PAGE
from vadistill.simulated.walkway import WalkwayConfig, render_walkway

if TYPE_CHECKING:
    from vadistill.datasets import Dataset, Video
    from vadistill.detector import Detector
    from vadistill.evaluation.selftest import SelfTest
    from vadistill.scores import Scores

HELD = 3
"""Normal videos that are rendered for the self-test, and not learned from."""

EXAMPLES = """
vadistill demo
vadistill demo --quick --open
vadistill demo --seed 1 --out demo-seed1
"""


def run(argv: list[str]) -> None:
    parse(demo, argv, prog="vadistill demo", examples=EXAMPLES)


def demo(
    *,
    out: Annotated[Path, arg(metavar="FOLDER")] = Path("demo"),
    quick: bool = False,
    seed: int = 0,
    open: bool = False,
    device: Device = "auto",
) -> None:
    """Render a simulated walkway, learn from its normal videos, score the others, write a report.

    Nothing is downloaded.  What is finished is kept: an interrupted demo goes on where it was.

    Args:
        out: Folder for everything that is made.
        quick: Fewer, shorter videos and less training: a look at the journey, not at the figures.
        seed: Of the scene, its people and events, and of the training.
        open: Open the report in a browser at the end.
        device: auto takes the GPU where there is one.
    """
    from vadistill.evaluation.evaluate import evaluate
    from vadistill.evaluation.measuring import interval, percent
    from vadistill.evaluation.scoring import smoothing_of
    from vadistill.report.annotate import annotate, write_still
    from vadistill.report.report import write_report

    scene = WalkwayConfig(seed=seed)
    scene = replace(scene, train_clips=scene.train_clips + HELD)
    held = HELD
    plain = {"localiser": "background"}  # the demo fetches nothing
    cafe: dict[str, Any] = {"recipe": "demo", "seed": seed, **plain}
    if quick:
        scene, held = replace(scene, train_clips=2, test_clips=3, frames=90), 0
        cafe |= {"frames": 120, "epochs": 4, "consistency_after": 2}
    check_outputs([], folders=[("--out", out)])
    settle(out, quick, seed)
    print_to = console()
    print_to.print(
        "[bold]vadistill demo[/]  a simulated walkway, learned from normal video alone\n"
    )

    splits = step("render", lambda: render_walkway(out / "walkway", scene))
    learned = len(splits.train) - held
    train, spare = (
        replace(splits.train, videos=videos)
        for videos in (splits.train.videos[:learned], splits.train.videos[learned:])
    )
    models: dict[str, Detector] = {}
    for name, settings in {"cafe": cafe, "motion": plain}.items():
        work = functools.partial(fitted, name, train, out, settings, device)
        models[name] = step(f"fit {name}", work)
    command = f"vadistill demo --seed {seed}{' --quick' * quick}"
    results = step(
        "evaluate", lambda: evaluate(models, splits.test, device=device, command=command)
    )
    results = replace(results, facts={**results.facts, "vadistill": __version__, "seed": seed})
    report, video = out / "report.html", out / "annotated.mp4"
    shown = clearest(splits.test, results.scores["cafe"])
    scores = results.scores["cafe"][shown.name]
    step("report", lambda: write_report(results, report))
    step("video", lambda: annotate(shown, scores, video))
    write_still(out / "demo.png", video, shown, scores)

    tested = None
    if held:
        folder = out / "cafe.vad"
        tested = step("self-test", lambda: self_tested(models["cafe"], folder, spare, train))
        print_to.print(
            f"\n  {tested.summary}\n  [dim]This is what a user's own footage, without a label, "
            f"tells: {held} videos of the\n  walkway that were not learned from, with anomalies "
            f"planted into them. Below stands\n  what is true of the labelled videos.[/]"
        )
    print_to.print("\n  [dim]AUC % over all test frames (95 % interval)[/]")
    for name, found in results.figures.items():
        form = smoothing_of(models[name])
        best, raw = found[f"micro/{form}"], found["micro/raw"]
        speed = results.facts["frames per second"][name]
        print_to.print(
            f"  [bold]{name:<8}{percent(best.value):>5}[/] ({interval(best)})"
            f"  [dim]{form}; raw {percent(raw.value)}; {speed:.0f} frames/s{NOTES[name]}[/]"
        )
    print_to.print()
    print_to.print(f"report  {link(report)}", soft_wrap=True)
    print_to.print(f"video   {link(video)}", soft_wrap=True)
    if tested is not None:
        pictures = link(out / "cafe.vad" / SELF_TEST_PAGE)
        print_to.print(f"plants  {pictures}", soft_wrap=True)
    print_to.print("next    vadistill fit cafe YOUR_NORMAL_VIDEOS/ --out yours.vad", soft_wrap=True)
    if open:
        webbrowser.open(link(report))


NOTES = {"cafe": "", "motion": "; the baseline without weights"}


def settle(out: Path, quick: bool, seed: int) -> None:
    """Remember what this folder is a demo of, so that a second run only goes on with its own."""
    wanted = {"seed": seed, "quick": quick, "version": __version__}
    note = out / "demo.json"
    try:
        found = json.loads(note.read_text())
    except (FileNotFoundError, ValueError):
        found = None
    if found is None and out.is_dir() and any(out.iterdir()):
        raise ConfigError(
            f"{out} is not empty and holds no demo", expected="a new folder", fix="pass --out"
        )
    if found is not None and found != wanted:
        raise ConfigError(
            f"{out} holds another demo ({', '.join(f'{k} {v}' for k, v in found.items())})",
            expected="the same settings, to go on",
            fix=f"delete {out} or pass --out",
        )
    write_json(note, wanted)


def step(label: str, work: Callable[[], Any]) -> Any:
    """Do one part of the demo and print its line."""
    started = time.monotonic()
    result = work()
    console().print(f"  {label:<14}[dim]{clock(time.monotonic() - started):>8}[/]")
    return result


def fitted(
    name: str, train: Dataset, out: Path, settings: dict[str, Any], device: Device
) -> Detector:
    """Fit a system, go on with a fit that was interrupted, or load it if it is finished."""
    from vadistill.systems import fit, load

    folder = out / f"{name}.vad"
    try:
        return load(folder, device=device)
    except WeightsError:
        return fit(name, train, out=folder, device=device, overwrite=True, **settings)


def self_tested(model: Detector, folder: Path, held: Dataset, train: Dataset) -> SelfTest:
    """The self-test of a model, on videos that it did not learn from, with its page of pictures."""
    from vadistill.evaluation.selftest import self_test
    from vadistill.report.self_test import write_self_test

    found = self_test(model, held, train)
    found.save(folder)
    write_self_test(found, folder / SELF_TEST_PAGE)
    return found


def clearest(test: Dataset, scores: Mapping[str, Scores]) -> Video:
    """The test video to show: of those with a frame that was caught, the one of the highest AUC."""
    from vadistill.evaluation import micro_auc
    from vadistill.report.annotate import catches

    def clear(video: Video) -> tuple[bool, float]:
        labels, own = video.frame_labels, scores[video.name]
        if labels is None or len(set(labels.tolist())) < 2:
            return False, 0.0
        found = micro_auc({video.name: labels}, {video.name: own.values})
        return len(catches(video, own)) > 0, found

    return max(test, key=clear)
