"""Weakly supervised detection: several backbones' knowledge, distilled into one.

Imports the contract (``detector``) and what lies below it, no other system.
"""

from vadistill.systems.dakd.detector import Dakd
from vadistill.systems.dakd.recipes import RECIPES, Config, default, paper, pets

__all__ = ["RECIPES", "Config", "Dakd", "default", "paper", "pets"]
