"""Abnormal events on the walkway, each early in a video (it ends soon) or late (it begins late)."""

from __future__ import annotations

import math

import numpy as np

from vadistill.simulated.walkway.actors import ARMS, Actor, Times, Walker, fly, keep_apart
from vadistill.simulated.walkway.casting import BRIGHT, Casting
from vadistill.simulated.walkway.people import RELEASE
from vadistill.simulated.walkway.scene import FAR_EDGE, MIDDLE, NEAR_EDGE, WalkwayConfig


def cast(
    config: WalkwayConfig, rng: np.random.Generator, early: str | None, late: str | None
) -> list[Actor]:
    """Everyone of a video: pedestrians and, in test videos, the early and the late event."""
    casting = EventCasting(config, rng)
    walkers = casting.standing() + casting.crowd()
    thrown: list[tuple[tuple[Walker, Walker], np.ndarray]] = []
    for kind, is_late in ((early, False), (late, True)):
        if kind == "thrown":
            thrown.append(casting.throwers(is_late))
            walkers += thrown[-1][0]
        elif kind is not None:
            walkers.append(casting.event(kind, is_late))
    keep_apart(walkers, casting.fps)
    for walker in walkers:
        walker.settle(casting.fps)
    objects: list[Actor] = []
    for pair, holder in thrown:
        form = "ball" if rng.random() < 0.6 else "bag"
        objects.append(fly(pair, holder, form, casting.pick(BRIGHT), casting.fps))
    return [*walkers, *objects]


class EventCasting(Casting):
    """Adds those who do what nobody does here."""

    def _moment(self, late: bool) -> float:
        """When, in seconds, the early event ends or the late one begins."""
        return self.length * float(self.rng.uniform(*((0.64, 0.78) if late else (0.22, 0.34))))

    def _passing(self, speed: float, late: bool, margin: float) -> Times:
        """Along the path out of view at the early moment, or into view at the late one."""
        edge, moment = self.half + margin, self._moment(late)
        return self.way() * ((-edge if late else edge) + speed * (self.times - moment))

    def event(self, kind: str, late: bool) -> Walker:
        """Whoever is abnormal in an event of one person."""
        if kind == "loitering":
            return self._loiterer(late)
        if kind == "wrong_way":
            return self._off_the_path(late)
        rng, always = self.rng, np.ones(self.count, bool)
        lane = self.lane() * 0.8
        facing = self.nowhere()
        if kind == "cart":
            # At walking pace: only its looks are out of place.
            speed = rng.uniform(0.9, 1.7)
            colour = self.pick(((222, 220, 210), (170, 190, 160), (206, 190, 120)))
            lane *= 0.6
            return Walker(
                self.look(bag="none"), self._passing(speed, late, 1.3), np.full(self.count, lane),
                facing, kind, "cart", colour, gives_way=False, abnormal=always,
            )  # fmt: skip
        if kind == "cyclist":
            along = self._passing(rng.uniform(1.4, 2.5), late, 0.7)
            across = lane + 0.15 * np.sin(0.9 * self.times + rng.uniform(0, 6))
            bag = "backpack" if rng.random() < 0.5 else "none"
            return Walker(
                self.look(bag=bag), along, across, facing, kind, "cyclist", self.pick(BRIGHT),
                abnormal=always,
            )  # fmt: skip
        if kind == "skateboarder":
            along = self._passing(rng.uniform(1.3, 2.2), late, 0.5)
            across = lane + 0.4 * np.sin(1.3 * self.times + rng.uniform(0, 6))
            crouch = 0.3 + 0.15 * np.sin(1.7 * self.times + rng.uniform(0, 6))
            return Walker(
                self.look(coat=False), along, across, facing, kind, "skateboarder",
                self.pick(BRIGHT), crouch=crouch, abnormal=always,
            )  # fmt: skip
        along = self._passing(rng.uniform(2.7, 3.5), late, 0.4)
        look = self.look(top=self.pick(BRIGHT), shorts=True, coat=False, bag="none")
        return Walker(
            look, along, np.full(self.count, lane), facing, kind, run=True, abnormal=always
        )

    def _off_the_path(self, late: bool) -> Walker:
        """Someone who leaves the path's ways: over the lawns and straight across."""
        rng, moment, way = self.rng, self._moment(late), self.way()
        speed = rng.uniform(1.1, 1.5)
        since = speed * (self.times - moment)
        far = float(rng.uniform(6.3, 8.0))
        edge = self.camera.half_view(MIDDLE + far) + 0.4
        if late:  # in over the far lawn, then down across the path
            turn = float(rng.uniform(1.0, 2.5))
            straight, slanted = np.minimum(since, turn), np.maximum(since - turn, 0)
            along = way * (-edge + straight + 0.6 * slanted)
            across = far - 0.8 * slanted
        else:  # over the near lawn and out at the bottom of the picture
            along = rng.uniform(-0.4, 0.4) * self.half + way * 0.5 * since
            across = -7.8 - 0.86 * since
        return Walker(
            self.look(), along, across, self.nowhere(), "wrong_way",
            abnormal=np.ones(self.count, bool),
        )  # fmt: skip

    def _loiterer(self, late: bool) -> Walker:
        """Someone who walks up and down on one spot, turns, crouches, and looks about."""
        rng, moment, way = self.rng, self._moment(late), self.way()
        during = self.times >= moment if late else self.times < moment
        since = self.times - moment if late else self.times + rng.uniform(0, 5)
        speed = np.full(self.count, way * rng.uniform(1.1, 1.4))
        crouch, facing = np.zeros(self.count), self.nowhere()
        #        seconds, m/s, crouch, look
        script = ((0.9, 0.0, 1.0, 0.4), (0.9, 0.9, 0.0, None), (0.6, 0.0, 0.0, -1.6),
                  (0.9, -0.9, 0.0, None), (1.4, 0.0, 1.0, -2.2), (0.5, 0.0, 0.0, 1.2))  # fmt: skip
        ends = np.cumsum([s[0] for s in script])
        for t in np.flatnonzero(during):
            place = since[t] % ends[-1]
            _, pace, squat, look = script[int(np.searchsorted(ends, place, side="right"))]
            speed[t], crouch[t] = way * pace, squat
            if look is not None:
                facing[t] = look
        width = max(1, round(0.4 * self.fps))
        kernel = np.ones(width) / width
        sides = (width // 2, width - 1 - width // 2)
        smooth = [
            np.convolve(np.pad(v, sides, mode="edge"), kernel, "valid") for v in (speed, crouch)
        ]
        travelled = np.cumsum(smooth[0]) / self.fps
        spot = rng.uniform(-0.6, 0.6) * self.half
        travelled += spot - np.interp(moment, self.times, travelled)
        lane = float(rng.uniform(NEAR_EDGE + 0.8, FAR_EDGE - 0.6))
        return Walker(
            self.look(coat=True, top=self.pick(((40, 40, 44), (74, 70, 64), (58, 64, 80)))),
            travelled, np.full(self.count, lane), facing, "loitering",
            gives_way=False, crouch=smooth[1], abnormal=during,
        )  # fmt: skip

    def throwers(self, late: bool) -> tuple[tuple[Walker, Walker], np.ndarray]:
        """Two people who throw something over the path, before they go on or after they came."""
        rng, moment, fps = self.rng, self._moment(late), self.fps
        during = self.times >= moment if late else self.times < moment
        middle, apart = float(rng.uniform(-0.45, 0.45) * self.half), float(rng.uniform(2.2, 3.0))
        lanes = float(rng.uniform(-2.6, 2.6)), float(rng.uniform(-2.6, 2.6))
        wind_up, flight, rest = 0.75, 0.8, 0.35
        turn = wind_up + flight + rest
        # The late event begins, and the early one ends, with the object in someone's hands.
        clock = self.times - moment + (0 if late else math.ceil(moment / turn) * turn)
        within = clock % turn
        holder = np.where(during, (clock // turn).astype(np.int64) % 2, -1)
        throwing = during & (within >= rest) & (within < turn - 0.15)
        progress = np.where(
            within < rest + wind_up,
            RELEASE * (within - rest) / wind_up,
            RELEASE + (1 - RELEASE) * (within - rest - wind_up) / 0.3,
        ).clip(0, 1)
        players = []
        for i, sign in enumerate((-1, 1)):
            arms = np.where(during & (holder == i), ARMS.index("hold"), 0)
            arms[throwing & (holder == i)] = ARMS.index("throw")
            catching = during & (holder == 1 - i) & (within > rest + wind_up)
            arms[catching] = ARMS.index("catch")
            angle = math.atan2(lanes[1] - lanes[0], 2 * apart) + (math.pi if i else 0.0)
            calm = during if late else self.times < moment + 0.3
            facing = np.where(calm, angle, np.nan)
            pace = rng.uniform(1.1, 1.4) * np.where(during, 0.0, 1.0)
            width = max(1, round(0.3 * fps))
            padded = np.pad(pace, (width - 1, 0), mode="edge")
            pace = np.convolve(padded, np.ones(width) / width, "valid")
            travelled = (-sign if late else sign) * np.cumsum(pace) / fps
            along = middle + sign * apart + travelled - (travelled[-1] if late else travelled[0])
            players.append(
                Walker(
                    self.look(coat=False, bag="none"), along, np.full(self.count, lanes[i]),
                    facing, "thrown", gives_way=False, arms=arms, progress=progress,
                    abnormal=throwing & (holder == i),
                )
            )  # fmt: skip
        return (players[0], players[1]), holder
