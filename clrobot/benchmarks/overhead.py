"""What each method adds to learning: PPO's updates with it against those without, taking turns in one process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch as th

from clrobot.agents.methods.shared.gradient_hooks import gradient_hooks
from clrobot.agents.vec_env import SlotVecEnv
from clrobot.errors import UserError
from clrobot.evaluation.collect import Collector
from clrobot.experiment.build import make_learner
from clrobot.experiment.config import make_algorithm, make_config
from clrobot.experiment.curriculum import Curriculum
from clrobot.experiment.method import make_method
from clrobot.experiment.stage_env import stage_env
from clrobot.experiment.torch_threads import torch_threads_put_back
from clrobot.experiment.yaml_file import load_curriculum

BASELINE = "finetune"


@dataclass(frozen=True)
class Overhead:
    """The seconds that one method's updates take, and their ratio to fine-tuning's."""

    method: str
    seconds: float
    """Median over the rounds of one update: all epochs over one rollout."""
    ratio: float
    """Median over the rounds of this method's time by fine-tuning's in the same round."""


@torch_threads_put_back()
def measure_overhead(
    methods: Sequence[str], rounds: int, threads: int = 0, curriculum: str | Path = "cr4"
) -> list[Overhead]:
    """Measure the learning time of PPO in a curriculum's last stage, with all earlier tasks to protect.

    The earlier stages last one update each: what a method keeps of them has its full size, whatever they taught.

    Args:
        methods: their names.
        rounds: updates of each.
        threads: of the physics; 0: all cores that the process may use.
        curriculum: a name or a file; of two stages or more, all of native tasks, with a head for each.

    Raises:
        UserError: a method's updates differ within a stage, or the curriculum is no such one.
    """
    chosen = load_curriculum(curriculum)
    if len(chosen.stages) < 2 or chosen.heads == "one" or not all(stage.native for stage in chosen.stages):
        raise UserError(
            f"--curriculum {chosen.name} cannot be measured; give one of several stages, of clrobot's tasks and "
            "with a head for each"
        )
    names = [BASELINE, *(name for name in methods if name != BASELINE)]
    trainings = [_Training(name, threads, chosen) for name in names]
    for training in trainings:
        training.update()  # warm up
    times = [[training.update() for training in trainings] for _ in range(rounds)]
    columns = list(zip(*times, strict=True))
    return [
        Overhead(name, median(column), median(t / base for t, base in zip(column, columns[0], strict=True)))
        for name, column in zip(names, columns, strict=True)
    ]


class _Training:
    """PPO with one method, in the last stage of a curriculum."""

    def __init__(self, method: str, threads: int, curriculum: Curriculum) -> None:
        config = make_config(method=method, curriculum=curriculum, threads=threads)
        self.method = make_method(config)
        if any(phase.name != "train" for phase in self.method.phases(1)):
            raise UserError(f"{method} has phases of its own, whose updates differ; give a method of one phase")
        th.set_num_threads(1)
        num_envs = make_algorithm(config).settings.num_envs
        stages = config.curriculum.stages
        envs = [
            SlotVecEnv(stage_env(stage, num_envs, training=True, threads=threads), k)
            for k, stage in enumerate(stages)
        ]
        self.learner = make_learner(config, envs[0], seed=0)
        self.iteration = self.learner.algorithm.iteration
        for k, (stage, env) in enumerate(zip(stages, envs, strict=True)):
            env.seed(k)
            self.learner.begin_slot((k,), env, self.iteration)
            self.method.before_task(self.learner, k)
            if k + 1 < len(stages):
                self.update()
                policy, rollout = self.learner.policy, self.learner.last_rollout
                self.method.after_task(
                    self.learner, k, Collector(policy, stage, k, seed=k, rollout=rollout, threads=threads)
                )

    def update(self) -> float:
        """Collect one rollout and learn from it; return the seconds of the learning alone.

        They are this thread's own, and torch has no other: what else the machine does is left out.
        """
        spent = 0.0
        model: Any = self.learner.model
        train = type(model).train

        def timed() -> None:
            nonlocal spent
            began = time.thread_time()
            train(model)
            spent += time.thread_time() - began

        model.train = timed
        with gradient_hooks(self.learner, self.method):
            model.learn(self.iteration, reset_num_timesteps=False)
        del model.train
        return spent
