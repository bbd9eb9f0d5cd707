"""CAFE: distillation of high-level features on normal foreground patches."""

from vadistill.systems.cafe.detector import Cafe
from vadistill.systems.cafe.recipes import Config, avenue, compact, demo, ped2, shanghaitech

__all__ = ["Cafe", "Config", "avenue", "compact", "demo", "ped2", "shanghaitech"]
