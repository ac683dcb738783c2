"""A check of somebody else's environment before hours are trained in it, and the scales of what it shows.

It is tried for STEPS random steps. What is found there is one sentence, or what the world needs from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from clrobot.envs.worlds.foreign import WorldFailed, failing, is_truth
from clrobot.envs.worlds.spec import HUGE, MOST, Measured, WorldSpec
from clrobot.errors import UserError, cut, shown

STEPS: Final = 10_000
SUCCESS_KEYS: Final = ("success", "is_success")  # of an info, in this order
_REPEATED: Final = 30  # steps that must be the same again from the same seed
_ROUNDING: Final = 1e-6  # of a number's size: what moves less is not moved, but rounded
_LEAST_SCALE: Final = 0.01  # of the median scale: what hardly moves must not drown the rest in its noise

Make = Callable[[], gym.Env[Any, Any]]


def why_no_space(actions: gym.Space[Any], observations: gym.Space[Any]) -> str | None:
    """Return a clause that says why an environment's spaces cannot be used, or None."""
    if not isinstance(actions, gym.spaces.Box):
        return f"its actions are {cut(shown(actions), 40)}, and an agent here gives numbers in a box"
    if not (np.isfinite(actions.low).all() and np.isfinite(actions.high).all() and actions.is_bounded()):
        return "its actions have no bounds"
    if not 1 <= (size := gym.spaces.utils.flatdim(actions)) <= MOST:
        return f"its actions are {size:,} numbers, and {MOST:,} is the most"
    for space in _parts(observations):
        if isinstance(space, gym.spaces.Box) and (len(space.shape) >= 3 or space.dtype == np.uint8):
            return f"it shows pictures ({cut(shown(space), 40)}), and an agent here sees numbers"
    if not observations.is_np_flattenable:
        return f"its observations are {cut(shown(observations), 40)}, which have no fixed number of numbers"
    size = gym.spaces.utils.flatdim(observations)
    return f"its observations are {size:,} numbers, and {MOST:,} is the most" if not 1 <= size <= MOST else None


def _parts(space: gym.Space[Any]) -> list[gym.Space[Any]]:
    """Return the spaces that a space is made of."""
    if isinstance(space, gym.spaces.Dict | gym.spaces.Tuple):
        inner = space.spaces.values() if isinstance(space, gym.spaces.Dict) else space.spaces
        return [part for other in inner for part in _parts(other)]
    return [space]


def examine(spec: WorldSpec, make: Make, steps: int | None = None) -> Measured:
    """Try an environment, and measure the scales of its observations from random steps.

    Of each number that it shows the offset is the mean and the scale the standard deviation, both over these steps.
    They do not depend on any run's seed.

    Args:
        spec: which it is.
        make: makes it, with observations that are a flat box.
        steps: how many; None: STEPS.

    Raises:
        UserError: it cannot be used; the sentence says why.
    """
    env, again = make(), make()
    try:
        _check_alike(spec.task, env, again)
        _check_repeats(spec.task, env, again)
        rows, told = _random_steps(spec.task, env, STEPS if steps is None else steps)
    finally:
        env.close()
        again.close()
    assert env.action_space.shape is not None
    key = told_key(spec, told, SUCCESS_KEYS)
    if key is not None and (problem := told[key]) is not None:
        raise UserError(
            f"{spec.task} tells {shown(key)} in its info as {problem}; expected true, false or a number: wrap it"
        )
    return measured(spec.task, rows, int(np.prod(env.action_space.shape)), key)


def told_key(spec: WorldSpec, told: Collection[str], known: Sequence[str]) -> str | None:
    """Return the key of an info that tells success, or None where nothing does.

    Args:
        spec: which may name one.
        told: every key that an info had.
        known: those that tell success where nobody names one, in this order.

    Raises:
        UserError: the one that is named is never told.
    """
    key = spec.success_key
    if key is not None and key not in told:
        others = f"it tells {', '.join(sorted(told))}: choose one of these, or" if told else "it tells nothing:"
        raise UserError(f"{spec.task} never tells {shown(key)} in its info; {others} let it tell that at every step")
    if key is None and spec.success_above is None:
        return next((name for name in known if name in told), None)
    return key


def measured(
    task: str, rows: NDArray[np.float64], actions: int, key: str | None, least: float = _LEAST_SCALE
) -> Measured:
    """Return what a world needs, from observations (T, d) of random steps.

    Args:
        task: for what goes wrong.
        rows: the observations.
        actions: how many numbers an action has.
        key: of an info, which tells success.
        least: of a scale, beside the median one of what moves.

    Raises:
        UserError: no network can take such numbers.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        offset, scale = rows.mean(axis=0), rows.std(axis=0)
        moving = scale[scale > _ROUNDING * np.maximum(np.abs(offset), scale.max())]
    scale = np.maximum(scale, least * np.median(moving) if len(moving) else 1.0)
    if not (np.abs(offset).max() <= HUGE and scale.min() >= 1 / HUGE and scale.max() <= HUGE):
        most = np.abs(rows).max()
        raise UserError(f"{task} shows numbers that no network can take, of up to {most:g}; wrap it, and scale them")
    return Measured(tuple(offset.tolist()), tuple(scale.tolist()), actions, key)


def _random_actions(env: gym.Env[Any, Any], seed: int) -> Callable[[], NDArray[Any]]:
    """Return what draws actions evenly between the bounds."""
    box, rng = env.action_space, np.random.default_rng(seed)
    assert isinstance(box, gym.spaces.Box)
    if np.issubdtype(box.dtype, np.integer):
        return lambda: rng.integers(box.low, box.high, box.shape, box.dtype, endpoint=True)
    low, high = box.low.astype(np.float64), box.high.astype(np.float64)
    return lambda: (low + (high - low) * rng.random(box.shape)).astype(box.dtype)


def _check_alike(task: str, env: gym.Env[Any, Any], other: gym.Env[Any, Any]) -> None:
    """Raise UserError unless two copies of an environment take and show the same."""
    for what in ("action_space", "observation_space"):
        one, another = getattr(env, what), getattr(other, what)
        if one != another:
            raise UserError(
                f"{task} has one {what} in one copy and another in the next ({cut(shown(one), 60)}, "
                f"{cut(shown(another), 60)}); let it depend on its kwargs alone"
            )


def _check_repeats(task: str, env: gym.Env[Any, Any], other: gym.Env[Any, Any]) -> None:
    """Raise UserError unless the same seed gives the same steps: in one environment again, and in another."""
    first = _episode(task, env)
    for again, where in ((_episode(task, env), "a second time"), (_episode(task, other), "in a second copy")):
        same = len(first) == len(again) and all(map(np.array_equal, first, again))
        if not same:
            raise UserError(
                f"{task} ignores its seed: the same seed and the same actions give other steps {where}, so no run "
                "could be repeated or resumed; let it draw from self.np_random alone, and forget all at a reset"
            )


def _episode(task: str, env: gym.Env[Any, Any]) -> list[NDArray[Any]]:
    """Return what some steps from seed 0 show."""
    draw = _random_actions(env, 1)
    obs = _reset(task, env, 0)
    seen = [obs]
    for _ in range(_REPEATED):
        obs, reward, over, _ = _step(task, env, draw())
        seen += [obs, np.array([reward])]
        if over:
            seen.append(_reset(task, env))
    # In a training all but the first episode begin without a seed.
    return [*seen, _reset(task, env), _step(task, env, draw())[0]]


def _random_steps(task: str, env: gym.Env[Any, Any], steps: int) -> tuple[NDArray[np.float64], dict[str, str | None]]:
    """Return the observations (steps, d) of random steps, and every key that an info had.

    With each key comes the first value of its that is neither a truth nor a number, as a sentence shows it, or None.
    """
    draw, told = _random_actions(env, 0), dict[str, str | None]()
    rows = [_reset(task, env, 0)]
    while len(rows) < steps:
        obs, _, over, info = _step(task, env, draw())
        for key, value in info.items():
            told[str(key)] = told.get(str(key)) or (None if is_truth(value) else shown(value))
        rows.append(obs)
        if over:
            rows.append(_reset(task, env))
    return np.stack(rows[:steps]), told


def _reset(task: str, env: gym.Env[Any, Any], seed: int | None = None) -> NDArray[np.float64]:
    with failing(task, "reset"):
        answer = env.reset(seed=seed)
    if not (isinstance(answer, tuple) and len(answer) == 2):
        raise WorldFailed(f"{task} returns {shown(answer)} from reset; expected an observation and an info")
    return _observation(task, env, answer[0], "reset")


def _step(
    task: str, env: gym.Env[Any, Any], action: NDArray[Any]
) -> tuple[NDArray[np.float64], float, bool, dict[str, Any]]:
    with failing(task, "step"):
        answer = env.step(action)
    if not (isinstance(answer, tuple) and len(answer) == 5 and isinstance(answer[4], dict)):
        raise WorldFailed(
            f"{task} returns {shown(answer)} from step; expected observation, reward, terminated, truncated and info"
        )
    obs, reward, terminated, truncated, info = answer
    try:
        value = float(reward)
    except (TypeError, ValueError):
        value = np.nan
    if not np.isfinite(value):
        raise WorldFailed(f"{task} gives a reward of {shown(reward)} in step; expected a finite number")
    return _observation(task, env, obs, "step"), value, bool(terminated or truncated), info


def _observation(task: str, env: gym.Env[Any, Any], obs: Any, where: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(obs, np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != env.observation_space.shape:
        raise WorldFailed(
            f"{task} gives an observation of shape {array.shape} in {where}; expected {env.observation_space.shape}"
        )
    if not np.isfinite(array).all():
        bad = float(array[~np.isfinite(array)].flat[0])
        raise WorldFailed(f"{task} gives an observation with {bad} in {where}; expected finite numbers")
    return array.copy()
