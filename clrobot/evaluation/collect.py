"""On-policy experience for a method, from an environment and a generator of its own."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch as th

from clrobot.agents.algorithms.learner import Rollout
from clrobot.agents.methods.shared.method import Experience, Trajectories
from clrobot.agents.policies.policy import SlotPolicy
from clrobot.agents.vec_env import SlotVecEnv
from clrobot.envs.simulation.simulation import HORIZON
from clrobot.experiment.curriculum import Stage
from clrobot.experiment.layout import Layout
from clrobot.experiment.stage_env import stage_env, stage_horizon

# Environments of others' at a time: making one takes as long as hundreds of its steps.
_AT_ONCE: Final = 16


class Collector:
    """Gathers what a method asks for of a slot, and counts the control steps that it takes.

    What can be had for nothing is: an on-policy algorithm's last rollout holds steps of the policy as it was one
    update ago, which a trust region has kept close, in as many episodes as there are simulations and from all their
    phases. Earlier rollouts are of other policies: where tasks are learned in tens of thousands of steps, five
    rollouts back is another skill. So the rest is collected anew.

    Args:
        policy: whose experience it is, as it is when it is asked for.
        stage: of the slot.
        slot: its index (from 0).
        seed: determines, alone, start states, actions, and which steps are taken of a rollout.
        rollout: what the algorithm learned from last, if it is on-policy.
        layout: of the curriculum's observations and actions.
        threads: of the physics.

    Attributes:
        steps: control steps taken so far.
    """

    def __init__(
        self,
        policy: SlotPolicy,
        stage: Stage,
        slot: int,
        seed: int,
        *,
        rollout: Rollout | None = None,
        layout: Layout | None = None,
        threads: int = 0,
    ) -> None:
        self._policy = policy
        self._rollout = rollout
        self._stage = stage
        self._slot = slot
        self._seed = seed
        self._layout = layout
        self._threads = threads
        self.steps = 0

    def __call__(self, n: int) -> Experience:
        """Return n steps: of the last rollout, and what is missing collected anew."""
        had = self._from_rollout(n)
        missing = n - len(had.observations)
        if not missing:
            return had
        self.steps += control_steps(self._stage, missing)
        new = collect(
            self._policy,
            self._stage,
            self._slot,
            missing,
            self._seed,
            layout=self._layout,
            threads=self._threads,
        )
        return Experience(*(th.cat(pair) for pair in zip(had, new, strict=True)))

    def _from_rollout(self, n: int) -> Experience:
        """Return as many of n steps as the last rollout has of the slot, drawn without replacement."""
        size, actions = self._policy.observation_space.shape[0], self._policy.action_space.shape[0]  # type: ignore[index]
        if self._rollout is None:
            nothing = th.zeros(0, device=self._policy.device)
            return Experience(nothing.view(0, size), nothing.view(0, actions))
        rows = (self._rollout.observations[:, -1] == self._slot).nonzero().squeeze(1).cpu().numpy()
        chosen = np.sort(np.random.default_rng(self._seed).permutation(rows)[:n])
        return Experience(*(t[th.as_tensor(chosen, device=t.device)] for t in self._rollout))

    def trajectories(self, n: int, length: int) -> Trajectories:
        """Return n stretches of `length` steps, or fewer where episodes are shorter than that.

        Rewards are on the scale on which the stage was learned.
        """
        horizon = stage_horizon(self._stage)
        in_each = max(1, horizon // length)
        episodes = -(-n // in_each)
        at_once = _at_once(self._stage, episodes)
        self.steps += episodes * horizon
        parts = []
        for first in range(0, episodes, at_once):
            count = min(at_once, episodes - first)
            worlds = stage_env(self._stage, count, layout=self._layout, threads=self._threads)
            env = SlotVecEnv(worlds, self._slot)
            wanted = min(n - first * in_each, count * in_each)
            parts.append(trajectories(self._policy, env, wanted, length, self._seed + first, horizon))
        found = Trajectories(*map(th.cat, zip(*parts, strict=True)))
        scale = self._stage.reward_scale
        return found if scale is None else found._replace(rewards=scale * found.rewards)


def control_steps(stage: Stage, n: int, steps: int | None = None) -> int:
    """Return the control steps that it takes to `collect` n samples: beginnings of episodes, in whole batches."""
    steps = steps or stage_horizon(stage)
    batches, at_once = _batches(stage, n, steps)
    return batches * at_once * steps


def _batches(stage: Stage, n: int, steps: int) -> tuple[int, int]:
    """Return how often simulations run for n samples, of so many steps each, and how many simulations at once.

    Native ones run once. Others' take more memory: a few of them run as often as it needs, the last time all too.
    """
    episodes = max(1, -(-n // steps))
    at_once = _at_once(stage, episodes)
    return -(-episodes // at_once), at_once


def _at_once(stage: Stage, episodes: int) -> int:
    """Return how many simulations run at once for so many episodes."""
    return episodes if stage.native else min(episodes, _AT_ONCE)


def collect(
    policy: SlotPolicy,
    stage: Stage,
    slot: int,
    n: int,
    seed: int,
    steps: int | None = None,
    *,
    layout: Layout | None = None,
    threads: int = 0,
) -> Experience:
    """Return n samples of the policy, spread evenly over the first `steps` steps (None: all) of a stage's episodes.

    They are of slot index `slot`, from start states and a generator that `seed` alone determines; `layout` is the
    curriculum's, and `threads` are those of the physics.
    """
    steps = steps or stage_horizon(stage)
    batches, at_once = _batches(stage, n, steps)
    env = SlotVecEnv(stage_env(stage, at_once, layout=layout, threads=threads), slot)
    generator = th.Generator().manual_seed(seed)
    observations, actions = [], []
    env.seed(seed)  # once: the later batches draw on, since a seed may mean that simulations are made anew
    with th.no_grad():
        for _ in range(batches):
            obs: Any = env.reset()
            for _ in range(steps):
                tensor = th.as_tensor(obs, device=policy.device)
                mean, log_std = policy.gaussian(tensor)
                noise = th.randn(mean.shape, generator=generator).to(mean.device)
                action = mean + log_std.exp() * noise
                observations.append(tensor)
                actions.append(action)
                obs, *_ = env.step(policy.to_action(action).cpu().numpy())
    env.close()
    all_observations, all_actions = th.cat(observations), th.cat(actions)
    chosen = np.random.default_rng(seed).permutation(len(all_actions))[:n]
    chosen.sort()
    return Experience(all_observations[chosen], all_actions[chosen])


def trajectories(
    policy: SlotPolicy, env: SlotVecEnv, n: int, length: int, seed: int, horizon: int = HORIZON
) -> Trajectories:
    """Return n stretches of `length` steps of the policy, out of the first episodes of each simulation.

    An episode gives as many stretches as it holds, from its start on; what is left over at its end is left out, and
    so is a stretch with a number that is not finite. There are fewer than n where episodes are short.

    Args:
        policy: acts, by samples.
        env: simulations of one slot; they are closed at the end.
        n: how many stretches.
        length: of each, in control steps.
        seed: determines start states, actions and which stretches are returned.
        horizon: of the episodes, in control steps.
    """
    env.seed(seed)
    obs: Any = env.reset()
    generator = th.Generator().manual_seed(seed)
    found: list[tuple[th.Tensor, ...]] = []
    stretch: list[tuple[th.Tensor, ...]] = []  # steps of all simulations since the newest stretch began
    since = np.zeros(env.num_envs, np.int64)  # steps of each simulation in its stretch so far
    for _ in range(horizon):
        with th.no_grad():
            tensor = th.as_tensor(obs, device=policy.device)
            mean, log_std = policy.gaussian(tensor)
            action = mean + log_std.exp() * th.randn(mean.shape, generator=generator).to(mean.device)
        obs, rewards, dones, infos = env.step(policy.to_action(action).cpu().numpy())
        led_to, ended = np.array(obs), np.zeros(env.num_envs, np.float32)
        for i in np.flatnonzero(dones):
            led_to[i] = infos[i]["terminal_observation"]
            ended[i] = not infos[i]["TimeLimit.truncated"]
        columns = (tensor, action, *(th.as_tensor(c, device=policy.device) for c in (rewards, ended, led_to)))
        stretch = [*stretch[1 - length :], columns] if length > 1 else [columns]
        since += 1
        for i in np.flatnonzero(since == length):
            found.append(_stretch(stretch, int(i)))
            since[i] = 0
        since[dones] = 0
    env.close()
    whole = [rows for rows in found if all(bool(column.isfinite().all()) for column in rows)]
    chosen = sorted(np.random.default_rng(seed).permutation(len(whole))[:n].tolist())
    if not chosen:
        size, actions = obs.shape[1], env.action_space.shape[0]  # type: ignore[index]
        shapes = ((0, length + 1, size), (0, length, actions), (0, length), (0, length))
        return Trajectories(*(th.zeros(shape, device=policy.device) for shape in shapes))
    return Trajectories(*(th.stack(column) for column in zip(*(whole[i] for i in chosen), strict=True)))


def _stretch(steps: list[tuple[th.Tensor, ...]], i: int) -> tuple[th.Tensor, ...]:
    """Return simulation i's steps: observations (T + 1, d + 1), actions (T, A), rewards (T,) and ends (T,)."""
    observations, actions, rewards, ended = (th.stack([step[j][i] for step in steps]) for j in range(4))
    return th.cat([observations, steps[-1][4][i][None]]), actions, rewards, ended
