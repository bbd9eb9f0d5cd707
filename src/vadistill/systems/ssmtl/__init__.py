"""T2 of fast_aed: self-supervised multi-task learning on object-centric clips.

Imports ``object_centric``, the contract (``detector``) and what lies below it, no other system.
"""

from vadistill.systems.ssmtl.detector import Ssmtl
from vadistill.systems.ssmtl.recipes import Config, avenue, ped2, quick, shanghaitech

__all__ = ["Config", "Ssmtl", "avenue", "ped2", "quick", "shanghaitech"]
