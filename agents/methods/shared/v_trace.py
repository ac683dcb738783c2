"""V-trace: what actor and critic can still learn from steps of another policy (Espeholt et al. 2018, section 4.1)."""

from __future__ import annotations

import math
from typing import NamedTuple

from clrobot.agents.deferred import th


class VTrace(NamedTuple):
    """What the critic and the actor are to learn from n stretches of T steps, each (n, T)."""

    targets: th.Tensor  # v_t, of the critic
    advantages: th.Tensor  # of the actions that were taken, with the importance weight in them


def v_trace(values: th.Tensor, rewards: th.Tensor, ended: th.Tensor, log_ratio: th.Tensor, gamma: float) -> VTrace:
    """Return V-trace's targets, with both of its truncation levels at 1, as in CLEAR.

    With V the critic's values, μ the policy that acted, π the one that learns, and γ_t = 0 where a step ended the
    task, γ otherwise:

        ρ_t = c_t = min(1, π(a_t|s_t) / μ(a_t|s_t))
        δ_t = ρ_t (r_t + γ_t V(s_{t+1}) - V(s_t))
        v_t = V(s_t) + δ_t + γ_t c_t (v_{t+1} - V(s_{t+1})),   v_T = V(s_T)
        A_t = ρ_t (r_t + γ_t v_{t+1} - V(s_t))

    Where π = μ, v_t is the return of the steps that are left, with V(s_T) at their end.

    Args:
        values: V(s_0) … V(s_T), (n, T + 1); no gradient goes through them.
        rewards: r_t, (n, T).
        ended: 1 where nothing follows a step, 0 elsewhere, (n, T).
        log_ratio: log π(a_t|s_t) - log μ(a_t|s_t), (n, T); no gradient goes through it.
        gamma: γ, for each step.
    """
    values, weight = values.detach(), log_ratio.detach().clamp(max=0.0).exp()
    discount = gamma * (1.0 - ended)
    deltas = weight * (rewards + discount * values[:, 1:] - values[:, :-1])
    beyond = th.zeros_like(values)  # v_t - V(s_t)
    for t in reversed(range(rewards.shape[1])):
        beyond[:, t] = deltas[:, t] + discount[:, t] * weight[:, t] * beyond[:, t + 1]
    targets = values + beyond
    advantages = weight * (rewards + discount * targets[:, 1:] - values[:, :-1])
    return VTrace(targets[:, :-1], advantages)


def gaussian_log_density(mean: th.Tensor, log_std: th.Tensor, x: th.Tensor) -> th.Tensor:
    """Return log N(x; μ, σ²) of diagonal Gaussians, (n,) from parameters and points (n, A).

    Σ_i  -½ ((x_i - μ_i) / σ_i)² - log σ_i - ½ log 2π
    """
    apart = (x - mean) * th.exp(-log_std)
    return (-0.5 * apart.square() - log_std - 0.5 * math.log(2 * math.pi)).sum(1)
