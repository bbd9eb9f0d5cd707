"""Scores of other methods, from their files: every form, every level, and what does not fit."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from support.scenes import film
from vadistill.cli import main
from vadistill.datasets import open_dataset
from vadistill.datasets.base import Dataset, Video
from vadistill.errors import ConfigError, DataError
from vadistill.evaluation import compare, load_run, measure_scores
from vadistill.evaluation.evaluate import evaluate
from vadistill.evaluation.given import Given, Level, given_scores
from vadistill.report.report import write_report
from vadistill.score_tables import write_parquet

LENGTHS = {"Test001": 40, "Test002": 50, "Test003": 33}


@pytest.fixture(scope="module")
def test_set() -> Dataset:
    rng = np.random.default_rng(0)
    videos = []
    for name, length in LENGTHS.items():
        labels = np.zeros(length, np.uint8)
        labels[10:20] = 1
        pixels = rng.integers(0, 255, (length, 48, 64, 3), np.uint8)
        videos.append(Video(name, pixels, labels, fps=10.0))
    return Dataset("planted", "test", tuple(videos))


@pytest.fixture(scope="module")
def values(test_set: Dataset) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {v.name: rng.normal(size=len(v.frame_labels)) + v.frame_labels for v in test_set}  # pyright: ignore


def table_of(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    counts = [len(v) for v in values.values()]
    return {
        "video": np.repeat(np.array([*values], object), counts),
        "frame": np.concatenate([np.arange(n) for n in counts]),
        "score": np.concatenate([*values.values()]),
    }


def csv(path: Path, values: dict[str, np.ndarray]) -> None:
    rows = zip(*(column.tolist() for column in table_of(values).values()), strict=True)
    lines = [f"{video}.avi;{frame};{score!r}" for video, frame, score in rows]
    path.write_text("# by hand\nvideo;frame;score\n" + "\n".join(lines) + "\n")


def folder_of(ending: str, write: Callable[[Path, np.ndarray], object]) -> Callable:
    def written(path: Path, values: dict[str, np.ndarray]) -> None:
        path.mkdir()
        (path / "README.md").write_text("not read")
        for name, array in values.items():
            write(path / f"{name}{ending}", array)

    return written


def lines(path: Path, array: np.ndarray) -> None:
    path.write_text("\n".join(map(repr, array.tolist())) + "\n")


def cell(path: Path, values: dict[str, np.ndarray]) -> None:
    held = np.empty((1, len(values)), object)
    held[0, :] = [*values.values()]
    savemat(path, {"scores": held})


def archive(path: Path, values: dict[str, np.ndarray]) -> None:
    """As ``score --ray`` writes it."""
    for number, (name, array) in enumerate(values.items()):
        file = path / f"camera{number % 2}" / f"{name}.avi.parquet"
        write_parquet(file, table_of({name: array}))
    (path / "_manifest.jsonl").write_text('{"file": "camera0/Test001.avi.parquet"}\n')


FORMS: dict[str, Callable[[Path, dict[str, np.ndarray]], None]] = {
    "s.csv": csv,
    "s.parquet": lambda path, values: write_parquet(path, table_of(values)),
    "s.npz": lambda path, values: np.savez(path, **values),  # pyright: ignore[reportArgumentType]
    "s.npy": lambda path, values: np.save(path, np.concatenate([*values.values()])),
    "s.mat": lambda path, values: savemat(path, values),
    "cell.mat": cell,
    "npy": folder_of(".npy", np.save),
    "column": folder_of(".npy", lambda path, array: np.save(path, array[:, None])),
    "txt": folder_of(".txt", lines),
    "lone csv": folder_of(".csv", lines),
    "archive": archive,
    "csv": folder_of(
        ".csv",
        lambda path, array: path.write_text(
            "frame,score\n" + "\n".join(f"{i},{v!r}" for i, v in enumerate(array.tolist()))
        ),
    ),
    "mat": folder_of(".mat", lambda path, array: savemat(path, {"frame_scores": array})),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_figures_of_the_arrays(
    form: str, test_set: Dataset, values: dict[str, np.ndarray], tmp_path: Path
) -> None:
    FORMS[form](tmp_path / form, values)
    found, _ = Given(str(tmp_path / form)).on(test_set)
    for name, array in values.items():
        assert np.array_equal(found[name].raw, array), name
    assert found["Test002"].times[10] == pytest.approx(1.0)


LEVELS = {
    "snippets:16": ([3, 4, 3], lambda i, n, t: min(i // 16, n - 1)),
    "snippets:16 whole": ([2, 3, 2], lambda i, n, t: min(i // 16, n - 1)),
    "segments:8": ([8, 8, 8], lambda i, n, t: int(i * 8 / t)),
    "windows:5": ([36, 46, 29], lambda i, n, t: max(i - 4, 0)),
}


@pytest.mark.parametrize("together", [False, True], ids=["by name", "one array"])
@pytest.mark.parametrize("level", LEVELS)
def test_levels_give_each_frame_its_score(
    level: str, together: bool, test_set: Dataset, tmp_path: Path
) -> None:
    counts, which = LEVELS[level]
    values = {
        n: 100 * k + np.arange(c) for k, (n, c) in enumerate(zip(LENGTHS, counts, strict=True))
    }
    path = tmp_path / ("s.npy" if together else "s.npz")
    FORMS[path.name](path, values)
    found, notes = Given(path, Level.parse(level.split()[0])).on(test_set)
    for name, array in values.items():
        length = LENGTHS[name]
        expected = [array[which(i, len(array), length)] for i in range(length)]
        assert found[name].raw.tolist() == expected
    assert any("frames" in note or "frame" in note for note in notes)
    assert any("Test001 to Test003" in note for note in notes) == together


def test_a_row_a_video_is_taken_in_order(test_set: Dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.arange(96).reshape(3, 32))
    found, _ = Given(tmp_path / "s.npy", Level("segments", 32)).on(test_set)
    assert found["Test002"].raw[[0, -1]].tolist() == [32, 63]


UNFIT: dict[str, tuple[list[int], str, str, str]] = {
    "snippets": ([3, 4, 3], "frame", "Test001 has 3 scores and 40 frames", "snippets:16"),
    "dropped tails": ([5, 6, 4], "frame", "Test001 has 5 scores and 40 frames", "snippets:8"),
    "segments": ([9, 9, 9], "frame", "Test001 has 9 scores and 40 frames", "segments:9"),
    "windows": ([36, 46, 29], "frame", "Test001 has 36 scores and 40 frames", "windows:5"),
    "frames": ([40, 50, 33], "snippets:16", "Test001 has 40 scores and 40 frames", "frame"),
    "one video": ([40, 49, 33], "frame", "Test002 has 49 scores and 50 frames", ""),
    "none": ([40, 0, 33], "frame", "Test002 has 0 scores and 50 frames", ""),
}


@pytest.mark.parametrize("what", UNFIT)
def test_lengths_that_do_not_agree_are_one_line_with_the_option_that_would_fit(
    what: str, test_set: Dataset, tmp_path: Path
) -> None:
    counts, level, said, fits = UNFIT[what]
    values = {name: np.zeros(c) for name, c in zip(LENGTHS, counts, strict=True)}
    np.savez(tmp_path / "s.npz", **values)  # pyright: ignore[reportArgumentType]
    with pytest.raises(DataError) as error:
        Given(tmp_path / "s.npz", Level.parse(level)).on(test_set)
    line = str(error.value)
    assert said in line and "\n" not in line
    assert f"--level {fits} would fit" in line if fits else "--level" not in line
    assert ("may lack a score" in line) == fits.startswith("windows")


def test_an_array_of_all_videos_of_another_length_names_both(
    test_set: Dataset, tmp_path: Path
) -> None:
    np.save(tmp_path / "s.npy", np.zeros(122))
    with pytest.raises(DataError, match="122 scores in 1 arrays, and the 3 test videos 123 frames"):
        Given(tmp_path / "s.npy").on(test_set)


def tables_of(values: dict[str, np.ndarray], header: str, row: Callable[..., str]) -> dict:
    """Text of one CSV a video; ``row`` has its video, frame and score."""
    return {
        f"{name}.csv": "\n".join([header, *(row(name, i, v) for i, v in enumerate(array.tolist()))])
        for name, array in values.items()
    }


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("frame,score", lambda video, frame, score: f"{frame},{score!r}"),
        ("score;time;frame", lambda video, frame, score: f"{score!r};0;{frame}.0"),
        ("Video,Frame,Score", lambda video, frame, score: f"x/{video}.avi,{frame},{score!r}"),
    ],
)
def test_frames_of_a_csv_of_one_video_are_its_order(
    header: str,
    row: Callable[..., str],
    test_set: Dataset,
    values: dict[str, np.ndarray],
    tmp_path: Path,
) -> None:
    for name, text in tables_of(values, header, row).items():
        first, *rest = text.split("\n")
        (tmp_path / name).write_text("\n".join([first, *sorted(rest)]))  # 0, 1, 10, 11, …
    found, _ = Given(tmp_path).on(test_set)
    assert all(np.array_equal(found[name].raw, array) for name, array in values.items())


ROWS = [f"Test002,{frame},0.5" for frame in range(50)]
FAULTY: dict[str, tuple[str, str]] = {
    "twice": ("\n".join(["video,frame,score", *ROWS[:49], ROWS[0]]), "line 51: frame 0 .* twice"),
    "from 1": (
        "\n".join(["frame,score", *(f"{i},0.5" for i in range(1, 51))]),
        "lacks frame 0 of Test002.*count frames from 0",
    ),
    "pictures": ("frame,score\n001.jpg,0.5", "line 2: '001.jpg' is no frame number"),
    "files of pictures": ("file,score\n001.jpg,0.5", "line 2 is of the video '001.jpg'"),
    "another video": (
        "\n".join(["video,frame,score", *ROWS[:7], ROWS[7].replace("Test002", "Test003")]),
        "line 9 is of the video 'Test003'",
    ),
    "another name of frame": ("frame_id,score\n0,0.5", "call frame_id frame"),
    "frames alone": ("frame\n0\n1", "no column score"),
    "a word": ("frame,score\n0,high", "line 2: 'high' is no number"),
    "an empty cell": ("frame,score\n0,0.5\n1,", "line 3: '' is no number"),
    "a comma": ("score\n81,3697", "line 2 has 2 columns.*decimal point.*by commas"),
    "a comma behind a semicolon": ("frame;score\n0;81,3697", "line 2: '81,3697' is no number"),
    "spaces": ("frame score\n0 0.5", "line 2: '0 0.5' is no number.*separate columns by commas"),
    "a short row": ("frame,score\n0,0.5\n1", "line 3 has 1 columns"),
    "not finite": ("0.5\nnan", "line 2: frame 1 of Test002 has the score nan"),
    "no header": ("0,0.5\n1,0.5", "begins with '0,0.5', no column score"),
}


@pytest.mark.parametrize("what", FAULTY)
def test_faults_of_a_csv_of_one_video_are_told_with_the_line(
    what: str, test_set: Dataset, values: dict[str, np.ndarray], tmp_path: Path
) -> None:
    FORMS["csv"](tmp_path / "s", values)
    text, said = FAULTY[what]
    (tmp_path / "s" / "Test002.csv").write_text(text)
    with pytest.raises(DataError, match=f"Test002.csv.*{said}") as error:
        Given(tmp_path / "s").on(test_set)
    assert "\n" not in str(error.value)


def test_an_array_of_all_videos_has_the_level_of_windows_offered(
    test_set: Dataset, tmp_path: Path
) -> None:
    for size in (2, 5):
        np.save(tmp_path / "s.npy", np.zeros(123 - 3 * (size - 1)))
        with pytest.raises(DataError, match=f"--level windows:{size} would fit"):
            Given(tmp_path / "s.npy").on(test_set)
        found, _ = Given(tmp_path / "s.npy", f"windows:{size}").on(test_set)
        assert len(found["Test002"]) == 50


class Planted:
    """Runs when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", ["s.npy", "s.npz", "folder/Test001.npy"])
def test_nothing_pickled_is_read(name: str, test_set: Dataset, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    held = np.array([Planted(tmp_path / "ran")], object)
    np.savez(tmp_path / name, Test001=held) if name == "s.npz" else np.save(tmp_path / name, held)
    with pytest.raises(DataError, match=r"numpy\.savez"):
        Given((tmp_path / name) if "/" not in name else tmp_path / "folder").on(test_set)
    assert not (tmp_path / "ran").exists()
    (tmp_path / "s.pkl").write_bytes(pickle.dumps(held))
    with pytest.raises(DataError, match="no file of scores"):
        Given(tmp_path / "s.pkl").on(test_set)


DAMAGED: dict[str, bytes] = {
    "s.npy": b"\x93NUMPY",
    "s.npz": b"PK\x03\x04",
    "s.mat": b"MATLAB 5.0",
    "s.parquet": b"PAR1",
    "s.csv": b"file,frame,score\nTest001,0,high\n",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_one_line_with_its_name(
    name: str, test_set: Dataset, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(DAMAGED[name])
    with pytest.raises(DataError, match=name):
        Given(tmp_path / name).on(test_set)


def test_absent_and_strange_videos_and_scores_that_are_not_finite(
    test_set: Dataset, values: dict[str, np.ndarray], tmp_path: Path
) -> None:
    np.savez(tmp_path / "s.npz", **values, Test009=np.zeros(4))  # pyright: ignore
    _, notes = Given(tmp_path / "s.npz").on(test_set)
    assert any("no such video: Test009" in note for note in notes)
    np.savez(tmp_path / "s.npz", Test001=np.zeros(40), other=np.zeros(4))
    with pytest.raises(DataError, match=r"no scores of video Test002 and 1 more.*Test001, other"):
        Given(tmp_path / "s.npz").on(test_set)
    np.savez(tmp_path / "s.npz", Test001=np.zeros(40))
    with pytest.raises(DataError, match=r"it has Test001: score the others, too"):
        Given(tmp_path / "s.npz").on(test_set)
    broken = {**values, "Test003": np.where(np.arange(33) == 7, np.nan, 0)}
    np.savez(tmp_path / "s.npz", **broken)  # pyright: ignore[reportArgumentType]
    with pytest.raises(DataError, match="Test003 has the score nan at frame 7"):
        Given(tmp_path / "s.npz").on(test_set)
    for folder in ("one", "two"):
        write_parquet(tmp_path / "tables" / folder / "a.parquet", table_of(values))
    with pytest.raises(DataError, match="'Test001' that has another file"):
        Given(tmp_path / "tables").on(test_set)
    with pytest.raises(DataError, match="check the path"):
        Given(tmp_path / "absent.csv").on(test_set)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="one file a video"):
        Given(tmp_path / "empty").on(test_set)


def test_scores_of_files_are_known_by_their_names(tmp_path: Path) -> None:
    """As of a walkway, whose file test/01.mp4 is the video test_01, and of an archive's scores."""
    names = {"test_01": "01", "02": "test_01x", "c": "02", "d": "same", "e": "same"}
    labels = np.array([0, 0, 1, 1], np.uint8)
    videos = []
    for name, file in names.items():
        (tmp_path / name).mkdir()
        videos.append(Video(name, film(tmp_path / name / f"{file}.mp4", 0, frames=4), labels))
    test = Dataset("x", "test", tuple(videos))
    scored = {name: np.arange(4.0) + i for i, name in enumerate(("01", "02.mp4", "c", "d", "e"))}
    np.savez(tmp_path / "s.npz", **scored)  # pyright: ignore[reportArgumentType]
    made, notes = Given(tmp_path / "s.npz").on(test)
    assert not notes and [made[name].raw[0] for name in names] == [0, 1, 2, 3, 4]
    del scored["d"], scored["e"]
    np.savez(tmp_path / "s.npz", same=np.zeros(4), **scored)  # pyright: ignore
    with pytest.raises(DataError, match="no scores of video d and 1 more"):
        Given(tmp_path / "s.npz").on(test)


def test_files_that_are_called_alike_are_known_by_their_paths(tmp_path: Path) -> None:
    """As ``score --ray`` names them where stems repeat, of which one is no test video."""
    labels = np.array([0, 0, 1, 1], np.uint8)
    videos = []
    for name in ("gate_monday", "door_monday"):
        file = tmp_path / "test" / name.split("_")[0] / "monday.mp4"
        file.parent.mkdir(parents=True)
        videos.append(Video(name, film(file, 0, frames=4), labels))
    test = Dataset("x", "test", tuple(videos))
    for root in (f"{tmp_path}/", ""):
        scored = {f"{root}{part}/gate/monday.mp4": np.arange(4.0) + 4 for part in ("train", "test")}
        scored[f"{root}train/gate/monday.mp4"] += 4
        scored[f"{root}test/door/monday"] = np.arange(4.0)
        write_parquet(tmp_path / "tables" / "all.parquet", table_of(scored))
        made, notes = Given(tmp_path / "tables").on(test)
        assert [made[video.name].raw[0] for video in videos] == [4, 0]
        assert any("no such video" in note and "train/gate/monday.mp4" in note for note in notes)
    for alike in (
        {"monday": np.zeros(4)},
        {"a/gate/monday.mp4": np.zeros(4), "b/x.mp4": np.zeros(4)},
    ):
        write_parquet(tmp_path / "tables" / "all.parquet", table_of(alike))
        with pytest.raises(DataError, match="no scores of video gate_monday"):
            Given(tmp_path / "tables").on(test)


def test_what_is_being_written_is_no_file_of_scores_and_forms_are_not_mixed(
    test_set: Dataset, values: dict[str, np.ndarray], tmp_path: Path
) -> None:
    folder = tmp_path / "tables"
    write_parquet(folder / "a.parquet", table_of(values))
    (folder / ".a.parquet.x1.parquet").touch()
    made, notes = Given(folder).on(test_set)
    assert not notes and set(made) == {video.name for video in test_set}
    np.save(folder / "Test001.npy", np.zeros(4))
    with pytest.raises(DataError, match=r"has Test001.npy and a.parquet"):
        Given(folder).on(test_set)


def test_figures_intervals_runs_comparison_and_report(
    test_set: Dataset, values: dict[str, np.ndarray], tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", **values)  # pyright: ignore[reportArgumentType]
    np.save(tmp_path / "b.npy", np.arange(10))
    given = given_scores(
        [str(tmp_path / "a.npz"), f"b={tmp_path / 'b.npy'}"], ["frame", "snippets:16"]
    )
    results = evaluate([], test_set, ["micro/gaussian3", "ap"], given=given, out=tmp_path / "runs")
    expected = measure_scores(test_set, values, ["micro/gaussian3", "ap"])
    assert results.figures["a"].figures == expected.figures
    assert results.figures["a"]["micro/gaussian3"].low is not None
    runs = [load_run(tmp_path / "runs" / name) for name in ("a", "b")]
    assert len(compare(runs).differences) == 2
    write_report(results, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "snippet of 16 frames" in page and str(tmp_path) not in page


def test_paths_and_names_alone_are_taken_from_python(
    test_set: Dataset, values: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = tmp_path / "one.npz"
    np.savez(path, **values)  # pyright: ignore[reportArgumentType]
    expected = measure_scores(test_set, values, "micro/raw").figures
    for given in (path, str(path), Given(path), {"one": str(path)}, {"one": path}):
        found = evaluate([], test_set, "micro/raw", given=given)
        assert found.figures["one"].figures == expected
    runs = [*evaluate([], test_set, given={"a": path, "b": path}).runs.values()]
    assert [d.protocol for d in compare(runs, "ap").differences] == ["ap/raw"]
    np.save(tmp_path / "b.npy", np.arange(10))
    snippets = {"b": Given(tmp_path / "b.npy", "snippets:16")}
    assert "b" in evaluate([], test_set, ["micro"], given=snippets).figures


SESSION = """
import numpy
import vadistill
from vadistill.evaluation.given import Given, as_given
class FrameDiff: pass
scores = numpy.zeros(4)
for given in ({"t": {"Test001": scores}}, {"Test001": scores}, [1], scores):
    try:
        as_given(given)
    except vadistill.ConfigError as error:
        print(error)
for call in (lambda: Given("s.npy", "clips:4"), lambda: Given("s.npy", 4),
             lambda: vadistill.fit(FrameDiff, "videos/", out="x.vad")):
    try:
        call()
    except vadistill.ConfigError as error:
        print(error)
"""


def test_what_python_cannot_hand_over_is_one_line_each() -> None:
    """In a process of its own, without the tests' checks of types."""
    done = subprocess.run([sys.executable, "-c", SESSION], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *arrays, unknown, number, system = done.stdout.splitlines()
    assert len(arrays) == 4
    assert all("the path of a file" in line and "numpy.savez" in line for line in arrays)
    assert "level 'clips:4'" in unknown and "level '4'" in number
    assert "system FrameDiff" in system and "FrameDiff(Config()).fit(splits.train" in system


def test_boxes_of_a_method_have_region_figures(
    test_set: Dataset, values: dict[str, np.ndarray], tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", **values)  # pyright: ignore[reportArgumentType]
    for folder, rows in (
        ("tracks", [f"1,{i},8,8,23,23" for i in range(10, 20)]),
        ("boxes", [f"{i},8,8,23,23,0.9" for i in range(10, 20)] + ["3,40,40,50,47,0.1"]),
    ):
        (tmp_path / folder).mkdir()
        for name in LENGTHS:
            (tmp_path / folder / f"{name}.txt").write_text("\n".join(rows) + "\n")
    given = given_scores([f"m={tmp_path / 'a.npz'}"], boxes=[f"m={tmp_path / 'boxes'}"])
    assert Given(str(tmp_path / "a.npz"), boxes=str(tmp_path / "boxes")).paths == given["m"].paths
    found = evaluate([], test_set, ["rbdc", "tbdc"], given=given, tracks=tmp_path / "tracks")
    # Every box is found before the first false one.
    assert found.figures["m"]["rbdc"].value == pytest.approx(1.0)
    without = given_scores([f"m={tmp_path / 'a.npz'}"])
    with pytest.raises(DataError, match=r"scores without boxes.*--boxes"):
        evaluate([], test_set, ["rbdc"], given=without, tracks=tmp_path / "tracks")


WRONG = {
    "two of one name": (["a=x.npz", "a=y.npz"], [], [], "two --scores named a"),
    "levels": (["a=x.npz"], ["frame", "frame"], [], "2 levels for 1 --scores"),
    "no such level": (["a=x.npz"], ["clips:4"], [], "level 'clips:4'"),
    "no such size": (["a=x.npz"], ["snippets:0"], [], "level 'snippets:0'"),
    "boxes of none": (["a=x.npz"], [], ["b=boxes"], "--boxes of 'b'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_options_are_one_line(what: str) -> None:
    scores, levels, boxes, said = WRONG[what]
    with pytest.raises(ConfigError, match=said):
        given_scores(scores, levels, boxes)


def test_the_verb_measures_beside_a_model_and_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        Path("set", split).mkdir(parents=True)
        film(Path("set", split, f"{split}.mp4"), 0, frames=40)
    Path("set/labels.csv").write_text("file,start,end\ntest.mp4,10,20\n")
    assert main(["fit", "motion", "set", "--out", "m.vad"]) == 0
    assert main(["score", "m.vad", "set/test/test.mp4", "--out", "s.parquet"]) == 0
    argv = ["evaluate", "m.vad", "--data", "set", "--protocol", "micro/raw"]
    argv += ["--scores", "same=s.parquet", "--out", "runs", "--report", "page.html"]
    assert main(argv) == 0
    capsys.readouterr()
    runs = [load_run(Path("runs", name)) for name in ("m", "same")]
    assert np.array_equal(runs[0].frames.all_scores, runs[1].frames.all_scores)
    alone = ["evaluate", "--data", "set", "--scores", "s.parquet", "--json"]
    assert main(alone) == 0
    assert '"model": "s"' in capsys.readouterr().out
    assert main(["evaluate", "--data", "set"]) == 2
    assert "no model" in capsys.readouterr().err
    assert main(["evaluate", "--data", "set", "--scores", "mine=s.parquet", "m.vad"]) == 2
    assert "m.vad is a model" in (told := capsys.readouterr().err) and "before --data" in told
    assert main(["evaluate", "m.vad", "--data", "set", "--scores", "m=s.parquet"]) == 2
    assert "named m" in capsys.readouterr().err


def test_a_published_list_of_snippets_on_ped2(shared_data: Path, tmp_path: Path) -> None:
    """As many repositories give scores: one array, a value a 16-frame snippet, videos in order."""
    path = shared_data / "ucsd" / "UCSDped2"
    if not path.is_dir():
        pytest.skip("no UCSDped2 among the real data")
    test = open_dataset(path).test
    whole = [np.pad(v.frame_labels, (0, -len(v.frame_labels) % 16), "edge") for v in test]  # pyright: ignore
    snippets = [labels.reshape(-1, 16).mean(1) for labels in whole]
    np.save(tmp_path / "published.npy", np.concatenate(snippets))
    given = given_scores([str(tmp_path / "published.npy")], ["snippets:16"])
    figure = evaluate([], test, ["micro/raw"], given=given).figures["published"]["micro/raw"]
    # The labels themselves, blurred to snippets: nearly all there is.
    assert 0.98 < figure.value < 1 and figure.low is not None
    with pytest.raises(DataError, match="--level snippets:16 would fit"):
        evaluate([], test, given=given_scores([str(tmp_path / "published.npy")]))
