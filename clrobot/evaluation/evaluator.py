"""Measuring skills: all episodes of a task at once, from fixed start states, with mean and with sampled actions."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.policies import BasePolicy

from clrobot.agents.policies.policy import SlotPolicy
from clrobot.envs.worlds.world import World
from clrobot.errors import UserError
from clrobot.evaluation.observations import append_slot
from clrobot.experiment.curriculum import Curriculum
from clrobot.experiment.layout import Layout, layout
from clrobot.experiment.stage_env import stage_env
from clrobot.results.scores import Score

INFERENCE_STEPS = 5  # of an episode, after which an agent without a label keeps to the slot that it has inferred
DETERMINISTIC, STOCHASTIC = True, False


class Episodes(NamedTuple):
    """The outcomes of E episodes, each array (E,); where nothing in the world tells success, none succeeds."""

    success_any: NDArray[np.bool_]  # solved at any step
    success_final: NDArray[np.bool_]  # solved at the last step
    returns: NDArray[np.float64]  # sums of rewards
    lengths: NDArray[np.int64]  # control steps until first solved; the whole episode's where it never was

    def part(self, rows: slice) -> Episodes:
        """Return some of the episodes."""
        return Episodes(self.success_any[rows], self.success_final[rows], self.returns[rows], self.lengths[rows])


class Evaluator:
    """Evaluates policies on a curriculum's slots; keeps the simulations it has built.

    Episode e of a task always starts from the same state: its simulation is seeded with `seed + e`. Sampled actions
    come from a generator that is seeded with `seed` too and put back, so that measuring changes no other draw.
    The physics takes `threads` threads (0: all cores that the process may use); the outcomes do not depend on it.
    """

    def __init__(self, curriculum: Curriculum, seed: int, threads: int = 0) -> None:
        self.curriculum = curriculum
        self.seed = seed
        self._threads = threads
        self._envs: dict[tuple[Any, int], World] = {}

    @cached_property
    def _layout(self) -> Layout:
        return layout(self.curriculum)

    def episodes(
        self, policy: BasePolicy, slot: int, episodes: int, *, deterministic: bool = True, head: int | None = None
    ) -> Episodes:
        """Run `episodes` episodes of slot index `slot` (from 0), with mean or with sampled actions.

        Args:
            policy: what acts.
            slot: whose task it is.
            episodes: how many.
            deterministic: whether with mean actions.
            head: the slot whose head acts; None: the task's own, or the newest one where it has none yet.
        """
        return self._run(policy, slot, ((deterministic, episodes),), head=head)

    def both(
        self, policy: BasePolicy, slot: int, episodes: int, sampled: int | None = None
    ) -> tuple[Episodes, Episodes]:
        """Run the same start states with mean and with sampled actions, all in one batch: mean first."""
        sampled = episodes if sampled is None else sampled
        found = self._run(policy, slot, ((DETERMINISTIC, episodes), (STOCHASTIC, sampled)))
        return found.part(slice(episodes)), found.part(slice(episodes, None))

    def task_agnostic(self, policy: SlotPolicy, slot: int, episodes: int) -> tuple[Episodes, NDArray[np.intp]]:
        """Run episodes of slot index `slot` without giving the policy its label; mean actions.

        In each of the first INFERENCE_STEPS steps the policy acts through the slot whose own first states explain
        the observations so far best (see `TaskInference`), and then keeps to the last choice.

        Returns:
            The outcomes, and the slot index that was inferred for each episode, (E,).
        """
        inferred = _InferredSlots(policy, episodes)
        return self._run(policy, slot, ((DETERMINISTIC, episodes),), inferred), inferred.slots

    def score(
        self, policy: BasePolicy, slot: int, episodes: int, *, stage: int, step: int, stochastic: bool = False
    ) -> Score:
        """Return one line of `scores.jsonl` for slot index `slot`.

        Args:
            policy: what is measured.
            slot: from 0.
            episodes: how many with mean actions.
            stage: the stage during or after which this is.
            step: environment steps trained so far.
            stochastic: also measure a third as many with sampled actions, from the first of the same start states.
        """
        sampled = None
        if stochastic:
            found, sampled = self.both(policy, slot, episodes, -(-episodes // 3))
        else:
            found = self.episodes(policy, slot, episodes)
        return Score(
            stage=stage,
            step=step,
            slot=slot,
            episodes=episodes,
            success_any=self.rate(slot, found.success_any),
            success_final=self.rate(slot, found.success_final),
            return_mean=finite_mean(found.returns),
            length_mean=float(found.lengths.mean()),
            stochastic_success_any=None if sampled is None else self.rate(slot, sampled.success_any),
            stochastic_success_final=None if sampled is None else self.rate(slot, sampled.success_final),
            stochastic_return_mean=None if sampled is None else finite_mean(sampled.returns),
            stochastic_length_mean=None if sampled is None else float(sampled.lengths.mean()),
        )

    def score_next(self, policy: SlotPolicy, slot: int, episodes: int, *, stage: int, step: int) -> Score:
        """Return `score` of the slot that is trained next, with what every head so far does on its task.

        Where nothing in its world tells success, no head is asked.

        Args:
            policy: what is measured; `slot` is the first that has no head.
            slot: from 0.
            episodes: of each head.
            stage: after which this is.
            step: environment steps trained so far.
        """
        score = self.score(policy, slot, episodes, stage=stage, step=step)  # through the newest head
        if score.success_any is None:
            return score
        older = (self.episodes(policy, slot, episodes, head=head).success_any for head in range(policy.slots - 1))
        by_head = (*(float(success.mean()) for success in older), score.success_any)
        return score.model_copy(update={"success_by_head": by_head})

    def rate(self, slot: int, successes: NDArray[np.bool_]) -> float | None:
        """Return the share of episodes of a slot that succeeded, (E,); None where nothing in its world tells."""
        return float(successes.mean()) if self.curriculum.stages[slot].tells_success else None

    def _run(
        self,
        policy: BasePolicy,
        slot: int,
        kinds: tuple[tuple[bool, int], ...],
        inferred: _InferredSlots | None = None,
        head: int | None = None,
    ) -> Episodes:
        """Run so many episodes of each kind of action; the outcomes of one kind follow those of the other."""
        stage = self.curriculum.stages[slot]
        counts = [count for _, count in kinds]
        n = sum(counts)
        key = (stage.world, n)
        if key not in self._envs:
            self._envs[key] = stage_env(stage, n, layout=self._layout, threads=self._threads)
        env = self._envs[key]
        check_sizes(policy, env)
        act = _actor(policy, env.single_action_space)
        labelled = slot if head is None else head
        seeds = [self.seed + e for count in counts for e in range(count)]
        obs, _ = env.reset(seed=seeds, options={"once": True})
        found = Episodes(np.zeros(n, bool), np.zeros(n, bool), np.zeros(n), np.zeros(n, np.int64))
        running = np.ones(n, bool)
        ends = list(itertools.accumulate(counts))
        rows = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
        with th.random.fork_rng(devices=_devices(policy)), th.inference_mode():
            th.manual_seed(self.seed)
            while running.any():
                with_slot = append_slot(obs, labelled if inferred is None else inferred.update(obs))
                parts = [act(with_slot[part], kind) for part, (kind, _) in zip(rows, kinds, strict=True)]
                obs, rewards, terminated, truncated, info = env.step(np.concatenate(parts))
                done = terminated | truncated
                # What ends before the others, diverged or done, starts anew: only its first episode counts.
                found.returns[running] += rewards[running]
                found.lengths[running & ~found.success_any] += 1
                found.success_any[running & env.solved_now] = True
                if done.any():
                    ended = running & done
                    found.success_any[ended] = info["final_info"]["is_success"][ended]
                    found.success_final[ended] = info["final_info"]["success_final"][ended]
                    running &= ~done
        found.lengths[~found.success_any] = env.horizon  # to fail soon is not to be soon done
        env.let_go()
        return found


def check_sizes(policy: BasePolicy, env: World) -> None:
    """Raise UserError where a policy is of another robot than the world's: a stranger's checkpoint may be."""
    observation, action = env.single_observation_space.shape, env.single_action_space.shape
    own = policy.observation_space.shape, policy.action_space.shape
    if observation is None or own != ((observation[0] + 1,), action):
        raise UserError(f"the agent's sizes are {own}, and its task has {observation} and {action}; train it again")


def check_actions(actions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return actions as they are.

    Raises:
        UserError: one is no number.
    """
    if not np.isfinite(actions).all():
        raise _no_numbers()
    return actions


def _no_numbers() -> UserError:
    return UserError("the agent's actions are no numbers, since its weights are too large; give another --stage")


def finite_mean(returns: NDArray[np.float64]) -> float | None:
    """Return the mean of (E,) returns, or None where a simulation that diverged made it infinite or nan."""
    mean = float(returns.mean())
    return mean if np.isfinite(mean) else None


class _InferredSlots:
    """The slot inferred for each of E episodes, from its observations so far."""

    def __init__(self, policy: SlotPolicy, episodes: int) -> None:
        self._task_inference, self._device = policy.task_inference, policy.device
        self._evidence = th.zeros(episodes, policy.slots, device=policy.device)
        self._steps = 0
        self.slots = np.zeros(episodes, np.intp)

    def update(self, obs: NDArray[np.float32]) -> NDArray[np.intp]:
        """Return the slot indices (E,) after one more observation of each episode, (E, d)."""
        if self._steps < INFERENCE_STEPS and self._task_inference.learned:
            self._steps += 1
            self._evidence += self._task_inference.log_likelihood(th.as_tensor(obs, device=self._device))
            # Of equals the last: two slots of one task look alike, and the newer is the better trained.
            last = self._evidence.shape[1] - 1 - self._evidence.flip(1).argmax(1)
            self.slots = last.cpu().numpy()
        return self.slots


def _actor(policy: BasePolicy, space: spaces.Space[NDArray[np.float32]]) -> Callable[..., NDArray[np.float32]]:
    """Return the policy as a function of observations (B, d + 1): Stable-Baselines3's `predict` without its checks.

    They take longer than the networks, a hundred times in each episode.
    """
    assert isinstance(space, spaces.Box)
    policy.set_training_mode(False)
    device = policy.device

    def act(obs: NDArray[np.float32], deterministic: bool) -> NDArray[np.float32]:
        try:
            actions = policy._predict(th.as_tensor(obs, device=device), deterministic=deterministic).cpu().numpy()
        except ValueError as error:  # torch makes no distribution of what is no number
            raise _no_numbers() from error
        if policy.squash_output:
            actions = policy.unscale_action(actions)
        return check_actions(np.clip(actions, space.low, space.high))

    return act


def _devices(policy: BasePolicy) -> list[th.device]:
    return [policy.device] if policy.device.type == "cuda" else []
