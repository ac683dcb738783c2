"""What each method adds to learning: PPO's updates with it against those without, taking turns in one process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch as th

from clrobot.agents.methods.shared.gradient_hooks import shaping
from clrobot.agents.vec_env import SlotVecEnv
from clrobot.errors import UserError
from clrobot.evaluation.collect import collect
from clrobot.experiment.build import make_algorithm, make_method, network_arguments
from clrobot.experiment.config import make_config
from clrobot.experiment.curricula import CURRICULA
from clrobot.experiment.curriculum import Stage
from clrobot.experiment.stage_env import stage_env

BASELINE = "finetune"


@dataclass(frozen=True)
class Overhead:
    """The seconds that one method's updates take, and their ratio to fine-tuning's."""

    method: str
    seconds: float
    """Median over the rounds of one update: all epochs over one rollout."""
    ratio: float
    """Median over the rounds of this method's time by fine-tuning's in the same round."""


def measure_overhead(methods: Sequence[str], rounds: int) -> list[Overhead]:
    """Measure the learning time of PPO's default settings in `cr4`'s last stage, with three tasks to protect.

    The earlier stages last one update each: what a method keeps of them has its full size, whatever they taught.
    """
    names = [BASELINE, *(name for name in methods if name != BASELINE)]
    learners = [_Learner(name) for name in names]
    for learner in learners:
        learner.update()  # warm up
    times = [[learner.update() for learner in learners] for _ in range(rounds)]
    columns = list(zip(*times, strict=True))
    return [
        Overhead(name, median(column), median(t / base for t, base in zip(column, columns[0], strict=True)))
        for name, column in zip(names, columns, strict=True)
    ]


class _Learner:
    """PPO with one method, in the last stage of `cr4`."""

    def __init__(self, method: str) -> None:
        config = make_config(method=method, curriculum="cr4")
        self.method = make_method(config)
        if any(phase.name != "train" for phase in self.method.phases(1)):
            raise UserError(f"{method} has phases of its own, whose updates differ; give a method of one phase")
        th.set_num_threads(1)
        algorithm = make_algorithm(config)
        stages = CURRICULA["cr4"].stages
        self.model: Any = None
        for k, stage in enumerate(stages):
            env = SlotVecEnv(stage_env(stage, algorithm.settings.num_envs, stagger=True), k)
            env.seed(k)
            if self.model is None:
                self.model = algorithm.make(env, network_arguments(config), seed=0, device="cpu")
            algorithm.begin_slot(self.model, (k,), env, algorithm.iteration)
            self.method.before_task(self.model, k)
            self.iteration = algorithm.iteration
            if k + 1 < len(stages):
                self.update()
                self.method.after_task(self.model, k, lambda n, k=k, stage=stage: self._collect(stage, k, n))

    def _collect(self, stage: Stage, k: int, n: int) -> Any:
        return collect(self.model.policy, stage, k, n, seed=k)

    def update(self) -> float:
        """Collect one rollout and learn from it; return the seconds of the learning alone.

        They are this thread's own, and torch has no other: what else the machine does is left out.
        """
        spent = 0.0
        train = type(self.model).train

        def timed() -> None:
            nonlocal spent
            began = time.thread_time()
            train(self.model)
            spent += time.thread_time() - began

        self.model.train = timed
        with shaping(self.model, self.method):
            self.model.learn(self.iteration, reset_num_timesteps=False)
        del self.model.train
        return spent
