"""An untrained learner and its method, from a run's settings."""

from __future__ import annotations

import torch as th

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.methods.shared.method import Method
from clrobot.errors import UserError
from clrobot.experiment.build import check_device, make_learner
from clrobot.experiment.config import RunConfig, make_algorithm, start_of
from clrobot.experiment.memory import check_memory
from clrobot.experiment.method import make_method
from clrobot.training.plan import plan_phases
from clrobot.training.seeds import seed_for
from clrobot.training.start_check import check_start
from clrobot.training.training_env import spaces_of_training


def untrained(config: RunConfig) -> tuple[Learner, Method]:
    """Return an untrained learner with one slot and its method; torch then computes with the run's threads.

    Raises:
        UserError: a setting cannot be used here, or the method may keep more than it may.
    """
    check_memory(config)
    check_device(config.device)
    th.set_num_threads(config.torch_threads)
    method = make_method(config)
    check_learns(config, method)
    check_start(config, method)
    slots = method.trained_slots(0, len(config.curriculum.stages))
    env = spaces_of_training(config, make_algorithm(config).settings.num_envs, slots)
    learner = make_learner(config, env, seed_for(config.seed, "learner"))
    if not config.curriculum.saves_state:
        env.close()  # what it holds beside its spaces is made again for the stage
    check_method_memory(config, learner, method)
    return learner, method


def check_learns(config: RunConfig, method: Method) -> None:
    """Raise UserError where the method says why not, or a stage is over before its first gradient step."""
    if (reason := method.why_not_here(config.algo, len(config.curriculum.stages))) is not None:
        raise UserError(reason)
    algorithm = make_algorithm(config)
    first = algorithm.first_update
    for slot, (stage, name) in enumerate(zip(config.curriculum.stages, config.curriculum.slots, strict=True)):
        planned = method.phases(stage.steps)
        steps = sum(algorithm.whole_iterations(phase.steps) for phase in planned)
        begin, (learning, *_) = plan_phases(config, algorithm, method, slot)
        if steps >= first and begin.spent and learning.steps < max(first, begin.race):
            phase = f", in its first phase {planned[0].steps:,}" if len(planned) > 1 else ""
            raise UserError(
                f"{name} has {stage.steps:,} control steps{phase}, of which --warm-start.choose "
                f"{start_of(config, slot).choose} takes {begin.spent:,} before it learns, and too few are left; give "
                "more --steps, or fewer --warm-start.trial-steps or --warm-start.trial-envs"
            )
        if steps < first:
            raise UserError(
                f"{name} has {steps:,} control steps, and {config.algo} makes no gradient step before {first:,}; "
                f"give --steps {first} or more, or fewer steps with random actions: --{config.algo}.learning-starts"
            )


def check_method_memory(config: RunConfig, learner: Learner, method: Method) -> None:
    """Raise UserError when the method could outgrow `memory_limit_mb`, before anything is made."""
    bound = method.memory_bound(learner, len(config.curriculum.stages))
    limit = config.memory_limit_mb * 2**20
    if bound > limit:
        raise UserError(
            f"{config.method} may keep {bound / 2**20:,.0f} MiB beside the policy, and --memory-limit-mb is "
            f"{limit / 2**20:,.0f}; raise it, or use a smaller network"
        )
