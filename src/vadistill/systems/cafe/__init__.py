"""CAFE: distillation of high-level features on normal foreground patches.

Imports ``object_centric``, the contract (``detector``) and what lies below it, no other system.
"""

from vadistill.systems.cafe.detector import Cafe
from vadistill.systems.cafe.recipes import Config, avenue, compact, demo, ped2, shanghaitech

__all__ = ["Cafe", "Config", "avenue", "compact", "demo", "ped2", "shanghaitech"]
