"""The one seam between a stock Stable-Baselines3 algorithm and a continual-learning method.

    with gradient_hooks(learner, method):
        learner.model.learn(...)

Before each optimizer step the method adds the gradient of its auxiliary loss, or changes the gradients; the *sum* is
then clipped, once, or each part by itself; after the step it may restore weights. The algorithm is not modified: its
own clipping, which would see only its own part, is lifted inside the block.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch as th
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.algorithms.role import Role
from clrobot.agents.methods.shared.method import Method
from clrobot.agents.policies.flat_adam import FlatAdam


@dataclass
class MethodCost:
    """What the method cost inside the block."""

    seconds: float = 0.0
    updates: int = 0  # gradient steps of the actor


@contextmanager
def gradient_hooks(learner: Learner, method: Method, apart: float | None = None) -> Iterator[MethodCost]:
    """Let `method` act on every optimizer step of the learner inside the block; no hook is left behind.

    Verbs that the method does not override cost nothing. Mean gradient norms, before and after the method's part,
    and the auxiliary loss are logged under `gradients/`.

    Args:
        learner: what learns.
        method: what acts.
        apart: None: the sum is clipped. Otherwise each is clipped by itself, to norms of c and `apart` times c, where
            c is the algorithm's limit: g = clip(g_algorithm, c) + clip(g_method, apart · c). The method must only add
            to the gradient. An algorithm without a limit is not clipped in either case.
    """
    cost = MethodCost()
    model: Any = learner.model
    limit: float | None = getattr(model, "max_grad_norm", None)
    handles = [
        handle
        for role, optimizer in learner.roles.items()
        for handle in _hook(learner, method, role, optimizer, limit, apart, cost)
    ]
    if limit is not None:
        # Scaling by min(1, inf / norm) = 1 leaves every bit as it is.
        model.max_grad_norm = float("inf")
    try:
        yield cost
    finally:
        for handle in handles:
            handle.remove()
        if limit is not None:
            model.max_grad_norm = limit


def _hook(
    learner: Learner,
    method: Method,
    role: Role,
    optimizer: Optimizer,
    limit: float | None,
    apart: float | None,
    cost: MethodCost,
) -> list[Any]:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    adds_loss = method.uses("auxiliary_loss")
    adjusts = method.uses("adjust_gradients")

    def before_step(*_: Any) -> None:
        started = time.perf_counter()
        logger = learner.model.logger
        if adds_loss or adjusts:
            logger.record_mean("gradients/rl_norm", float(_norm(optimizer, parameters)))
        # Before anything is clipped: it may look at the algorithm's gradient.
        loss = method.auxiliary_loss(learner, role) if adds_loss else None
        own: list[th.Tensor] | None = None
        if (adds_loss or adjusts) and apart is not None and limit is not None:
            _clip(optimizer, parameters, limit)
            own = [p.grad.clone() for p in parameters if p.grad is not None]
        if loss is not None:
            loss.backward(inputs=parameters)  # type: ignore[no-untyped-call]
            logger.record_mean("gradients/auxiliary_loss", float(loss.detach()))
        if adjusts:
            method.adjust_gradients(learner, role)
        if own is not None and apart is not None and limit is not None:
            _clip_added(own, [p.grad for p in parameters if p.grad is not None], apart * limit)
        cost.seconds += time.perf_counter() - started
        if limit is not None and own is not None:
            logger.record_mean("gradients/norm", float(_norm(optimizer, parameters)))
        elif limit is not None:
            norm = _clip(optimizer, parameters, limit)
            logger.record_mean("gradients/norm", float(norm))
        cost.updates += Role.ACTOR in role

    def after_step(*_: Any) -> None:
        started = time.perf_counter()
        method.after_update(learner, role)
        cost.seconds += time.perf_counter() - started

    handles: list[Any] = [optimizer.register_step_pre_hook(before_step)]
    if method.uses("after_update"):
        handles.append(optimizer.register_step_post_hook(after_step))
    return handles


def _norm(optimizer: Optimizer, parameters: list[th.Tensor]) -> th.Tensor:
    if isinstance(optimizer, FlatAdam):
        return optimizer.norm()
    return th.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])


@th.no_grad()
def _clip_added(own: list[th.Tensor], summed: list[th.Tensor], limit: float) -> None:
    """Scale what was added to `own` to a norm of at most `limit`, in place: g ← g_own + clip(g - g_own, limit)."""
    added = [total - part for total, part in zip(summed, own, strict=True)]
    scale = (limit / (th.nn.utils.get_total_norm(added) + 1e-6)).clamp_(max=1.0)
    for total, part, extra in zip(summed, own, added, strict=True):
        total.copy_(part + scale * extra)


def _clip(optimizer: Optimizer, parameters: list[th.Tensor], limit: float) -> th.Tensor:
    """Scale the gradients to a norm of at most `limit`, and return their norm, from before."""
    return optimizer.clip(limit) if isinstance(optimizer, FlatAdam) else clip_grad_norm_(parameters, limit)
