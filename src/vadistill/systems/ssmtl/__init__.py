"""T2 of fast_aed: self-supervised multi-task learning on object-centric clips."""

from vadistill.systems.ssmtl.detector import Ssmtl
from vadistill.systems.ssmtl.recipes import Config, avenue, ped2, quick, shanghaitech

__all__ = ["Config", "Ssmtl", "avenue", "ped2", "quick", "shanghaitech"]
