"""From a configuration to the learner: algorithm, method, networks, device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch as th

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.methods.shared.composite import Composite
from clrobot.agents.methods.shared.kickstart import Kickstart
from clrobot.agents.methods.shared.plasticity import Plasticity
from clrobot.agents.networks.one_head import OneHeadNetwork
from clrobot.agents.policies.task_inference import TaskInference
from clrobot.errors import UserError, cut
from clrobot.experiment.choices import method_classes
from clrobot.experiment.config import RunConfig, make_algorithm

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

    from clrobot.agents.methods.shared.method import Method
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


def make_method(config: RunConfig) -> Method:
    """Return the configured method with its settings, and with the options that are on: plasticity, kickstarting."""
    parts: list[Method] = [c(getattr(config, c.name, c.Settings())) for c in method_classes(config.method)]
    plasticity = Plasticity(config.plasticity)
    if plasticity.is_on:
        parts.insert(0, plasticity)  # so that what a method restores is restored last
    start = config.warm_start
    if start.is_on and start.kickstart > 0:
        parts.insert(0, Kickstart(start.kickstart, start.kickstart_share))
    return parts[0] if len(parts) == 1 else Composite(parts)
