"""From a configuration to the learner: algorithm, networks, device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch as th

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.networks.one_head import OneHeadNetwork
from clrobot.agents.policies.task_inference import TaskInference
from clrobot.errors import UserError, cut
from clrobot.experiment.config import RunConfig, make_algorithm
from clrobot.experiment.method import make_method

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

    from clrobot.agents.policies.policy import SlotPolicy


def network_arguments(config: RunConfig) -> dict[str, Any]:
    """Return what a policy's constructor takes of its networks: their classes, `widths`, `layer_norm`."""
    networks = make_method(config).networks()
    if config.curriculum.heads == "one":
        networks = dict.fromkeys(networks, OneHeadNetwork)
    return networks | dict(config.network)


def check_device(device: str) -> None:
    """Try torch's device of that name.

    Raises:
        UserError: nothing can be computed there.
    """
    try:
        float(th.zeros(1, device=device) + 1)
    except Exception as error:  # each kind of device fails with its own, some for a module that torch lacks
        reason = cut((str(error).splitlines() or [type(error).__name__])[0])
        raise UserError(
            f"device {device!r} cannot be used ({reason}); expected cpu, or cuda where there is one"
        ) from error


def make_learner(config: RunConfig, env: VecEnv, seed: int) -> Learner:
    """Return an untrained learner with one slot, as configured; `env` gives it its spaces, and `seed` its weights."""
    algorithm = make_algorithm(config)
    learner = Learner(algorithm, algorithm.make(env, network_arguments(config), seed, config.device))
    if not config.task_inference.enabled:
        leave_out_task_inference(learner.policy)
    return learner


def leave_out_task_inference(policy: SlotPolicy) -> None:
    """Let a policy keep no number of how its tasks look at first."""
    policy.task_inference = TaskInference(0, policy.slots).to(policy.device)
