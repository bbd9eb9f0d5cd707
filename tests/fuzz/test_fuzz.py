"""No input breaks a reader or is passed over: some inputs always, 10,000 with ``-m slow``."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.__main__ import run
from fuzz.inputs import READERS, SCHEDULE, fresh, try_input
from fuzz.judging import judge
from vadistill.errors import DataError

FEW = 300
SEED = 0


@pytest.mark.parametrize("name", READERS)
def test_what_is_valid_is_read(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    assert reader.valid
    for file, data in reader.valid.items():
        with fresh(tmp_path) as folder:
            verdict = judge(reader, reader.place(folder, file, data))
        assert verdict.kind == "read", (file, verdict)


@pytest.mark.parametrize("name", [name for name, reader in READERS.items() if reader.refused])
def test_what_was_once_read_wrong_is_refused(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    for file, data in reader.refused.items():
        with fresh(tmp_path) as folder:
            verdict = judge(reader, reader.place(folder, file, data))
        assert verdict.kind == "refused", (file, verdict)


def test_some_inputs_are_read_or_refused(tmp_path: Path) -> None:
    faults, kinds = [], set()
    for number in range(FEW):
        with fresh(tmp_path) as folder:
            reader, _, verdict = try_input(SEED, number, folder)
        kinds.add((reader.name, verdict.kind))
        if not verdict.good:
            faults.append(f"{number} {reader.name} {verdict.kind}: {verdict.text}")
    assert not faults, "\n".join(faults)
    assert {name for name, _ in kinds} == {reader.name for reader in SCHEDULE}
    assert {kind for _, kind in kinds} == {"read", "refused"}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_inputs_are_read_or_refused() -> None:
    found = run(SEED, range(10_000))
    assert not found.faults, "\n".join(found.faults)
    assert sum(kinds.total() for kinds in found.kinds.values()) == 10_000


def test_a_reader_that_fails_is_found_out(tmp_path: Path) -> None:
    """The judge itself: an error of another kind, one that names nothing, no sense, no end."""

    def refuse(path: Path) -> None:
        raise DataError(f"{path} line 1", expected="another", fix="mend it")

    def forget(path: Path) -> None:
        raise DataError("some file", expected="another", fix="mend it")

    def crash(path: Path) -> None:
        raise KeyError("x")

    def silence(path: Path) -> None:
        raise AssertionError("a row is passed over")

    base = READERS["labels"]
    for read, kind in (
        (refuse, "refused"),
        (forget, "untold"),
        (crash, "crash"),
        (silence, "silent"),
    ):
        reader = type(base)("labels", read, lines=True)
        assert judge(reader, tmp_path / "labels.csv").kind == kind


def test_an_input_is_made_again_by_its_number(tmp_path: Path) -> None:
    made = []
    for _ in range(2):
        with fresh(tmp_path) as folder:
            _, path, _ = try_input(SEED, 7, folder)
            made.append((path.name, path.read_bytes()))
    assert made[0] == made[1]
