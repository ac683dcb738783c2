"""Other people's environments as a world: fixed scales, success, time limits, and failures in one sentence."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

from clrobot.envs.arrays import Array
from clrobot.envs.simulation.features import Mask
from clrobot.envs.simulation.simulation import SavedState
from clrobot.envs.worlds.spec import Measured, WorldSpec
from clrobot.envs.worlds.spread import spread_over
from clrobot.envs.worlds.world import World
from clrobot.errors import UserError, cut, shown

if TYPE_CHECKING:
    from clrobot.envs.rendering.base import Image

LIMIT: Final = 10.0  # of scaled observations, which are clipped to it
FPS: Final = 25.0  # where an environment does not say


class WorldFailed(UserError):
    """Somebody else's environment has failed; the message says which, where and how."""


@contextmanager
def failing(task: str, where: str) -> Iterator[None]:
    """Say of whatever the environment raises in the block that it is the environment's.

    Raises:
        WorldFailed: something was raised.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = cut(f"{type(error).__name__}: {error}")
        raise WorldFailed(f"{task} fails in {where} ({reason}); mend the environment") from error


class ForeignWorld(World):
    """N environments that are not clrobot's, whatever steps them.

    Observations are (x - offset) / scale, clipped to ±LIMIT; actions in [-1, 1] are spread over the environments' own
    bounds. Rewards are the environments' own.
    """

    def __init__(
        self,
        env: gym.vector.VectorEnv[Any, Any, Any],
        spec: WorldSpec,
        horizon: int,
        *,
        stagger: bool = False,
        draw: int | None = None,
    ) -> None:
        """Wrap `env`.

        Args:
            env: resets in the same step, resets single environments where `options["reset_mask"]` is true, and has
                observations (N, d) and bounded actions.
            spec: measured.
            horizon: the most control steps of an episode; the environments end it there by themselves.
            stagger: after a reset of all, end the first episodes early, so that the environments are spread over an
                episode's phases and a short rollout sees every phase. For training.
            draw: the pixels of a picture's side; `env` then has the render mode `rgb_array`.
        """
        assert spec.measured is not None
        self.env = env
        self.horizon = horizon
        self.task = spec.task
        self.num_envs = env.num_envs
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.render_mode = None
        self.fps = float(env.metadata.get("render_fps") or FPS)
        self._stagger = stagger
        self._draw = draw
        self._success_key = spec.success_key or spec.measured.success
        self._key_above = spec.key_above
        self._success_above = spec.success_above
        self.tells_success = self._success_key is not None or self._success_above is not None
        size, box = len(spec.measured.offset), env.single_action_space
        self._check_sizes(spec.measured)
        assert isinstance(box, gym.spaces.Box)
        self._box, self._spread = box, spread_over(box)
        # Written out for every environment: numpy is slow where it repeats a short row.
        self._offsets = np.tile(np.asarray(spec.measured.offset), (self.num_envs, 1))
        self._scales = np.tile(np.asarray(spec.measured.scale), (self.num_envs, 1))
        self.single_observation_space = gym.spaces.Box(-LIMIT, LIMIT, (size,), np.float32)
        self.single_action_space = gym.spaces.Box(-1.0, 1.0, (spec.measured.actions,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._elapsed = np.zeros(self.num_envs, np.int64)
        self._returns = np.zeros(self.num_envs)
        self._solved = np.zeros(self.num_envs, np.bool_)
        self._solved_now = np.zeros(self.num_envs, np.bool_)

    def _check_sizes(self, measured: Measured) -> None:
        """Raise UserError unless the environments are of the sizes that were measured, perhaps long ago."""
        shape, actions = self.env.single_observation_space.shape, self.env.single_action_space.shape
        assert shape is not None
        assert actions is not None
        found, known = (int(np.prod(shape)), int(np.prod(actions))), (len(measured.offset), measured.actions)
        if found != known:
            raise UserError(
                f"{self.task} has {found[0]} observations and {found[1]} actions here, and had {known[0]} and "
                f"{known[1]} when it was measured; install the version of it that the run was trained with"
            )

    # --- episodes --------------------------------------------------------------------------------------------

    @override
    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start new episodes everywhere; an integer seed gives environment i the seed ``seed + i``.

        Where the episodes are staggered, the info's `elapsed` (N,) holds the steps that each seems to have behind it.
        """
        with failing(self.task, "reset"):
            each: Any = seed if seed is None else int(seed) if isinstance(seed, int | np.integer) else list(seed)
            obs, _ = self.env.reset(seed=each)
        self._check(obs, np.zeros(self.num_envs), "reset")
        self._returns[:], self._solved[:], self._solved_now[:] = 0.0, False, False
        self._elapsed[:] = 0
        if not self._stagger:
            return self._scaled(obs), {}
        self._elapsed[:] = self.phases()
        return self._scaled(obs), {"elapsed": self._elapsed.copy()}

    @override
    def step(self, actions: NDArray[Any]) -> tuple[NDArray[np.float32], Array, Mask, Mask, dict[str, Any]]:
        """Advance all environments by one control step; finished ones come back at their next start."""
        with failing(self.task, "step"):
            obs, rewards, terminated, truncated, told = self.env.step(self._own_actions(actions))
        ended = terminated | truncated
        last = np.asarray(obs)
        if ended.any():
            last = np.array(obs)
            for i in np.flatnonzero(ended):
                last[i] = told["final_obs"][i]
        self._check(last, rewards, "step")
        self._elapsed += 1
        self._returns += rewards
        early = (self._elapsed >= self.horizon) & ~ended  # of staggered ones
        done = ended | early
        with failing(self.task, "step"):
            now = self._success(told, ended)
        self._solved |= now
        seen = self._scaled(last)
        infos: dict[str, Any] = {}
        if done.any():
            infos = {
                "final_obs": seen,
                "_final_obs": done,
                "final_info": {"is_success": self._solved.copy(), "success_final": now.copy()},
                "_final_info": done,
            }
            if early.any():
                with failing(self.task, "reset"):
                    obs, _ = self.env.reset(options={"reset_mask": early})
            self._check(obs, rewards, "reset")
            self._elapsed[done], self._returns[done], self._solved[done], now[done] = 0, 0.0, False, False
            seen = self._scaled(obs)
        self._solved_now = now
        return seen, np.asarray(rewards, np.float64), terminated, truncated | early, infos

    def _own_actions(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Return actions (N, A) in [-1, 1] as the environments take them."""
        return self._spread(np.asarray(actions).reshape(self.num_envs, *self._box.shape))

    def _scaled(self, obs: ArrayLike) -> NDArray[np.float32]:
        """Return observations (N, d) as the agent is shown them."""
        scaled = (np.asarray(obs) - self._offsets) / self._scales
        seen: NDArray[np.float32] = np.clip(scaled, -LIMIT, LIMIT).astype(np.float32)
        return seen

    def _success(self, told: Mapping[str, Any], ended: Mask) -> Mask:
        """Return whether each environment's task is solved at this step, (N,).

        A threshold on the return is judged where an episode ends: before that nobody knows it, and of one that is cut
        early nobody will.
        """
        if self._success_above is not None:
            above: Mask = ended & (self._returns > self._success_above)
            return above
        now = np.zeros(self.num_envs, np.bool_)
        if self._success_key is not None:
            now |= self._told_of(told)
            if ended.any():  # there `told` is of the next start
                now[ended] = self._told_of(told.get("final_info", {}))[ended]
        return now

    def _told_of(self, told: Mapping[str, Any]) -> Mask:
        """Return what infos say of the key of success, (N,)."""
        assert self._success_key is not None
        return _truths(told, self._success_key, self.num_envs, self._key_above)

    def _check(self, obs: ArrayLike, rewards: ArrayLike, where: str) -> None:
        """Raise WorldFailed where a number is not finite."""
        for what, values in (("an observation", obs), ("a reward", rewards)):
            array = np.asarray(values)
            if not np.isfinite(array).all():
                bad = array[~np.isfinite(array)].flat[0]
                raise WorldFailed(
                    f"{self.task} gives {what} with {shown(float(bad))} in {where}; mend the environment"
                )

    @property
    @override
    def solved(self) -> Mask:
        return self._solved

    @property
    @override
    def solved_now(self) -> Mask:
        return self._solved_now

    @override
    def get_state(self) -> SavedState:
        """Return nothing: what these environments hold is their own."""
        return SavedState({}, [])

    @override
    def set_state(self, state: SavedState) -> None:
        """Do nothing; a reset with the same seed puts these environments where they were."""

    # --- pictures --------------------------------------------------------------------------------------------

    @override
    def look(self) -> NDArray[np.uint8]:
        """Return a picture of each environment, (N, side, side, 3)."""
        assert self._draw is not None
        with failing(self.task, "render"):
            pictures = self.env.render()
        assert pictures is not None
        return np.stack([fitted(np.asarray(picture), self._draw) for picture in pictures])

    @override
    def painter(self, width: int = 480, height: int = 480) -> Shown:
        return Shown()

    @override
    def close_extras(self, **kwargs: Any) -> None:
        """Close the environments; with `timeout=s` whatever process is not gone half a second after that is killed.

        Gymnasium would ask them to end, which they take for a request to their parent: they have its handlers.
        """
        processes, timeout = getattr(self.env, "processes", ()), kwargs.get("timeout")
        killer = threading.Timer(0.0 if timeout is None else timeout + 0.5, lambda: [p.kill() for p in processes])
        if timeout is not None and processes:
            killer.daemon = True
            killer.start()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Gymnasium warns of a step that is under way
                self.env.close(**kwargs)
        finally:
            killer.cancel()
            for process in processes if timeout is not None else ():  # of which one was broken, and the rest wait
                process.kill()


class Shown:
    """Draws what was drawn when it was looked at."""

    def frames(self, looks: ArrayLike) -> Iterator[Image]:
        """Yield the pictures (T, height, width, 3)."""
        return iter(np.asarray(looks))

    def __enter__(self) -> Shown:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def fitted(picture: NDArray[Any], side: int) -> Image:
    """Return a picture (height, width, 3) as a square of so many pixels a side, black where it is not one."""
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a picture of shape {picture.shape}; expected (height, width, 3)")
    height, width = picture.shape[:2]
    factor = side / max(height, width)
    rows, columns = (_samples(length, max(1, round(length * factor))) for length in (height, width))
    small = picture[rows[:, None], columns].astype(np.float32)
    # Two samples along each side of a pixel, of which it is the mean.
    small = small.reshape(len(rows) // 2, 2, len(columns) // 2, 2, 3).mean(axis=(1, 3))
    square = np.zeros((side, side, 3), np.uint8)
    top, left = (side - small.shape[0]) // 2, (side - small.shape[1]) // 2
    square[top : top + small.shape[0], left : left + small.shape[1]] = small.round()
    return square


def _samples(length: int, pixels: int) -> NDArray[np.intp]:
    """Return the places (2 pixels,), in a line of `length`, of two samples for each of so many pixels."""
    return ((np.arange(2 * pixels) + 0.5) * length / (2 * pixels)).astype(np.intp)


def _truths(told: Mapping[str, Any], key: str, n: int, above: float | None = None) -> Mask:
    """Return whether the values (N,) under a key of batched infos are true, or greater; false where there is none.

    Raises:
        ValueError: one is neither a truth nor a number.
    """
    found = np.zeros(n, np.bool_)
    if key not in told:
        return found
    values, there = np.asarray(told[key]), np.asarray(told.get(f"_{key}", np.ones(n, np.bool_)))
    if values.shape == (n,) and values.dtype.kind in "biuf":
        known = np.isfinite(values) & there
        truths: Mask = known & (values.astype(np.bool_) if above is None else values > above)
        return truths
    for i in np.flatnonzero(there):
        found[i] = _truth(told[key][i], key, above)
    return found


def is_truth(value: Any) -> bool:
    """Return whether a value of an info is true, false, a number or None, which says that nobody knows yet."""
    try:
        array = np.asarray(value)
    except Exception:  # a list of lists of other lengths, a tensor of a card
        return False
    return value is None or (array.size == 1 and array.dtype.kind in "biuf")


def _truth(value: Any, key: str, above: float | None) -> bool:
    if not is_truth(value):
        raise ValueError(f"{key} is {shown(value)} in its info, and was true, false or a number")
    number = np.nan if value is None else float(np.asarray(value).reshape(()))
    return bool(np.isfinite(number)) and (number != 0.0 if above is None else number > above)
