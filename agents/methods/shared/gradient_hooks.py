"""The one seam between a stock Stable-Baselines3 algorithm and a continual-learning method.

    with shaping(model, method):
        model.learn(...)

Before each optimizer step the method adds the gradient of its auxiliary loss, or changes the gradients, and then
the *sum* is clipped, once; after the step it may restore weights. The algorithm is not modified: its own clipping,
which would see only its own part, is lifted inside the block.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm
from torch.optim import Optimizer

from clrobot.agents.methods.shared.method import Method
from clrobot.agents.policies.policy import ACTOR_OPTIMIZERS


@dataclass
class ShapingCost:
    """What the method cost inside the block."""

    seconds: float = 0.0
    updates: int = 0  # gradient steps of the actor


def optimizers(model: BaseAlgorithm) -> dict[str, Optimizer]:
    """Return the model's optimizers by name (`policy.optimizer`, …), from Stable-Baselines3's own list."""
    names, _ = model._get_torch_save_params()
    found = {name: attrgetter(name)(model) for name in names}
    return {name: entry for name, entry in found.items() if isinstance(entry, Optimizer)}


@contextmanager
def shaping(model: BaseAlgorithm, method: Method) -> Iterator[ShapingCost]:
    """Let `method` shape every optimizer step of `model` inside the block; no hook is left behind.

    Verbs that the method does not override cost nothing. Mean gradient norms and the auxiliary loss are logged
    under `shaping/`.
    """
    cost = ShapingCost()
    limit: float | None = getattr(model, "max_grad_norm", None)
    handles = [
        handle
        for name, optimizer in optimizers(model).items()
        for handle in _hook(model, method, name, optimizer, limit, cost)
    ]
    if limit is not None:
        # Scaling by min(1, inf / norm) = 1 leaves every bit as it is.
        model.max_grad_norm = float("inf")  # type: ignore[attr-defined]
    try:
        yield cost
    finally:
        for handle in handles:
            handle.remove()
        if limit is not None:
            model.max_grad_norm = limit  # type: ignore[attr-defined]


def _hook(
    model: BaseAlgorithm,
    method: Method,
    name: str,
    optimizer: Optimizer,
    limit: float | None,
    cost: ShapingCost,
) -> list[Any]:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    adds_loss = method.uses("auxiliary_loss")
    adjusts = method.uses("adjust_gradients")

    def before_step(*_: Any) -> None:
        started = time.perf_counter()
        if adds_loss or adjusts:
            model.logger.record_mean("shaping/rl_gradient_norm", float(_norm(parameters)))
        if adds_loss:
            loss = method.auxiliary_loss(model, name)
            if loss is not None:
                loss.backward(inputs=parameters)  # type: ignore[no-untyped-call]
                model.logger.record_mean("shaping/auxiliary_loss", float(loss.detach()))
        if adjusts:
            method.adjust_gradients(model, name)
        cost.seconds += time.perf_counter() - started
        if limit is not None:
            norm = th.nn.utils.clip_grad_norm_(parameters, limit)
            model.logger.record_mean("shaping/gradient_norm", float(norm))
        cost.updates += name in ACTOR_OPTIMIZERS

    def after_step(*_: Any) -> None:
        started = time.perf_counter()
        method.after_update(model, name)
        cost.seconds += time.perf_counter() - started

    handles: list[Any] = [optimizer.register_step_pre_hook(before_step)]
    if method.uses("after_update"):
        handles.append(optimizer.register_step_post_hook(after_step))
    return handles


def _norm(parameters: list[th.Tensor]) -> th.Tensor:
    return th.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
