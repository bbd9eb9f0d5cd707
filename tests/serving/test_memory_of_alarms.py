"""False alarms that are remembered hold back what is like them, and nothing else."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from support import scenes
from support.serving_scene import camera, fitted, scene_settings, served
from support.waiting import until
from vadistill.addresses import Address
from vadistill.levels import Level
from vadistill.objects.likeness import OVERLAP, iou
from vadistill.scores import NO_TRAITS, FrameScore
from vadistill.serving.hub import Hub
from vadistill.serving.live import memory
from vadistill.serving.live.memory import LONGEST, Memory, Way, kind
from vadistill.serving.live.places import Counting
from vadistill.serving.storage.false_alarms import MOST
from vadistill.serving.storage.records import Event, FalseAlarm, Place, Step, Trail
from vadistill.serving.storage.store import Store
from vadistill.video import VideoWriter

LEVEL = Level(2.0, 1.0, "fixed")
BOX = (0.2, 0.2, 0.4, 0.6)
REASON = "moves 2.5 times as fast"
KIND = "moves # times as fast"
TRAITS = (2.0, 0.5)


def moved(by: float) -> tuple[float, ...]:
    return (BOX[0] + by, BOX[1], BOX[2] + by, BOX[3])


def alarm(*steps: Step, event: int = 7, reasons: tuple[str, ...] = (KIND,)) -> FalseAlarm:
    return FalseAlarm(event, "door", Trail(steps, reasons), 0.0, 0, None)


ALARM = alarm(Step(BOX, 5.0, ()))
TRAITED = alarm(Step(BOX, 5.0, TRAITS))


def frame(
    *found: tuple[tuple[float, ...], float], reason: str = REASON, traits: Any = ()
) -> FrameScore:
    """A frame of 100x100 with these boxes, in shares of it, their scores, and their traits."""
    boxes = 100 * np.array([box for box, _ in found], np.float32).reshape(-1, 4)
    values = np.array([value for _, value in found], np.float32)
    own = np.array(traits, np.float32).reshape(len(found), -1) if len(traits) else NO_TRAITS
    return FrameScore(0, 0.0, float(values.max()), boxes, values, reason=reason, traits=own)


def counted(
    score: FrameScore, *alarms: FalseAlarm, radius: float | None = 1.0
) -> tuple[float, list[int]]:
    """What counts of a frame, and the events that held something of it back."""
    held: list[int] = []
    memory = Memory(lambda event, _: held.append(event), radius)
    memory.learn(list(alarms or (ALARM,)))
    counting = Counting(camera("x"), 0.25, memory)
    return counting(score, (100, 100), LEVEL, 10.0)[0].score, held


class TestLikenessByTraits:
    def counted(self, *args: Any, **more: Any) -> tuple[float, list[int]]:
        return counted(frame(*args, **more), TRAITED)

    @pytest.mark.parametrize("traits", [TRAITS, (2.9, 0.5), (1.1, -0.4)])
    def test_the_same_again_is_held_back_whatever_its_reason(self, traits: tuple[float, ...]):
        for reason in (REASON, ""):
            assert self.counted((moved(0.05), 4.5), reason=reason, traits=traits) == (0.25, [7])

    @pytest.mark.parametrize("traits", [(3.1, 0.5), (0.9, 0.5), (2.0, 1.6), (2.0, -0.6)])
    def test_another_thing_at_the_same_place_is_told(self, traits: tuple[float, ...]):
        assert self.counted((BOX, 4.5), traits=traits) == (4.5, [])

    def test_so_is_what_is_elsewhere_of_another_size_or_higher(self):
        small = (0.2, 0.2, 0.28, 0.36)
        for found in ((moved(0.12), 4.5), (small, 4.5), (BOX, 5.5)):
            assert self.counted(found, traits=TRAITS) == (pytest.approx(found[1]), [])

    def test_of_several_objects_each_is_looked_at(self):
        two = (moved(0.5), 4.8), (BOX, 4.5)
        score, held = self.counted(*two, traits=(TRAITS, TRAITS))
        assert score == pytest.approx(4.8) and held == []
        far = alarm(Step(moved(0.5), 5.0, TRAITS), event=8)
        assert counted(frame(*two, traits=(TRAITS, TRAITS)), TRAITED, far) == (0.25, [8, 7])
        other = frame(*two, traits=(TRAITS, (2.0, 2.0)))
        assert counted(other, TRAITED, far)[0] == pytest.approx(4.5)

    def test_without_a_radius_they_are_not_compared(self):
        beside = frame((moved(0.05), 4.5), traits=TRAITS)
        assert counted(beside, TRAITED, radius=None) == (4.5, [])
        other = frame((BOX, 4.5), traits=(9.0, 9.0))
        assert counted(other, TRAITED, radius=None) == (0.25, [7])

    def test_what_a_member_of_a_blend_does_not_see_is_missing_in_both(self):
        nothing = float("nan")
        partly = alarm(Step(BOX, 5.0, (2.0, nothing)))
        assert counted(frame((BOX, 4.5), traits=(2.5, nothing)), partly) == (0.25, [7])
        assert counted(frame((BOX, 4.5), traits=(2.5, 0.5)), partly) == (4.5, [])
        assert counted(frame((BOX, 4.5), traits=(2.5, nothing)), TRAITED) == (4.5, [])


class TestWhereItWasLower:
    """An alarm rang at the door, and its way led through the room."""

    door, room = Step(moved(0.5), 9.0, TRAITS), Step(BOX, 3.0, TRAITS)

    @pytest.mark.parametrize("traits", [TRAITS, ()])
    def test_a_place_of_its_way_holds_back_what_it_was_there(self, traits: tuple[float, ...]):
        known = alarm(*(step._replace(traits=traits) for step in (self.door, self.room)))
        assert counted(frame((BOX, 2.9), traits=traits), known) == (0.25, [7])
        assert counted(frame((BOX, 3.5), traits=traits), known) == (3.5, [])
        assert counted(frame((moved(0.5), 8.9), traits=traits), known) == (0.25, [7])


class TestLikenessWithoutTraits:
    def counted(self, score: FrameScore, *alarms: FalseAlarm) -> tuple[float, list[int]]:
        return counted(score, *alarms)

    def test_the_same_again_is_held_back(self):
        assert self.counted(frame((BOX, 4.5))) == (0.25, [7])
        assert self.counted(frame((moved(0.03), 4.5))) == (0.25, [7])

    @pytest.mark.parametrize(
        "score",
        [
            frame((moved(0.05), 4.5)),  # elsewhere
            frame(((0.2, 0.2, 0.28, 0.36), 4.5)),  # smaller
            frame(((0.1, 0.1, 0.6, 0.9), 4.5)),  # larger
            frame((BOX, 5.5)),  # higher
            frame((BOX, 4.5), reason="comes from where nothing comes from"),
            frame((BOX, 4.5), reason=""),
        ],
    )
    def test_what_is_unlike_is_told(self, score: FrameScore):
        assert self.counted(score) == (score.score, [])

    def test_something_else_beside_it_is_told(self):
        for other in (4.9, 3.0):
            score, held = self.counted(
                frame((BOX, 4.5 if other < 4 else 4.95), (moved(0.5), other))
            )
            assert score == pytest.approx(other) and held == []

    def test_of_several_the_highest_alone_has_a_reason(self):
        assert self.counted(frame((moved(0.5), 4.8), (BOX, 4.5)))[0] == pytest.approx(4.8)
        # The other one is at the alarm's place, but nobody knows why it is high.
        far = alarm(Step(moved(0.5), 5.0, ()), event=8)
        score, held = self.counted(frame((moved(0.5), 4.8), (BOX, 4.5)), ALARM, far)
        assert score == pytest.approx(4.5) and held == []
        silent = alarm(*ALARM.trail.steps, reasons=("",))
        assert self.counted(frame((moved(0.5), 4.8), (BOX, 4.5)), silent, far) == (0.25, [8, 7])

    def test_an_event_that_had_a_reason_is_unlike_what_has_none(self):
        """Frames without one are in nearly each event's way."""
        mixed = alarm(*ALARM.trail.steps, reasons=("", KIND))
        score, held = self.counted(frame((moved(0.5), 4.8), (BOX, 4.5)), mixed)
        assert score == pytest.approx(4.8) and held == []
        far = alarm(Step(moved(0.5), 5.0, ()), event=8)
        score, held = self.counted(frame((moved(0.5), 4.8), (BOX, 4.5)), mixed, far)
        assert score == pytest.approx(4.5) and held == []
        assert self.counted(frame((BOX, 4.5), reason=""), mixed) == (4.5, [])
        assert self.counted(frame((BOX, 4.5)), mixed) == (0.25, [7])

    def test_below_the_level_nothing_changes(self):
        assert self.counted(frame((BOX, 0.9))) == (pytest.approx(0.9), [])
        assert self.counted(frame((BOX, 1.5))) == (0.25, [])

    def test_what_would_not_have_rung_is_no_merit_of_it(self):
        """Masks, or a score that opens no event, have put it aside before."""
        other = (moved(0.5), 3.0)
        held: list[int] = []
        memory = Memory(lambda event, _: held.append(event))
        memory.learn([ALARM])
        masked = replace(camera("x"), masks=(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)),))
        both = frame((BOX, 4.5), (moved(0.5), 0.5))
        for level, settings in ((LEVEL, masked), (Level(5.0, 1.0, "fixed"), camera("x"))):
            made, _ = Counting(settings, 0.25, memory)(both, (100, 100), level, 10.0)
            assert made.score == pytest.approx(0.5) and held == []
        assert self.counted(frame((BOX, 4.5), other))[1] == []
        assert self.counted(frame((BOX, 4.5), (moved(0.5), 0.5))) == (pytest.approx(0.5), [7])

    def test_nothing_that_overlaps_by_half_is_left_out(self):
        rng = np.random.default_rng(0)
        first = rng.uniform(0, 0.3, (1000, 2))
        boxes = np.concatenate([first, first + rng.uniform(0.05, 0.4, (1000, 2))], 1)
        scores = rng.uniform(0, 1, 1000)
        steps = memory.Steps([Step(tuple(b), s, ()) for b, s in zip(boxes, scores, strict=True)])
        alike = (iou(steps.boxes, steps.boxes) >= OVERLAP) & (scores >= 0.5)
        assert alike.sum() > 5_000
        for box, own in zip(steps.boxes, alike, strict=True):
            assert set(np.flatnonzero(own)) <= set(steps.reach(box, 0.5))

    def test_a_full_memory_is_soon_looked_through(self):
        """As many steps as there can be, and a crowd of which each is high."""
        rng = np.random.default_rng(0)

        def boxes(count: int) -> np.ndarray:
            first = rng.uniform(0, 0.9, (count, 2))
            return np.concatenate([first, first + rng.uniform(0.03, 0.1, (count, 2))], 1)

        alarms = [
            alarm(*(Step(tuple(box), 9.0, tuple(rng.normal(0, 3, 7))) for box in boxes(LONGEST)))
            for _ in range(MOST)
        ]
        found = [(tuple(box), 4.5) for box in boxes(100)]
        counting = Counting(camera("x"), 0.25, full := Memory(lambda *_: None, 1.0))
        full.learn(alarms)
        crowd = frame(*found, traits=rng.normal(0, 3, (100, 7)))
        begun = time.thread_time()
        counting(crowd, (100, 100), LEVEL, 10.0)
        took = time.thread_time() - begun
        print(f"{1000 * took:.1f} ms")
        assert took < 0.2

    def test_one_stretch_counts_once(self):
        held: list[tuple[int, float]] = []
        memory = Memory(lambda event, when: held.append((event, when)))
        for when in (0.0, 1.0, 9.0, 18.0, 40.0):
            memory.held([7], when)
        assert held == [(7, 0.0), (7, 40.0)]


class TestWay:
    def test_it_keeps_where_the_event_was_how_high_and_why(self):
        nowhere = Way()
        nowhere.add(None, 1.0)
        nowhere.add(Place(None, None, "x"), 1.0)
        assert nowhere.trail is None
        way = Way()
        for step, score in enumerate((2.0, 3.0, 2.5, 4.0)):
            box = (0.01 * step, 0.1, 0.2 + 0.01 * step, 0.5)
            way.add(Place(box, None, f"moves {step}.5 times", (1.0, 0.04 * step)), score)
        way.add(Place((0.7, 0.1, 0.9, 0.5), None, None, (1.0, 0.0)), 5.0)
        way.add(Place((0.7, 0.1, 0.9, 0.5), None, None, (1.6, 0.0)), 4.0)
        found = way.trail
        assert found and found.reasons == ("", "moves # times")
        told = [(step.box[0], step.score, step.traits) for step in found.steps]
        assert told == [
            (0.0, 3.0, (1.0, 0.0)),
            (0.03, 4.0, (1.0, 0.12)),
            (0.7, 5.0, (1.0, 0.0)),
            (0.7, 4.0, (1.6, 0.0)),
        ]
        assert Trail.from_text(found.as_text()) == found

    def test_it_does_not_grow(self):
        way = Way()
        for step in range(1000):
            way.add(Place((0.0009 * step, 0.0, 0.0009 * step + 0.003, 1.0), None, None), 1.0)
        assert way.trail and 16 <= len(way.trail.steps) <= LONGEST

    def test_of_a_long_event_each_part_is_kept_and_its_peak(self):
        """Real traits are other ones in each frame, so that each is a step."""
        rng = np.random.default_rng(0)
        for peak in (0, 1, 5, 37, 300, 598, 599):
            way, scores = Way(), rng.uniform(2, 4, 600)
            scores[peak] = 9.0
            for frame, score in enumerate(scores):
                traits = (frame / 2, float(rng.normal()))
                by = 0.2 * float(np.sin(frame / 50))
                place = Place((0.2 + by, 0.2, 0.4 + by, 0.6), None, None, traits)
                way.add(place, float(score))
            steps = way.trail.steps if way.trail else ()
            kept = [round(2 * step.traits[0]) for step in steps]
            assert kept[0] == 0 and kept[-1] == 599 and peak in kept and kept == sorted(kept)
            assert 32 <= len(kept) <= LONGEST and np.diff(kept).max() <= 2 * 16
            found = FalseAlarm(7, "door", Trail(steps, ()), 0.0, 0, None).as_json()
            assert found["highest"] == 9.0

    def test_kinds_have_no_numbers(self):
        assert kind("gets ahead 1.6 times as fast") == kind("gets ahead 12 times as fast")
        assert kind(None) == kind("") == ""


def rushes(path: Path, *rows: int) -> Path:
    """Eight seconds in which the square crosses at each height, one after the other."""
    video = scenes.pixels(20, 160, None)
    y, x = np.mgrid[: scenes.HEIGHT, : scenes.WIDTH]
    for number, row in enumerate(rows):
        for t in range(20):
            square = (abs(x - (120 - 6 * t)) < 11) & (abs(y - row) < 11)
            frame = video[20 + 45 * number + t]
            frame[square] = (250, 30, 30)
            frame[square & ((x + y) // 3 % 2 == 1)] = 10
    with VideoWriter(path, scenes.WIDTH, scenes.HEIGHT, scenes.FPS) as writer:
        for picture in video:
            writer.write(picture)
    return path


def play(home: Path, source: str) -> Store:
    """Watch a file to its end, with what is remembered so far."""
    watched = replace(camera("both.mp4", fast=True, on=1.3), source=Address(source))
    hub = Hub(scene_settings(home, watched))
    hub.start()
    until(lambda: all(c.ended.is_set() for c in hub.running()))
    hub.stop()
    return Store(home / "data")


def ended(home: Path) -> list[Event]:
    store = Store(home / "data")
    try:
        return store.events()
    finally:
        store.close()


def test_of_two_crossings_the_one_that_was_no_alarm_is_held_back(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory, "PAUSE", 0.0)  # rounds may follow each other within any pause
    rushes(home / "both.mp4", 48, 20)
    # As fast as can be: no frame is dropped, each round has the scores of the one before.
    watched = camera("both.mp4", loop=True, fast=True, on=5.0, off=2.0, seconds_to_close=0.9)
    hub = Hub(scene_settings(home, watched))
    ask = {"X-Requested-With": "vadistill"}
    hub.start()
    try:
        with served(hub) as server, httpx.Client(base_url=server.url, headers=ask) as client:

            def remembered() -> list[dict]:
                return client.get("/api/cameras/door/remembered").json()["remembered"]

            def first() -> dict[str, Event]:
                return {
                    "middle" if 0.4 < (event.box[1] + event.box[3]) / 2 < 0.6 else "above": event
                    for event in hub.store.events()
                    if event.box is not None and event.end is not None
                }

            until(lambda: set(first()) == {"middle", "above"})
            assert remembered() == []
            marked = first()["middle"]
            client.patch(f"/api/events/{marked.id}", json={"verdict": "false"})
            (found,) = remembered()
            assert found["event"] == marked.id and found["boxes"]
            newest = max(event.id for event in hub.store.events())
            until(lambda: remembered()[0]["held"] >= 2)
            later = [event for event in hub.store.events() if event.id > newest + 1]
            until(lambda: [e for e in hub.store.events() if e.id > newest + 1])
            later = [event for event in hub.store.events() if event.id > newest + 1]
            assert later and all(e.box and (e.box[1] + e.box[3]) / 2 < 0.4 for e in later)
            # Taken back, it rings again; and so it does for who takes the mark back.
            answer = client.delete(f"/api/cameras/door/remembered/{marked.id}")
            assert answer.json() == {"remembered": []}
            assert client.delete(f"/api/cameras/door/remembered/{marked.id}").status_code == 404
            event = hub.store.event(marked.id)
            assert event and event.verdict == "false"
            newest = max(event.id for event in hub.store.events())

            def again() -> bool:
                return any(
                    e.id > newest and e.box and (e.box[1] + e.box[3]) / 2 > 0.4
                    for e in hub.store.events()
                )

            until(again)
            for verdict, count in (("false", 1), (None, 0), ("false", 1), ("real", 0)):
                client.patch(f"/api/events/{marked.id}", json={"verdict": verdict})
                assert len(remembered()) == count
    finally:
        hub.stop()


def test_it_is_kept_for_the_next_start_of_the_same_view_alone(home: Path):
    rushes(home / "both.mp4", 48)
    store = play(home, "both.mp4")
    (event,) = store.events()
    store.close()
    hub = Hub(scene_settings(home, camera("both.mp4", fast=True, on=1.3)))
    hub.start()
    until(lambda: hub.running())
    hub.set_verdict(event.id, "false")
    hub.stop()
    before = len(ended(home))
    play(home, "both.mp4").close()
    assert len(ended(home)) == before
    # Another source is another view, where the same place is another one.
    (home / "other.mp4").symlink_to(home / "both.mp4")
    play(home, "other.mp4").close()
    assert len(ended(home)) == before + 1
    # So is what another model makes of it, which scores on a scale of its own.
    (home / "again").mkdir()
    (home / "scene.vad").unlink()
    (home / "scene.vad").symlink_to(fitted(home / "again", videos=1))
    play(home, "both.mp4").close()
    assert len(ended(home)) == before + 2


def test_of_many_marks_at_a_time_none_is_lost(home: Path, monkeypatch: pytest.MonkeyPatch):
    hub = Hub(scene_settings(home, camera("calm.mp4", loop=True)))
    hub.start()
    try:
        (watched,) = hub.running()
        trail = Trail((Step(BOX, 3.0, TRAITS),), (KIND,), watched.of)
        ids = [hub.store.open_event("door", 1.0, peak=3.0, level=2.0).id for _ in range(16)]
        for number in ids:
            hub.store.update_event(number, last=2.0, peak=3.0, frames=4, trail=trail)
        read, chance = hub.store.remembered, random.Random(0)

        def slowly(*asked: str) -> list[FalseAlarm]:
            found = read(*asked)
            time.sleep(chance.uniform(0.0, 0.02))  # others are marked between reading and learning
            return found

        def known() -> set[int]:
            return {alarm.event for alarm in hub.running()[0].memory._known.alarms}

        monkeypatch.setattr(hub.store, "remembered", slowly)
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda number: hub.set_verdict(number, "false"), ids))
            assert known() == set(ids)
            # Some are taken back, others marked again, and the camera begins anew meanwhile.
            changed = threads.submit(hub.change_camera, "door", pre_roll=1.0)
            list(threads.map(lambda n: hub.set_verdict(n, None if n % 2 else "false"), ids))
            list(threads.map(hub.forget, ids[:4]))
            assert changed.result()
        assert known() == {number for number in ids[4:] if number % 2 == 0}
        # Of two who say the opposite of one event, the camera goes by what is kept.
        for _ in range(8):
            with ThreadPoolExecutor(2) as threads:
                list(threads.map(lambda v: hub.set_verdict(ids[0], v), ("false", None)))
            event = hub.store.event(ids[0])
            assert event and (event.verdict == "false") == (ids[0] in known())
    finally:
        hub.stop()


def test_what_tells_no_place_is_not_remembered(tmp_path: Path):
    store = Store(tmp_path)
    event = store.open_event("door", 1.0, peak=3.0, level=2.0)
    assert not store.remember(event) and store.remembered("door", "x") == []
    steps = Step(BOX, 3.0, TRAITS), Step(moved(0.5), 1.5, TRAITS)
    store.update_event(event.id, last=2.0, peak=3.0, frames=4, trail=Trail(steps, ("",), "x"))
    found = store.event(event.id)
    assert found and found.trail and found.trail.steps == steps and store.remember(found)
    (known,) = store.remembered("door", "x")
    assert [step.score for step in known.trail.steps] == [pytest.approx(3.1), 1.5]
    assert known.as_json()["highest"] == pytest.approx(3.1) and store.remembered("door", "y") == []
    store.note_held(event.id, 9.0)
    (known,) = store.remembered("door", "x")
    assert (known.held, known.last) == (1, 9.0)
    assert store.forget(event.id) and not store.forget(event.id)
    store.close()
