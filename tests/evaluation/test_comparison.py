"""Runs kept on disk, and comparing them: same frames, same protocols, paired differences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vadistill.cli import main
from vadistill.datasets.base import Dataset, Track, Video
from vadistill.errors import ConfigError, DataError
from vadistill.evaluation import (
    Protocol,
    Run,
    compare,
    load_run,
    measure,
    measure_scores,
    save_run,
    take,
)
from vadistill.evaluation.comparison import video_shares
from vadistill.evaluation.protocol import differences
from vadistill.evaluation.runs import run_facts
from vadistill.reproduce import tables
from vadistill.scores import FrameScore, Scores

FRAMES = 40


def clip(index: int) -> Video:
    """Abnormal in its second half, where one object stands still."""
    labels = (np.arange(FRAMES) >= FRAMES // 2).astype(np.uint8)
    frames = np.flatnonzero(labels)
    boxes = np.tile(np.array([10, 10, 30, 30], np.float32), (len(frames), 1))
    pixels = np.zeros((FRAMES, 48, 64, 3), np.uint8)
    return Video(f"v{index}", pixels, labels, tracks=(Track(0, "cart", frames, boxes),), fps=10.0)


def data_set(count: int = 6) -> Dataset:
    return Dataset("own", "test", tuple(clip(i) for i in range(count)))


def scored(dataset: Dataset, quality: float, seed: int) -> dict[str, Scores]:
    """Scores that lie ``quality`` standard deviations apart, in one box that hits the object."""
    rng = np.random.default_rng(seed)
    found = {}
    for video in dataset:
        assert video.frame_labels is not None
        values = rng.normal(size=FRAMES) + quality * video.frame_labels
        box = np.array([[12, 12, 32, 32]], np.float32)
        frames = [
            FrameScore(i, i / 10, float(v), box, np.array([v], np.float32))
            for i, v in enumerate(values)
        ]
        found[video.name] = Scores(video.name, frames, 10.0)
    return found


def run(name: str, quality: float, seed: int = 0, *protocols: str) -> Run:
    dataset = data_set()
    taken = take(dataset, scored(dataset, quality, seed), name=name)
    return replace(taken, protocols=protocols or ("micro/raw", "rbdc/raw"))


class TestRuns:
    def test_runs_stand_in_a_leaderboard(self, tmp_path: Path):
        for name, quality in (("poor", 0.1), ("good", 3.0)):
            facts = run_facts(device="cpu", command="vadistill evaluate")
            kept = replace(run(name, quality), facts={**facts})
            save_run(kept, tmp_path / name, measure(kept, kept.protocols))
        mark = "results:poor+good layout=ranked metric=auc protocol=micro/raw"
        page = tmp_path / "page.md"
        page.write_text(f"<!-- {mark} -->\n<!-- /results -->\n")
        assert tables.main([str(page), "--results", str(tmp_path)]) == 0
        head, _, best, other = page.read_text().splitlines()[2:-2]
        assert "own AUC micro/raw" in head and "| 1 | good |" in best and "| 2 | poor |" in other
        (tmp_path / "good" / "run.json").write_text("{}")
        with pytest.raises(DataError, match="has no figures"):
            tables.renew(page.read_text(), tmp_path)

    def test_a_run_read_back_has_the_same_figures(self, tmp_path: Path):
        dataset = data_set()
        kept = run("good", 2.0, 1, "micro/average3", "macro", "rbdc", "tbdc")
        found = measure(kept, kept.protocols)
        save_run(kept, tmp_path / "good", found)
        again = load_run(tmp_path / "good")
        assert measure(again, again.protocols) == found
        assert again.fps == kept.fps and again.frames.names == kept.frames.names
        direct = measure_scores(dataset, scored(dataset, 2.0, 1), kept.protocols)
        assert direct == found
        assert 0.5 < found["rbdc"].value < 1 and found["tbdc"].value == pytest.approx(1.0)

    def test_arrays_have_no_boxes(self):
        dataset = data_set()
        arrays = {n: s.raw for n, s in scored(dataset, 1.0, 0).items()}
        assert take(dataset, arrays).regions is None
        with pytest.raises(DataError, match="scores without boxes: expected scored boxes"):
            measure_scores(dataset, arrays, ["rbdc"])

    def test_boxes_need_tracks_or_masks(self):
        bare = tuple(replace(c, tracks=()) for c in data_set())
        dataset = Dataset("own", "test", bare)
        with pytest.raises(DataError, match="no tracks or masks of its abnormal videos"):
            measure_scores(dataset, scored(dataset, 1.0, 0), ["tbdc"])

    @pytest.mark.parametrize("damage", ["absent", "no json", "format", "a frame less"])
    def test_damaged_runs_are_one_line(self, tmp_path: Path, damage: str):
        import pyarrow
        from pyarrow import parquet

        folder = tmp_path / "good"
        save_run(run("good", 1.0), folder)
        facts, table = folder / "run.json", folder / "frames.parquet"
        if damage == "absent":
            facts.unlink()
        elif damage == "no json":
            facts.write_text("{")
        elif damage == "format":
            facts.write_text(facts.read_text().replace('"format": 1', '"format": 9'))
        else:
            rows: pyarrow.Table = parquet.read_table(table)
            parquet.write_table(pyarrow.concat_tables([rows[:5], rows[6:]]), table)
        with pytest.raises(DataError, match="is not a run") as caught:
            load_run(folder)
        assert "\n" not in str(caught.value)


class TestFullNames:
    def test_the_data_set_is_part_of_the_name(self):
        named = Protocol.parse("ucsd_ped2/micro/gaussian3")
        assert (named.dataset, named.name) == ("ucsd_ped2", "micro/gaussian3")
        assert str(named) == "ucsd_ped2/micro/gaussian3"
        assert Protocol.parse("micro/gaussian3").on("ucsd_ped2") == named
        with pytest.raises(ConfigError, match="on avenue: expected a protocol of avenue"):
            named.on("avenue")

    def test_an_evaluation_refuses_another_data_sets_protocol(self):
        dataset = data_set()
        with pytest.raises(ConfigError, match="a protocol of own"):
            measure_scores(dataset, scored(dataset, 1.0, 0), ["avenue/micro/raw"])
        found = measure_scores(dataset, scored(dataset, 1.0, 0), ["own/micro/raw"])
        assert found.full_name(found.figures[0]) == "own/micro/raw"

    def test_boxes_are_not_smoothed(self):
        with pytest.raises(ConfigError, match="rbdc/raw: boxes are not smoothed"):
            Protocol.parse("rbdc/average10")

    def test_a_typo_is_answered_with_the_nearest(self):
        with pytest.raises(ConfigError, match="did you mean 'micro'"):
            Protocol.parse("mikro/raw")

    def test_differences_in_words(self):
        one, other = Protocol.parse("a/micro/raw"), Protocol.parse("b/macro-pad/raw/minmax")
        told = " ".join(differences(one, other))
        assert all(word in told for word in ("data set", "measure", "stretching"))
        assert differences(one, one) == []


class TestCompare:
    def test_the_better_run_is_above_and_equal_runs_are_not(self):
        first, second, twin = run("bad", 0.3), run("good", 2.0, 1), run("twin", 0.3)
        found = compare([first, second, twin], bootstrap=400)
        gaps = {(d.run, d.protocol): d for d in found.differences}
        for protocol in ("micro/raw", "rbdc/raw"):
            better, equal = gaps["good", protocol], gaps["twin", protocol]
            assert better.low is not None and better.low > 0 and better.above == 1
            assert (equal.value, equal.low, equal.high, equal.above) == (0, 0, 0, 0.5)
        own = found.evaluations["good"]["micro"].value - found.evaluations["bad"]["micro"].value
        assert gaps["good", "micro/raw"].value == pytest.approx(own)

    def test_pairing_is_tighter_than_two_intervals(self):
        """Videos of very different difficulty move both runs alike, and the pair cancels that."""
        dataset, found = data_set(8), {}
        for name, extra in (("a", 0.0), ("b", 0.25)):
            scores = {}
            for i, video in enumerate(dataset):
                assert video.frame_labels is not None
                noise = np.random.default_rng(i).normal(size=FRAMES)
                scores[video.name] = noise + (0.2 * i + extra) * video.frame_labels
            found[name] = replace(take(dataset, scores, name=name), protocols=("macro/raw",))
        compared = compare(list(found.values()))
        gap, own = compared.differences[0], compared.evaluations["a"].figures[0]
        assert gap.low is not None and gap.high is not None
        assert own.low is not None and own.high is not None
        assert gap.low > 0 and gap.high - gap.low < 0.5 * (own.high - own.low)

    def test_different_protocols_are_refused_and_explained(self):
        runs = [run("one", 1.0, 0, "micro/average10"), run("two", 1.0, 1, "micro/gaussian3")]
        with pytest.raises(ConfigError) as caught:
            compare(runs)
        told = str(caught.value)
        assert "one reports own/micro/average10 and two reports own/micro/gaussian3" in told
        assert "the smoothing (average10 and gaussian3)" in told
        assert "pass --protocol micro/average10" in told
        assert compare(runs, ["micro/raw"]).differences[0].protocol == "micro/raw"

    def test_more_figures_in_one_run_are_refused_too(self):
        runs = [run("one", 1.0, 0, "micro/raw"), run("two", 1.0, 1, "micro/raw", "ap/raw")]
        with pytest.raises(ConfigError, match="two reports own/ap/raw alone"):
            compare(runs)

    def test_other_frames_are_refused(self):
        one, two = run("one", 1.0), run("two", 1.0)
        flipped = tuple(1 - y for y in two.frames.labels)
        cases = {
            "of own and two of avenue": replace(two, dataset="avenue"),
            "different labels of video v0": replace(
                two, frames=replace(two.frames, labels=flipped)
            ),
            "hold different videos, such as v0": replace(
                two, frames=replace(two.frames, names=("w0", *two.frames.names[1:]))
            ),
        }
        for message, other in cases.items():
            with pytest.raises(DataError, match=message):
                compare([one, other])

    def test_one_run_is_not_enough(self):
        with pytest.raises(ConfigError, match="1 run: expected two or more"):
            compare([run("one", 1.0)])


class TestVerb:
    def test_runs_are_shown_with_their_difference(self, tmp_path: Path, capsys):
        for name, quality in (("bad", 0.3), ("good", 2.0)):
            save_run(run(name, quality, 1), tmp_path / name)
        paths = [str(tmp_path / name) for name in ("bad", "good")]
        assert main(["compare", *paths]) == 0
        shown = capsys.readouterr().out
        assert "own/micro/raw" in shown and "own/rbdc/raw" in shown and "+" in shown
        said = " ".join(shown.split())
        assert "above 0 where the run has more: higher is better" in said and "eer" not in said
        assert "micro: micro AUC; rbdc" in said and "raw: scores as they are" in said
        assert main(["compare", *paths, "--protocol", "micro/gaussian3", "eer/gaussian3"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "higher is better, of eer alone lower" in said
        assert "gaussian3: smoothed by a Gaussian of 3 frames" in said
        assert main(["compare", *paths, "--protocol", "micro/raw", "--videos"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "good: abnormal" in said and "by micro/raw alone (the first micro AUC)" in said
        assert main(["compare", *paths, "--protocol", "micro/raw", "--json"]) == 0
        assert '"against": "bad"' in capsys.readouterr().out

    def test_folders_of_one_name_are_told_apart_by_path(self, tmp_path: Path, capsys):
        for place in ("monday", "tuesday"):
            save_run(run("cafe", 1.0), tmp_path / place / "cafe")
        paths = [str(tmp_path / place / "cafe") for place in ("monday", "tuesday")]
        assert main(["compare", *paths]) == 0
        assert "monday/cafe" in capsys.readouterr().out.replace("\n", "")

    def test_what_is_no_run_is_one_line(self, tmp_path: Path, capsys):
        save_run(run("good", 1.0), tmp_path / "good")
        capsys.readouterr()
        assert main(["compare", str(tmp_path / "good"), str(tmp_path)]) == 2
        told = capsys.readouterr().err
        assert "is not a run" in told and told.count("\n") == 1


class TestVideoShares:
    def test_they_average_to_the_micro_auc_and_name_the_video_that_costs_it(self):
        good, other = run("good", 2.0), run("other", 2.0, 1)
        scores = [s.copy() for s in other.frames.scores]
        scores[3][FRAMES // 2 :] -= 9  # all of its abnormal frames are missed
        bad = replace(other, name="bad", frames=replace(other.frames, scores=tuple(scores)))
        shares = video_shares([good, bad], "micro/average5")
        for each in (good, bad):
            micro = measure(each, ["micro/average5"])["micro/average5"].value
            assert np.mean([s.abnormal[each.name] or 0 for s in shares]) == pytest.approx(micro)
            assert np.mean([s.normal[each.name] or 0 for s in shares]) == pytest.approx(micro)
        worst = min(shares, key=lambda share: share.abnormal["bad"] or 0.0)
        assert worst.video == "v3" and (worst.abnormal["bad"] or 0.0) < 0.1
        assert (worst.abnormal["good"] or 0.0) > 0.8

    def test_a_video_of_one_class_has_one_side(self):
        whole = run("good", 2.0)
        labels = (np.ones(FRAMES, np.uint8), *whole.frames.labels[1:])
        shares = video_shares(
            [replace(whole, frames=replace(whole.frames, labels=labels))], "micro/raw"
        )
        assert shares[0].normal["good"] is None and shares[0].abnormal["good"] is not None

    def test_other_measures_are_no_average_over_videos(self):
        with pytest.raises(ConfigError, match="name one, such as micro/gaussian3"):
            video_shares([run("good", 2.0)], "macro-skip/raw")
