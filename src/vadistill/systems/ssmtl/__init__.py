"""T2 of fast_aed: self-supervised multi-task learning on object-centric clips.

Imports ``object_centric``, the contract (``detector``) and what lies below it, no other system.
"""

from vadistill.systems.ssmtl.detector import Ssmtl
from vadistill.systems.ssmtl.recipes import RECIPES, Config, avenue, default, ped2, shanghaitech

__all__ = ["RECIPES", "Config", "Ssmtl", "avenue", "default", "ped2", "shanghaitech"]
