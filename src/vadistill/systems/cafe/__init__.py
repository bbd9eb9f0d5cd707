"""CAFE: distillation of high-level features on normal foreground patches.

Imports ``object_centric``, the contract (``detector``) and what lies below it, no other system.
"""

from vadistill.systems.cafe.detector import Cafe
from vadistill.systems.cafe.recipes import (
    PUBLISHED,
    RECIPES,
    Config,
    avenue,
    default,
    demo,
    paper_avenue,
    paper_ped2,
    paper_shanghaitech,
    ped2,
    shanghaitech,
)

__all__ = [
    "PUBLISHED",
    "RECIPES",
    "Cafe",
    "Config",
    "avenue",
    "default",
    "demo",
    "paper_avenue",
    "paper_ped2",
    "paper_shanghaitech",
    "ped2",
    "shanghaitech",
]
