"""The self-test: anomalies planted into normal footage that training did not see.

A user without labels learns what a model finds and what it is blind to.  ``cutting`` takes objects
out of normal footage, ``cast`` says what is usual of them, ``kinds`` makes abnormal ones of them,
``planting`` puts these into held-out video, ``run`` scores it all and takes the ``figures``.

Imports evaluation's own modules, detectors' contract, objects, simulated figures, data sets and
video.
"""

from __future__ import annotations

from vadistill.evaluation.selftest.results import KindFigure, SelfTest, read_self_test
from vadistill.evaluation.selftest.run import Trial, self_test

__all__ = ["KindFigure", "SelfTest", "Trial", "read_self_test", "self_test"]
