"""T1 of fast_aed: background-agnostic auto-encoders with adversarial training, on objects.

Imports ``object_centric``, the contract (``detector``) and what lies below it, no other system.
"""

from vadistill.systems.aed.detector import Aed
from vadistill.systems.aed.recipes import RECIPES, Config, avenue, default, ped2, shanghaitech

__all__ = ["RECIPES", "Aed", "Config", "avenue", "default", "ped2", "shanghaitech"]
