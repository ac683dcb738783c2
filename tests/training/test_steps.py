"""Every control step and gradient step is counted, by who took it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch as th
from support.outcomes import stopped
from support.trainings import settings

import clrobot.evaluation.collect
from clrobot.agents.methods import register_method
from clrobot.agents.methods.shared.method import Method
from clrobot.agents.methods.shared.own_steps import optimizer_steps
from clrobot.agents.vec_env import SlotVecEnv
from clrobot.experiment.config import make_config
from clrobot.training.resuming import resume
from clrobot.training.training import train

pytestmark = pytest.mark.usefixtures("quick_training")


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The simulations stepped by each step of an environment that is made to collect experience."""
    found: list[int] = []

    class Counted(SlotVecEnv):
        def step_wait(self) -> Any:
            found.append(self.num_envs)
            return super().step_wait()

    monkeypatch.setattr(clrobot.evaluation.collect, "SlotVecEnv", Counted)
    return found


class Spendthrift(Method):
    """Takes steps wherever a method is asked to do anything."""

    name = "spendthrift"
    summary = "takes steps"
    family = "bound"

    def __init__(self, settings: Method.Settings) -> None:
        super().__init__(settings)
        self.own = th.nn.Parameter(th.zeros(1))

    def learn(self, steps: int) -> None:
        optimizer = th.optim.SGD([self.own], lr=0.1)
        for _ in range(steps):
            self.own.square().sum().backward()
            optimizer.step()

    def before_task(self, learner, k) -> None:
        self.learn(1)

    def before_phase(self, learner, k, phase) -> None:
        self.learn(10)

    def after_task(self, learner, k, collect) -> None:
        assert len(collect(150).observations) == 150  # collected anew, they are two episodes of a hundred steps
        assert len(collect(7).observations) == 7  # and these one
        self.learn(100)


@pytest.fixture
def spendthrift(own_registries: None) -> str:
    register_method(Spendthrift)
    return Spendthrift.name


@pytest.mark.parametrize("was_stopped", [False, True])
@pytest.mark.parametrize("algo", ["ppo", "sac"])
def test_a_methods_steps_are_counted_though_it_does_not_tell(
    spendthrift: str, was_stopped: bool, algo: str, tmp_path: Path
) -> None:
    sac = {"num_envs": 4, "train_freq": 8, "gradient_steps": 2, "batch_size": 16, "learning_starts": 32}
    changes = {"algo": algo, "sac": sac}
    if was_stopped:
        run = resume(stopped(tmp_path / "run", spendthrift, boundary=6, **changes))
    else:
        run = train(make_config(**settings(spendthrift) | changes), tmp_path / "run")
    metrics = run.read_metrics()
    assert metrics.environment_steps.learning == 3 * 256
    # PPO's last rollout holds 64: of 150 are 86 missing, an episode of a hundred steps, and of 7 none.
    assert metrics.environment_steps.method == 3 * (100 if algo == "ppo" else 200 + 100)
    assert metrics.gradient_steps.method == 3 * 111
    assert metrics.task_inference_steps == 3 * 100
    # PPO: 4 iterations of 64 samples in 2 passes of 2 minibatches; SAC: 2 steps after each 32 samples but the first.
    assert metrics.gradient_steps.learning == 3 * (4 * 2 * 2 if algo == "ppo" else 7 * 2)


@pytest.mark.parametrize(
    ("method", "own"),
    [("finetune", 0), ("ewc", 0), ("progress-compress", 20), ("generative-replay", 20), ("replay", 0)],
)
def test_no_control_step_is_left_out(method: str, own: int, taken: list[int], tmp_path: Path) -> None:
    metrics = train(make_config(**settings(method)), tmp_path / "run").read_metrics()
    # 100 states of which dormant units are judged are measured, as an evaluation is.
    assert metrics.environment_steps.method + metrics.task_inference_steps + 3 * 100 == sum(taken)
    assert (metrics.environment_steps.method > 0) == (method != "finetune")
    assert metrics.gradient_steps.method == 3 * own


def test_steps_of_another_thread_are_not_counted() -> None:
    import threading

    own, other = (th.nn.Parameter(th.zeros(1)) for _ in range(2))

    def step(parameter: th.nn.Parameter) -> None:
        parameter.grad = th.ones(1)
        th.optim.Adam([parameter]).step()

    with optimizer_steps() as count:
        step(own)
        thread = threading.Thread(target=step, args=(other,))
        thread.start()
        thread.join()
    step(own)
    assert count.steps == 1
    assert other.item() != 0
