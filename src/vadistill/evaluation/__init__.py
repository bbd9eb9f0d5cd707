"""Measuring scores against labels: named protocols, intervals, runs and their comparison.

Imports the systems and what lies below them.  No system imports this package, so none can choose
its checkpoint with the benchmark's code.
"""

from __future__ import annotations

from vadistill.evaluation.comparison import Comparison, compare
from vadistill.evaluation.frame_level import (
    average_precision,
    eer,
    macro_auc,
    micro_auc,
    pr_auc,
)
from vadistill.evaluation.measuring import Evaluation, Figure, measure, measure_scores
from vadistill.evaluation.protocol import Protocol
from vadistill.evaluation.runs import Run, load_run, save_run, take

__all__ = [
    "Comparison",
    "Evaluation",
    "Figure",
    "Protocol",
    "Run",
    "average_precision",
    "compare",
    "eer",
    "load_run",
    "macro_auc",
    "measure",
    "measure_scores",
    "micro_auc",
    "pr_auc",
    "save_run",
    "take",
]
