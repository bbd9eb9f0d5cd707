"""The fast frame-level student, distilled from object-centric teachers' anomaly maps.

Imports the contract (``detector``) and what lies below it, no other system.
"""

from vadistill.systems.fast_aed.detector import FastAed
from vadistill.systems.fast_aed.recipes import (
    PUBLISHED,
    RECIPES,
    Config,
    avenue,
    default,
    ped2,
    shanghaitech,
)

__all__ = ["PUBLISHED", "RECIPES", "Config", "FastAed", "avenue", "default", "ped2", "shanghaitech"]
