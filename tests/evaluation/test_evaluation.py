"""Frame-level figures against scikit-learn and by hand, intervals, records and tables."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from vadistill.datasets.base import Dataset, Video
from vadistill.errors import ConfigError, DataError
from vadistill.evaluation import (
    Protocol,
    average_precision,
    bootstrap,
    eer,
    load_run,
    macro_auc,
    measure,
    measure_scores,
    micro_auc,
    pr_auc,
    save_run,
    take,
)
from vadistill.evaluation.alignment import Aligned, align
from vadistill.evaluation.runs import portable_command, run_facts
from vadistill.reproduce import tables
from vadistill.reproduce.records import Record, load_records, over_seeds, write_records
from vadistill.scores import FrameScore, Scores

RECORD = Record(
    system="cafe",
    variant="quick",
    dataset="ucsd_ped2",
    metric="auc",
    protocol="micro/average10",
    value=0.9712,
    low=0.951,
    high=0.983,
    paper=0.983,
    seeds=(0,),
    device="cpu x2",
    seconds=1710,
    command="vadistill reproduce cafe --quick",
    commit="abc1234",
    date="2026-11-21",
)


def videos(count: int = 12, seed: int = 0, step: float = 0.0) -> tuple[dict, dict]:
    """Labels and scores; the last video is all normal; ``step`` > 0 rounds scores, making ties."""
    rng = np.random.default_rng(seed)
    labels, scores = {}, {}
    for i in range(count):
        y = np.zeros(120 + 10 * i, np.uint8)
        if i < count - 1:
            y[30 : 60 + 5 * i] = 1
        s = rng.normal(size=len(y)) + 1.2 * y + 0.3 * i
        labels[f"v{i}"] = y
        scores[f"v{i}"] = np.round(s / step) * step if step else s
    return labels, scores


def data_set(labels: dict) -> Dataset:
    clips = tuple(Video(n, np.zeros((len(y), 2, 2, 3), np.uint8), y) for n, y in labels.items())
    return Dataset("planted", "test", clips)


def pooled(labels: dict, scores: dict) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate(list(labels.values())), np.concatenate(list(scores.values()))


class TestFigures:
    def test_pooled_figures_are_scikit_learns(self):
        labels, scores = videos()
        y, s = pooled(labels, scores)
        precision, recall, _ = metrics.precision_recall_curve(y, s)
        assert micro_auc(labels, scores) == pytest.approx(metrics.roc_auc_score(y, s))
        assert average_precision(labels, scores) == metrics.average_precision_score(y, s)
        assert pr_auc(labels, scores) == pytest.approx(metrics.auc(recall, precision))

    def test_lists_and_dicts_agree(self):
        labels, scores = videos()
        listed = micro_auc(list(labels.values()), list(scores.values()))
        assert listed == micro_auc(labels, dict(reversed(scores.items())))

    def test_average_precision_and_pr_auc_differ(self):
        labels, scores = [[1, 0, 1]], [[3.0, 2.0, 1.0]]
        # Thresholds pass (recall, precision) (1/2, 1), (1/2, 1/2), (1, 2/3).
        assert average_precision(labels, scores) == pytest.approx(0.5 + 0.5 * 2 / 3)
        assert pr_auc(labels, scores) == pytest.approx(0.5 + 0.5 * (1 / 2 + 2 / 3) / 2)

    @pytest.mark.parametrize(
        ("labels", "scores", "expected"),
        [
            ([0, 0, 1, 1], [1, 2, 3, 4], 0.0),
            ([0, 1, 0, 1], [1, 2, 3, 4], 0.5),
            ([1, 1, 0, 0], [1, 2, 3, 4], 1.0),
            ([0, 1], [1, 1], 0.5),
        ],
    )
    def test_eer_by_hand(self, labels: list, scores: list, expected: float):
        assert eer([labels], [scores]) == pytest.approx(expected)

    def test_macro_modes_by_hand(self):
        labels = [[0, 1, 0, 1], [0, 1], [1, 1, 1], [0, 0]]
        scores = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0], [1.0, 2.0, 3.0], [1.0, 3.0]]
        assert macro_auc(labels, scores) == ((0.75 + 1) / 2, 2)
        assert macro_auc(labels, scores, "one") == ((0.75 + 1 + 1 + 1) / 4, 0)
        # Padded: normal 0 2/3 | 0 against abnormal 1/3 1 | 1; 0|0 against 1|1; 0 alone against
        # 0 1/2 1 | 1; 0 1 | 0 against 1 alone.  Pairs in order, a tie one half:
        padded = [(1 + 0 + 1 + 6) / 9, 4 / 4, (0.5 + 1 + 1 + 1) / 4, (1 + 0.5 + 1) / 3]
        assert macro_auc(labels, scores, "pad").value == pytest.approx(np.mean(padded))

    def test_a_constant_video_is_chance_when_padded(self):
        value, _ = macro_auc([[0, 1], [0, 1]], [[5.0, 5.0], [1.0, 2.0]], "pad")
        # Constant scores become 0: normal 0 0 against abnormal 0 1 has two ties, two in order.
        assert value == pytest.approx((0.75 + 1) / 2)


class TestWrongInput:
    def test_unequal_lengths_name_the_video_and_both(self):
        labels, scores = videos(3)
        scores["v1"] = scores["v1"][:-4]
        with pytest.raises(DataError, match="v1 has 126 scores and 130 frame labels"):
            micro_auc(labels, scores)

    def test_nan_names_the_video_and_frame(self):
        labels, scores = videos(3)
        scores["v2"][[7, 9]] = np.nan
        with pytest.raises(DataError, match=r"v2 has the score nan at frame 7 \(2 such"):
            micro_auc(labels, scores)

    def test_one_class(self):
        with pytest.raises(DataError, match="2 videos with normal frames only"):
            micro_auc([[0, 0], [0]], [[1.0, 2.0], [3.0]])
        with pytest.raises(DataError, match="a test set of 1 videos with no frame:"):
            micro_auc([[]], [[]])
        with pytest.raises(DataError, match=r"one class only.*macro-pad"):
            macro_auc([[0, 0], [1]], [[1.0, 2.0], [3.0]])

    def test_labels_that_are_no_labels(self):
        with pytest.raises(DataError, match="frame label 255"):
            micro_auc([[0, 255]], [[1.0, 2.0]])

    def test_missing_scores_and_labels(self):
        labels, scores = videos(4)
        dataset = data_set(labels)
        with pytest.raises(DataError, match="no scores of video v1 and 1 more"):
            measure_scores(dataset, {n: scores[n] for n in ("v0", "v2")})
        bare = tuple(replace(clip, frame_labels=None) for clip in dataset)
        with pytest.raises(DataError, match="no frame labels of any video"):
            measure_scores(Dataset("own", "test", bare), scores)
        with pytest.raises(DataError, match="no frame labels of video v0"):
            measure_scores(Dataset("own", "test", (bare[0], *dataset.videos[1:])), scores)

    def test_messages_are_one_line(self):
        with pytest.raises(DataError) as caught:
            micro_auc({}, {})
        assert "\n" not in str(caught.value)


class TestProtocol:
    @pytest.mark.parametrize(
        ("given", "name", "metric"),
        [
            ("micro/average10", "micro/average10", "auc"),
            ("macro-pad/gaussian3", "macro-pad/gaussian3", "auc"),
            ("macro/causal5", "macro-skip/causal5", "auc"),
            ("ap", "ap/raw", "ap"),
            ("pr_auc/raw", "pr_auc/raw", "pr_auc"),
            ("eer/raw", "eer/raw", "eer"),
            ("micro/gaussian3/minmax", "micro/gaussian3/minmax", "auc"),
            ("micro/minmax", "micro/raw/minmax", "auc"),
        ],
    )
    def test_names(self, given: str, name: str, metric: str):
        protocol = Protocol.parse(given)
        assert (str(protocol), protocol.metric) == (name, metric)
        assert Protocol.parse(name) == protocol

    @pytest.mark.parametrize(
        "name", ["", "auc", "micro/", "micro/gauss3", "micro/minmax/raw", "micro/raw/raw", "ap/avg"]
    )
    def test_unknown_names(self, name: str):
        with pytest.raises(ConfigError):
            Protocol.parse(name)

    def test_smoothing_stays_within_a_video_and_minmax_comes_after(self):
        protocol = Protocol.parse("micro/average3/minmax")
        np.testing.assert_allclose(protocol.apply(np.array([0.0, 3, 0, 0])), [1, 1, 1, 0])

    def test_minmax_changes_micro_but_not_a_videos_own_order(self):
        labels, scores = videos()
        measured = measure_scores(
            data_set(labels), scores, ["micro/raw", "micro/raw/minmax", "macro", "macro/raw/minmax"]
        )
        values = [figure.value for figure in measured.figures]
        assert values[0] != pytest.approx(values[1], abs=1e-3)
        assert values[2] == pytest.approx(values[3])
        assert any("cannot run live" in note for note in measured.notes)


MEASURES = ["micro", "macro", "macro-pad", "macro-one", "ap", "pr_auc", "eer"]


def repeated(data: Aligned, drawn: np.ndarray) -> tuple[list, list]:
    """The resample spelt out: every video as often as it was drawn."""
    index = np.repeat(np.arange(len(data)), drawn)
    return [data.labels[i] for i in index], [data.scores[i] for i in index]


class TestBootstrap:
    @given(
        st.lists(
            st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4)), max_size=12),
            min_size=2,
            max_size=6,
        ).filter(lambda vs: len({y for v in vs for y, _ in v}) == 2)
    )
    @settings(max_examples=40, deadline=None)
    def test_a_resample_is_the_figure_of_the_repeated_videos(self, drawn_videos: list):
        data = align(
            [[y for y, _ in v] for v in drawn_videos],
            [[float(s) for _, s in v] for v in drawn_videos],
        )
        drawn = bootstrap.draws(len(data), 8, seed=1)
        found = {
            micro_auc: bootstrap.auc_resamples(data, drawn),
            average_precision: bootstrap.curve_resamples(data, drawn, bootstrap.step_precision),
            pr_auc: bootstrap.curve_resamples(data, drawn, bootstrap.trapezoid_precision),
            eer: bootstrap.curve_resamples(data, drawn, bootstrap.equal_error),
        }
        for figure, values in found.items():
            for counts, value in zip(drawn, values, strict=True):
                labels, scores = repeated(data, counts)
                if len(np.unique(np.concatenate(labels))) < 2:
                    assert np.isnan(value)
                else:
                    assert value == pytest.approx(figure(labels, scores), abs=1e-12)

    def test_intervals_hold_the_value_and_depend_on_the_seed_alone(self):
        labels, scores = videos(step=0.25)
        dataset, names = data_set(labels), [f"{m}/raw" for m in MEASURES]
        first = measure_scores(dataset, scores, names, bootstrap=300, seed=3)
        assert first == measure_scores(dataset, scores, names, bootstrap=300, seed=3)
        assert first != measure_scores(dataset, scores, names, bootstrap=300, seed=4)
        for figure in first.figures:
            assert figure.low is not None and figure.high is not None
            assert figure.low < figure.value < figure.high

    def test_one_class_resamples_are_counted(self):
        labels = {"a": [1, 1], "b": [0, 0]}
        dataset = data_set({n: np.array(y, np.uint8) for n, y in labels.items()})
        measured = measure_scores(
            dataset, {"a": np.ones(2), "b": np.zeros(2)}, ["micro"], bootstrap=400
        )
        skipped = measured["micro"].resamples_skipped
        assert 140 < skipped < 260  # half of them draw one video twice
        assert any(f"{skipped} of 400 resamples" in note for note in measured.notes)
        assert (measured["micro"].low, measured["micro"].high) == (1, 1)

    def test_one_video_has_no_interval(self):
        labels, scores = videos(2)
        only = data_set({"v0": labels["v0"]})
        measured = measure_scores(only, scores, ["micro/raw"])
        assert measured["micro"].low is None and measured.resamples == 0
        assert any("no intervals" in n for n in measured.notes)
        assert any("1 videos that the test set lacks" in n for n in measured.notes)

    def test_ped2_sized_sets_take_seconds(self):
        rng = np.random.default_rng(0)
        labels = {f"v{i}": (np.arange(168) > 40).astype(np.uint8) for i in range(12)}
        scores = {name: rng.normal(size=168) for name in labels}
        start = time.monotonic()
        measure_scores(data_set(labels), scores, [f"{m}/average10" for m in MEASURES])
        assert time.monotonic() - start < 10  # about 1 s; generous for busy machines


class TestEvaluate:
    def test_scores_objects_count_from_raw(self):
        labels, scores = videos(3)
        made = {
            n: Scores(n, [FrameScore(i, i / 25, float(v)) for i, v in enumerate(s)], 25.0).smooth(
                "average10"
            )
            for n, s in scores.items()
        }
        dataset = data_set(labels)
        both = [measure_scores(dataset, s, ["micro/raw", "micro/causal5"]) for s in (scores, made)]
        assert both[0] == both[1]
        assert both[0]["micro"].value != both[0]["micro/causal5"].value

    def test_facts_and_papers_figures(self):
        labels, scores = videos()
        measured = measure_scores(
            data_set(labels), scores, ["micro/raw", "macro"], paper={"macro": 0.9}, bootstrap=0
        )
        assert (measured["macro"].paper, measured["micro"].paper) == (0.9, None)
        assert measured["macro"].videos_skipped == 1
        assert measured.videos == 12 and measured.frames == sum(map(len, labels.values()))
        assert measured["micro"].low is None
        assert json.loads(json.dumps(measured.to_json()))["figures"][0]["protocol"] == "micro/raw"
        with pytest.raises(KeyError):
            measured["ap/raw"]


class TestVideoLabels:
    """Test sets whose labels are of whole videos."""

    def own(self) -> tuple[Dataset, dict[str, np.ndarray]]:
        nothing = np.zeros((3, 2, 2, 3), np.uint8)
        kinds = {"a": 0, "b": 1, "c": 0, "d": 1}
        clips = [Video(name, nothing, video_label=label) for name, label in kinds.items()]
        tops = {"a": 0.2, "b": 0.9, "c": 0.5, "d": 0.4}
        scores = {n: np.array([0.1, top, 0.0]) for n, top in tops.items()}
        return Dataset("own", "test", tuple(clips), supervision="weak"), scores

    def test_a_videos_highest_score_counts(self, tmp_path: Path):
        dataset, scores = self.own()
        measured = measure_scores(dataset, scores, ["video/raw"], bootstrap=50)
        assert measured["video"].value == 0.75  # one of four pairs is the wrong way round
        assert measured["video"].low is not None and measured["video"].metric == "auc"
        assert (measured.abnormal_videos, measured.abnormal_frames) == (2, None)
        assert any("nothing is measured of when" in note for note in measured.notes)
        save_run(take(dataset, scores), tmp_path / "run")
        kept = load_run(tmp_path / "run")
        assert kept.frames.of_videos
        assert measure(kept, ["video/raw"], bootstrap=50).figures == measured.figures

    def test_smoothing_comes_first(self):
        dataset, scores = self.own()
        scores = {n: np.repeat(s, 3) for n, s in scores.items()}
        scores["d"][0] += 0.5  # a single frame
        measured = measure_scores(dataset, scores, ["video/raw", "video/average3"])
        assert [figure.value for figure in measured.figures] == [1.0, 0.75]

    def test_frames_cannot_be_measured(self):
        dataset, scores = self.own()
        with pytest.raises(DataError, match="micro/average3 of data set own, whose labels are of"):
            measure_scores(dataset, scores, ["video", "micro/average3"])
        with pytest.raises(DataError, match="no scores of video a"):
            measure_scores(dataset, {"b": np.ones(3)}, ["video"])
        mixed = replace(dataset.videos[0], frame_labels=np.zeros(3, np.uint8))
        with pytest.raises(DataError, match="no frame labels of video b"):
            measure_scores(replace(dataset, videos=(mixed, *dataset.videos[1:])), scores, ["video"])

    def test_frame_labels_do_too(self):
        labels, scores = videos()
        with pytest.raises(DataError, match="all 2 videos are of one class"):
            measure_scores(data_set({n: labels[n] for n in ("v0", "v1")}), scores, ["video"])
        labels["v0"][:] = 0
        tops = [(bool(y.any()), scores[name].max()) for name, y in labels.items()]
        pairs = [(a, b) for x, a in tops for y, b in tops if x and not y]
        share = np.mean([(a > b) + 0.5 * (a == b) for a, b in pairs])
        assert measure_scores(data_set(labels), scores, ["video"])["video"].value == pytest.approx(
            share
        )


class TestRecords:
    def test_round_trip_and_replacement(self, tmp_path: Path):
        path = tmp_path / "cafe.json"
        write_records(path, [RECORD, replace(RECORD, seeds=(1,))])
        write_records(path, [replace(RECORD, value=0.5, low=None, high=None)])
        values = [(r.value, r.seeds) for r in load_records(path)]
        assert values == [(0.5, (0,)), (0.9712, (1,))]

    def test_a_run_is_listed_once_and_a_record_is_a_line(self, tmp_path: Path):
        path = tmp_path / "cafe.json"
        later = replace(RECORD, system="motion", commit="bbbbbbb", note="“a” – b")
        records = [RECORD, replace(RECORD, seeds=(1,)), later, replace(RECORD, seeds=(2,))]
        write_records(path, records)
        values = json.loads(path.read_text())
        assert values["runs"] == [RECORD.run, later.run]
        assert [record["run"] for record in values["records"]] == [0, 0, 1, 0]
        assert len(path.read_text().splitlines()) == 2 + 4 + 3
        assert load_records(path) == records

    def test_committed_files_are_read_and_written_alike(self, tmp_path: Path):
        committed = sorted((Path(__file__).parents[2] / "benchmarks" / "results").glob("*.json"))
        assert len(committed) >= 16
        for path in committed:
            records = load_records(path)
            assert records
            write_records(tmp_path / path.name, records)
            assert (tmp_path / path.name).read_text() == path.read_text(), path.name

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"value": "high"}, r"record 0 of r.json has value = 'high': expected a valid number"),
            ({"value": 97.1}, "has auc = 97.1: expected a share"),
            ({"value": True}, "value = True"),
            ({"low": 0.99}, "interval from 0.99 to 0.983"),
            ({"seeds": 0}, "has seeds = 0: expected a valid array"),
            ({"seeds": [0.5]}, r"has seeds.0 = 0.5: expected a valid integer"),
            ({"value": float("nan")}, "expected a finite number"),
            ({"date": "21.11.2026"}, "YYYY-MM-DD"),
            ({"colour": "red"}, "a field 'colour'"),
            ({"paper": "none"}, "has paper = 'none': expected a valid number"),
            ({"run": 1}, "r.json is no results file .IndexError"),
        ],
    )
    def test_damaged_records(self, tmp_path: Path, change: dict, message: str):
        path = tmp_path / "r.json"
        record = {"run": 0, **RECORD.to_json(), **change}
        run = {name: record.pop(name) for name in RECORD.run}
        path.write_text(json.dumps({"runs": [run], "records": [record]}))
        with pytest.raises(DataError, match=message):
            load_records(path)

    def test_missing_field_and_no_json(self, tmp_path: Path):
        path = tmp_path / "r.json"
        values = RECORD.to_json()
        del values["protocol"]
        path.write_text(json.dumps({"runs": [RECORD.run], "records": [{"run": 0, **values}]}))
        with pytest.raises(DataError, match=r"record 0 of r\.json lacks 'protocol'"):
            load_records(path)
        path.write_text(json.dumps([RECORD.to_json()]))
        with pytest.raises(DataError, match=r"r\.json is no results file"):
            load_records(path)
        path.write_text("[{")
        with pytest.raises(DataError, match="cannot be read as JSON"):
            write_records(path, [RECORD])
        assert path.read_text() == "[{"

    def test_seeds_become_mean_and_deviation(self):
        same = [replace(RECORD, seeds=(i,), value=v) for i, v in enumerate((0.9, 0.92, 0.94))]
        (one,) = over_seeds(same)
        assert (one.value, one.std, one.seeds) == (
            pytest.approx(0.92),
            pytest.approx(0.02),
            (0, 1, 2),
        )
        assert one.seconds == 3 * 1710 and over_seeds([RECORD]) == [RECORD]

    def test_run_facts_make_a_record(self):
        facts = run_facts(device="cpu", command="vadistill fit cafe --data /home/me/my videos")
        assert facts["device"].startswith("cpu x") and "/home" not in facts["command"]
        assert Record.from_json({**RECORD.to_json(), **facts}).commit == facts["commit"]

    @pytest.mark.parametrize(
        ("command", "expected"),
        [
            ("a --data /x/y/Ped2/ --out runs/a", "a --data Ped2 --out runs/a"),
            ("a --localiser boxes:/x/b.csv", "a --localiser boxes:b.csv"),
            ("a boxes:/x/b.csv,/x/c.csv", "a boxes:b.csv,c.csv"),
            ("a --data=~/b/c", "a --data=c"),
            ("a rtsp://camera/1", "a rtsp://camera/1"),
        ],
    )
    def test_commands_lose_their_folders(self, command: str, expected: str):
        assert portable_command(command) == expected


class TestTables:
    RECORDS = (
        RECORD,
        replace(RECORD, system="motion", variant="", value=0.922, paper=None, std=0.004),
        replace(RECORD, metric="fps", protocol="", value=24.31, low=None, high=None, paper=None),
    )

    def test_long(self):
        lines = tables.markdown_table(self.RECORDS).splitlines()
        assert lines[2].startswith(
            "| cafe | quick | ucsd_ped2 | AUC micro/average10 | 97.1 | 95.1 – 98.3 | 98.3 | 0 |"
        )
        assert "| 92.2 ± 0.4 |" in lines[3] and "| frames/s | 24.3 | – | – |" in lines[4]

    def test_wide(self):
        head, rule, *rows = tables.markdown_table(self.RECORDS, "wide").splitlines()
        assert head == (
            "| system | variant | ucsd_ped2 AUC micro/average10 | paper | ucsd_ped2 frames/s |"
        )
        assert rule == "| --- | --- | --: | --: | --: |"
        assert rows[0] == "| cafe | quick | 97.1 (95.1 – 98.3) | 98.3 | 24.3 |"
        assert rows[1] == "| motion |  | 92.2 ± 0.4 (95.1 – 98.3) | – | – |"

    def test_ranked(self, tmp_path: Path):
        others = (
            replace(RECORD, system="second", value=0.95),
            replace(RECORD, system="as good", value=0.95),
            replace(RECORD, system="best", value=0.99, date="2026-11-21"),
            replace(RECORD, system="cafe", variant="quick", value=0.5, date="2026-01-01"),
        )
        write_records(tmp_path / "one.json", self.RECORDS[:1])
        write_records(tmp_path / "two.json", others)
        mark = "<!-- results:one+two layout=ranked metric=auc -->\n<!-- /results -->"
        head, _, *rows = tables.renew(mark, tmp_path).strip().splitlines()[2:-2]
        assert head.startswith("|  | system | variant | ucsd_ped2 AUC micro/average10 | 95 % |")
        places = [tuple(cell.strip() for cell in row.split("|")[1:3]) for row in rows]
        # An older figure of the same measurement, in another file, is not a row.
        assert places == [("1", "best"), ("2", "cafe"), ("3", "second"), ("3", "as good")]
        for wrong in (self.RECORDS, [replace(RECORD, metric="eer")], [self.RECORDS[2]]):
            with pytest.raises(DataError, match="a ranking of"):
                tables.markdown_table(wrong, "ranked")

    def test_rich(self):
        from rich.console import Console

        console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
        console.print(tables.rich_table([replace(RECORD, variant="[bold]x")]))
        assert "[bold]x" in console.export_text()

    def test_marks_are_renewed_and_checked(self, tmp_path: Path, capsys: pytest.CaptureFixture):
        results, readme = tmp_path / "results", tmp_path / "README.md"
        write_records(results / "cafe.json", self.RECORDS)
        readme.write_text(
            "before\n<!-- results:cafe layout=wide metric=auc|ap -->\n"
            "old\n<!-- /results -->\nafter\n"
        )
        arguments = [str(readme), "--results", str(results)]
        assert tables.main([*arguments, "--check"]) == 1
        assert "old" in readme.read_text() and "stale" in capsys.readouterr().err
        assert tables.main(arguments) == 0
        text = readme.read_text()
        assert "97.1" in text and "24.3" not in text and "old" not in text
        assert text.startswith("before\n<!-- results:cafe") and text.endswith("-->\nafter\n")
        assert tables.main([*arguments, "--check"]) == 0
        write_records(results / "cafe.json", [replace(RECORD, value=0.96)])
        assert tables.main([*arguments, "--check"]) == 1

    def test_a_document_without_tables_is_never_stale(self, tmp_path: Path):
        (tmp_path / "house.md").write_text("no table here\n")
        assert tables.main([str(tmp_path / "house.md"), "--check"]) == 0

    def test_a_document_shows_the_mean_of_all_seeds(self, tmp_path: Path):
        seeds = [replace(RECORD, seeds=(n,), value=v) for n, v in ((7, 0.94), (8, 0.96))]
        write_records(tmp_path / "cafe.json", seeds)
        for layout in ("wide", "long"):
            mark = f"<!-- results:cafe layout={layout} -->\n<!-- /results -->"
            assert "95.0 ± 1.4" in tables.renew(mark, tmp_path)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("<!-- results:cafe -->\nx", "1 opening and 0 closing"),
            ("<!-- results:none -->\n<!-- /results -->", "cannot be read"),
            ("<!-- results:cafe color=red -->\n<!-- /results -->", "says 'color=red'"),
            ("<!-- results:cafe dataset=x -->\n<!-- /results -->", "filters that some record"),
        ],
    )
    def test_wrong_marks(self, tmp_path: Path, text: str, message: str):
        write_records(tmp_path / "cafe.json", [RECORD])
        with pytest.raises(DataError, match=message):
            tables.renew(text, tmp_path)


def test_what_has_no_boxes_has_no_region_figures() -> None:
    clip = Video("a", np.zeros((4, 8, 8, 3), np.uint8), np.array([0, 1, 1, 0], np.uint8), fps=5)
    run = take(Dataset("x", "test", (clip,)), {"a": np.arange(4.0)})
    assert run.measurable(["micro/raw", "rbdc/raw", "tbdc/raw"]) == ["micro/raw"]
