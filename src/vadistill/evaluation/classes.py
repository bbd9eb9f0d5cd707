"""AUC by kind of anomaly: the videos of one class against all normal videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vadistill.errors import DataError
from vadistill.evaluation.alignment import Aligned
from vadistill.evaluation.frame_level import micro_auc


@dataclass(frozen=True)
class ClassAuc:
    """Micro AUC of the frames of one class's videos and of all normal videos."""

    name: str
    videos: int
    """Videos of the class that have an abnormal frame."""
    auc: float | None
    """In [0, 1]; None where it is undefined."""
    reason: str = ""
    """Why it is undefined."""


def class_aucs(
    data: Aligned, classes: Mapping[str, str | Sequence[str]], *, normal: str = "normal"
) -> tuple[ClassAuc, ...]:
    """Micro AUC of each class's videos with all normal videos, by name of the class.

    ``classes`` gives each video's class or classes (it counts in each); a normal video has no
    abnormal frame, or the class ``normal`` in any case.  A class without a figure is returned with
    the reason.  Raises DataError for an abnormal video that has no class or is called normal.
    """
    normals, members = [], {}
    for number, name in enumerate(data.names):
        given = classes.get(name, ())
        kinds = {given} if isinstance(given, str) else set(given)
        kinds = {kind for kind in kinds if kind.lower() != normal.lower()}
        for kind in kinds:
            members.setdefault(kind, [])
        if not data.labels[number].any():
            normals.append(number)
        elif not kinds:
            raise DataError(
                f"video {name} has abnormal frames and "
                + ("no class" if name not in classes else f"the class {given!r}"),
                expected="the kind of its anomaly",
                fix="give its class, or correct its labels",
            )
        else:
            for kind in kinds:
                members[kind].append(number)
    return tuple(_class_auc(data, kind, members[kind], normals) for kind in sorted(members))


def _class_auc(data: Aligned, kind: str, own: list[int], normals: list[int]) -> ClassAuc:
    if not own:
        return ClassAuc(kind, 0, None, "none of its videos has an abnormal frame")
    chosen = own + normals
    labels, scores = [data.labels[i] for i in chosen], [data.scores[i] for i in chosen]
    if all(part.all() for part in labels):
        return ClassAuc(kind, len(own), None, "no normal frame in its videos and no normal video")
    return ClassAuc(kind, len(own), micro_auc(labels, scores))
