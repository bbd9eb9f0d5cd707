"""One training run: its steps, its learning rates, its log, and what a kill leaves of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import vadistill.loss_log
from support.killing import kill_at
from vadistill.batches import shuffled
from vadistill.errors import ConfigError, DataError, WeightsError
from vadistill.loss_log import LOG, join_logs, losses_of, opened_logs, tensorboard
from vadistill.training import Run, Step, constant, cosine, halving, milestones

CPU = torch.device("cpu")


def trained(folder: Path, **settings: Any) -> tuple[nn.Module, Run[np.ndarray]]:
    """A network and a judge of its outputs that learn in turn, by an optimiser each."""
    torch.manual_seed(0)
    x, y = torch.randn(22, 3), torch.randn(22, 1)
    parts = nn.ModuleDict({"network": nn.Linear(3, 1), "judge": nn.Linear(1, 1)})
    network, judge = parts["network"], parts["judge"]
    optimiser = torch.optim.Adam(network.parameters(), 0.1)
    judging = torch.optim.SGD(judge.parameters(), 0.01, momentum=0.9)
    settings = {"epochs": 4, "schedule": cosine, "order": shuffled(22, 4, seed=1), **settings}
    run = Run("fitting", folder, parts, optimiser, judging, **settings)
    for step in run:
        output = network(x[step.rows])
        judging.zero_grad()
        judge(output.detach()).square().mean().backward()
        judging.step()
        run.minimise(
            {"error": (output - y[step.rows]).square().mean(), "size": output.abs().mean()}
        )
    return parts.eval(), run


def weights(network: nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten() for value in network.state_dict().values()])


@pytest.mark.parametrize("settings", [{}, {"save_every": 1000.0}, {"log_every": 0}])
@pytest.mark.parametrize("step", [0, 5, 13, 23])
def test_a_run_that_was_killed_and_resumed_is_an_unbroken_one(
    step: int, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken, _ = trained(tmp_path / "a" / "run", **settings)
    kill_at(monkeypatch, "fitting", step)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "b" / "run", **settings)
    monkeypatch.undo()
    resumed, _ = trained(tmp_path / "b" / "run", **settings)
    assert torch.equal(weights(unbroken), weights(resumed))
    logs = [losses_of(tmp_path / name / "run")["fitting"] for name in "ab"]
    for name in ("step", "total", "error", "size"):
        np.testing.assert_array_equal(logs[0][name], logs[1][name])
    steps = [0, 1, 2, 3] if "log_every" in settings else [0, 10, 20]
    assert logs[0]["step"].tolist() == steps, "no step is missing or twice"


def test_kill_9_leaves_a_run_that_goes_on(tmp_path: Path) -> None:
    code = f"""
import os, signal, sys
sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}
import pathlib, test_training
from vadistill.training import Run
minimise = Run.minimise
def killed(run, losses, **figures):
    minimise(run, losses, **figures)
    if run.now.number == 14:
        os.kill(os.getpid(), signal.SIGKILL)
Run.minimise = killed
test_training.trained(pathlib.Path({str(tmp_path)!r}) / "run")
"""
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, timeout=120)
    assert done.returncode == -signal.SIGKILL
    resumed, run = trained(tmp_path / "run")
    assert torch.equal(weights(resumed), weights(trained(tmp_path / "other" / "run")[0]))
    assert losses_of(tmp_path / "run")["fitting"]["step"].tolist() == [0, 10, 20]
    assert run.epoch == 4 and run.step == 24


def test_a_finished_run_has_no_step_left(tmp_path: Path) -> None:
    first, _ = trained(tmp_path / "run")
    steps: list[int] = []
    again, _ = trained(tmp_path / "run", order=lambda epoch: steps.append(epoch) or [])
    assert not steps and torch.equal(weights(first), weights(again))


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    trained(tmp_path / "run")
    with pytest.raises(WeightsError, match=r"fitting\.safetensors does not fit this run \(other"):
        trained(tmp_path / "run", settings="another")
    (tmp_path / "run" / "fitting.safetensors").write_bytes(b"cut off")
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        trained(tmp_path / "run")


def test_weights_that_the_last_step_breaks_stop_with_one_line(tmp_path: Path) -> None:
    network = nn.Linear(1, 1)
    run = Run(
        "fitting",
        tmp_path / "run",
        network,
        torch.optim.SGD(network.parameters(), 1e38),
        epochs=1,
        order=lambda epoch: [0],
    )
    with pytest.raises(DataError, match="weights of weight are no numbers after epoch 1: expected"):
        for _ in run:
            run.minimise({"large": network.weight.sum() * 1e30})
    assert not (tmp_path / "run" / "fitting.safetensors").exists()


@pytest.mark.parametrize("log_every", [10, 0])
def test_a_loss_that_is_no_number_stops_with_one_line(log_every: int, tmp_path: Path) -> None:
    network = nn.Linear(1, 1)
    run = Run(
        "fitting",
        tmp_path / "run",
        network,
        torch.optim.SGD(network.parameters(), 0.1),
        epochs=3,
        order=lambda epoch: [0, 1, 2],
        log_every=log_every,
    )
    with pytest.raises(DataError) as error:
        for step in run:
            value = torch.tensor(float("nan") if step.number == 4 else 1.0)
            run.minimise({"good": network.weight.sum(), "bad": network.bias.sum() * value})
    (line,) = str(error.value).splitlines()
    assert line.startswith("stage 'fitting': the total loss is nan in epoch 2: expected a finite")
    assert "epoch" not in losses_of(tmp_path / "run")["fitting"]
    assert (
        Run(
            "fitting",
            tmp_path / "run",
            network,
            torch.optim.SGD(network.parameters(), 0.1),
            epochs=3,
            order=lambda epoch: [0, 1, 2],
        ).epoch
        == 1
    ), "what was broken is not saved"


def steps(epochs: int, count: int) -> list[Step[None]]:
    return [
        Step(None, number, number // count, epochs, number % count, count)
        for number in range(epochs * count)
    ]


def test_learning_rates() -> None:
    every = steps(200, 10)
    assert {constant(0.1, step) for step in every} == {0.1}
    rates = [cosine(0.1, step) for step in every]
    assert rates[0] == 0.1 and rates[1000] == pytest.approx(0.05) and 0 < rates[-1] < 1e-6
    assert [halving(10)(0.1, every[i]) for i in (0, 99, 100, 200)] == [0.1, 0.1, 0.05, 0.025]
    public = milestones((0.3, 0.6, 0.8), decay=0.2, warm_up=1)
    rates = [public(0.1, every[epoch * 10 + 5]) for epoch in (0, 1, 59, 60, 120, 160)]
    assert rates == pytest.approx([0.06, 0.1, 0.1, 0.02, 0.004, 0.0008])


def test_every_optimiser_follows_the_schedule_from_its_own_rate(tmp_path: Path) -> None:
    _, run = trained(tmp_path / "run", schedule=halving(2))
    rates = [group["lr"] for optimiser in run.optimisers for group in optimiser.param_groups]
    assert rates == [0.05, 0.005]


def test_stages_of_a_fit_stand_in_one_log(tmp_path: Path) -> None:
    with opened_logs() as logs:
        trained(tmp_path / "a")
        with opened_logs() as inner:
            trained(tmp_path / "teacher")
    assert logs == [tmp_path / "a" / LOG] and inner == [tmp_path / "teacher" / LOG]
    vadistill.loss_log.LossLog(tmp_path / "a", "second").write(0, {"loss": 1.0})
    join_logs([*logs, *logs], tmp_path)
    found = losses_of(tmp_path)
    assert list(found) == ["fitting", "second"]
    assert list(found["fitting"]) == ["step", "seconds", "total", "error", "size"]
    line = found["fitting"]
    np.testing.assert_allclose(line["total"], line["error"] + line["size"], rtol=1e-6)
    join_logs([], tmp_path)
    with pytest.raises(DataError, match="no loss log at"):
        losses_of(tmp_path)


def test_a_line_that_a_kill_cut_is_left_out(tmp_path: Path) -> None:
    whole = json.dumps({"stage": "s", "step": 0, "loss": 2.0})
    (tmp_path / LOG).write_text(whole + '\n{"stage": "s", "step": 1, "lo')
    assert losses_of(tmp_path)["s"]["loss"].tolist() == [2.0]


def test_tensorboard_gets_what_is_logged(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with tensorboard(tmp_path / "board"):
        trained(tmp_path / "run")
    board = events.EventAccumulator(str(tmp_path / "board" / "fitting"))
    board.Reload()
    log = losses_of(tmp_path / "run")["fitting"]
    for name in ("total", "error", "size"):
        shown = board.Scalars(name)
        assert [point.step for point in shown] == log["step"].tolist()
        np.testing.assert_allclose([point.value for point in shown], log[name], rtol=1e-6)


def test_without_tensorboard_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with (
        pytest.raises(ConfigError, match=r"pip install .*\[tensorboard\]"),
        tensorboard(tmp_path),
    ):
        pass
    with tensorboard(None):
        pass
