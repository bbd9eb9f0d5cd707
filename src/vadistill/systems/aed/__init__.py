"""T1 of fast_aed: background-agnostic auto-encoders with adversarial training, on objects.

Imports ``object_centric``, the contract (``detector``) and what lies below it, no other system.
"""

from vadistill.systems.aed.detector import Aed
from vadistill.systems.aed.recipes import Config, avenue, ped2, quick, shanghaitech

__all__ = ["Aed", "Config", "avenue", "ped2", "quick", "shanghaitech"]
