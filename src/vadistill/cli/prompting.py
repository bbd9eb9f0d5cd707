"""``--prompts`` and ``--clip`` of the verbs that have them: CLIP asked by words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vadistill.errors import ConfigError, VadistillError

if TYPE_CHECKING:
    from vadistill.backbones.prompts import Prompts
    from vadistill.datasets import Video
    from vadistill.devices import Device
    from vadistill.scores import Scores


def ask(words: str | None, clip: Path | None, device: Device) -> Prompts | None:
    """CLIP with the prompts of ``--prompts``; raises ConfigError for weights without them."""
    if words is None:
        if clip is not None:
            raise ConfigError(
                "--clip without prompts", expected="--prompts, too", fix='pass --prompts "a fight"'
            )
        return None
    from vadistill.backbones.prompts import Prompts

    return Prompts(words, None if clip is None else str(clip), device=device)


def named(
    scores: Scores,
    videos: Sequence[Video],
    prompts: Prompts,
    false_alarms_per_day: float,
    failures: list[VadistillError],
) -> Scores:
    """A video's scores with named events; without names where it cannot be read again."""
    from vadistill.evaluation.naming import name_events
    from vadistill.evaluation.scoring import of_video

    video = next(each for each in videos if each.name == scores.video)
    try:
        return name_events(scores, video, prompts, false_alarms_per_day=false_alarms_per_day)
    except VadistillError as error:
        failures.append(of_video(video, error))
        return scores
