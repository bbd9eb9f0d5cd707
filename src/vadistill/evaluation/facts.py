"""What a report and a run tell of their models, beside figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vadistill.config import SystemConfig
from vadistill.datasets.footage import footage_words
from vadistill.detector import Detector
from vadistill.evaluation.scoring import Model
from vadistill.objects.auto import in_words
from vadistill.saved import read_config


def localiser_facts(models: Mapping[str, Detector]) -> dict[str, dict[str, str]]:
    """What finds the objects of each model that looks for some, and why, as a report's fact."""
    looking = {name: model for name, model in models.items() if hasattr(model, "localiser")}
    told = {name: in_words(model.localiser.describe()) for name, model in looking.items()}
    return {"localiser": told} if told else {}


def fit_facts(
    models: Mapping[str, Detector], folders: Mapping[str, Model]
) -> dict[str, dict[str, Any]]:
    """How each model came to be and its settings; of those in folders the weights' hash."""
    told = {}
    for name, model in models.items():
        here = folders.get(name)
        saved = {} if here is None or isinstance(here, Detector) else read_config(Path(here))
        footage = {"footage": footage_words(model.footage)} if model.footage else {}
        weights = {"weights": saved["weights"]} if "weights" in saved else {}
        config = model.config
        settings = {"settings": asdict(config)} if isinstance(config, SystemConfig) else {}
        told[name] = {**(model.made or {}), **footage, **weights, **settings}
    return {"models": told} if told else {}


def self_tests(models: Mapping[str, Model]) -> dict[str, str]:
    """What was kept of the self-tests of models in folders, in a line each."""
    from vadistill.evaluation.selftest import read_self_test

    found = {n: read_self_test(m) for n, m in models.items() if not isinstance(m, Detector)}
    return {f"self-test of {n}": test.words for n, test in found.items() if test is not None}
