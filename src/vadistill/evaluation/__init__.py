"""Measuring scores against labels: named protocols, intervals, records, tables, reports.

No system imports this package, so none can choose its checkpoint with the benchmark's code.
"""

from __future__ import annotations

from vadistill.evaluation.frame_level import (
    Evaluation,
    Figure,
    average_precision,
    eer,
    evaluate,
    macro_auc,
    micro_auc,
    pr_auc,
)
from vadistill.evaluation.protocol import Protocol
from vadistill.evaluation.results import Record, load_records, run_facts, write_records

__all__ = [
    "Evaluation",
    "Figure",
    "Protocol",
    "Record",
    "average_precision",
    "eer",
    "evaluate",
    "load_records",
    "macro_auc",
    "micro_auc",
    "pr_auc",
    "run_facts",
    "write_records",
]
