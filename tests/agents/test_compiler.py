"""Processes that do without torch's compiler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch as th
from support.models import few
from support.trainings import TINY
from torch.optim.optimizer import register_optimizer_step_post_hook

from clrobot.agents.compiler import Adam
from clrobot.experiment.choices import method_class


def _trained(cls: type[th.optim.Adam], fused: bool) -> tuple[th.Tensor, dict[str, object]]:
    generator = th.Generator().manual_seed(0)
    weights = th.nn.Parameter(th.randn(64, 33, generator=generator))
    optimizer = cls([weights], lr=1e-2, fused=fused)
    schedule = th.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 10)
    for _ in range(10):
        optimizer.zero_grad()
        (weights @ th.randn(33, 5, generator=generator)).pow(2).sum().backward()
        optimizer.step()
        schedule.step()
    return weights.detach(), optimizer.state_dict()


@pytest.mark.parametrize("fused", [True, False])
def test_it_takes_the_steps_of_torch(fused: bool):
    weights, state = _trained(Adam, fused)
    expected, theirs = _trained(th.optim.Adam, fused)
    assert th.equal(weights, expected)
    assert str(state) == str(theirs)


def test_a_step_keeps_no_graph_and_calls_the_hooks_of_every_optimizer():
    called = []
    hook = register_optimizer_step_post_hook(lambda *_: called.append(1))
    weights = th.nn.Parameter(th.ones(3))
    optimizer = Adam([weights], lr=1e-2)
    weights.sum().backward()
    optimizer.step()
    hook.remove()
    assert called == [1]
    assert weights.grad_fn is None


@pytest.mark.parametrize("method", ["finetune", "generative-replay"])
def test_a_training_loads_no_compiler(method: str, tmp_path: Path):
    """A second and a hundred megabytes of every process that trains, for what few methods use."""
    settings = TINY | {"method": method} | few(method_class(method))
    code = f"""
import sys
from clrobot.experiment.config import make_config
from clrobot.report.page import write_report
from clrobot.training.training import train
write_report(train(make_config(**{settings}), "run").path)
print([name for name in ("torch._dynamo", "sympy", "scipy.stats") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr
