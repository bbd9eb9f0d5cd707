"""``blend``: several fitted detectors as one.

Imports ``object_centric``, the contract (``detector``), the table of systems and what lies below,
no other system.
"""

from __future__ import annotations

from vadistill.systems.blend.detector import Blend
from vadistill.systems.blend.recipes import RECIPES, Combine, Config

__all__ = ["RECIPES", "Blend", "Combine", "Config"]
