"""EnvPool's tasks as a kind of world: `envpool:MetaWorld/Hammer-v3`.

EnvPool has Meta-World, Gymnasium-Robotics and MuJoCo Playground in C++, all simulations of a task in one pool, with a
MuJoCo of its own. It is large, so it is an extra, and is imported where a task is looked up or made. Where it is not
installed, a task's name is taken as it is: a run's folder can be read without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar, Final, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from clrobot.envs.cores import usable_cores
from clrobot.envs.triton_first import load_triton
from clrobot.envs.worlds.envpool_import import INSTALL, imported, why_not_imported, why_nothing_is_drawn
from clrobot.envs.worlds.examine import STEPS, measured, told_key, why_no_space
from clrobot.envs.worlds.foreign import FPS, failing
from clrobot.envs.worlds.kind import Kind, Offer
from clrobot.envs.worlds.metaworld_scale import metaworld_scale
from clrobot.envs.worlds.pool import OPEN_GOALS, Pool, PoolWorld
from clrobot.envs.worlds.spec import Measured, WorldSpec
from clrobot.errors import UserError, cut, shown

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,99}")
_CLOSE: Final = 0.5  # of names

# Families that a robot's policy can be trained in: numbers in and numbers out. The others are games.
_FAMILIES: Final = ("metaworld", "robotics", "playground", "gym", "dmc")
# Of an info, in this order. Playground's `reward_success` is there in all tasks of its Panda, and only this one
# ever sets it.
SUCCESS_KEYS: Final = ("success", "is_success", "reward_success")
_NEVER_SET: Final = re.compile(r"(MuJoCoPlayground/)?Panda(?!PickCubeCartesian)")

# What `kwargs` may change: numbers of the task itself. What else a pool takes is decided here.
_DECIDED: Final = ("num_envs", "batch_size", "num_threads", "max_num_players", "thread_affinity_offset", "seed")

_TIMESTEP: Final = {"metaworld": 0.0025, "robotics": 0.002}  # s, of MuJoCo in these suites' models

# Bytes of one simulation, measured: each has a model of its own.
_SIMULATION: Final = {"MetaWorld/": 16_000_000, "Fetch": 11_000_000, "Panda": 48_000_000}
_OTHER_SIMULATION: Final = 16_000_000  # not measured
_SIMULATIONS: Final = 16  # of a trial: making one takes as long as a hundred of its steps
# Of the median scale. What random steps hardly move (a cube that lies there) a skill moves as far as the rest.
_LEAST_SCALE: Final = 1.0
_REPEATED: Final = 30  # steps that must be the same again from the same seeds


class _Known(NamedTuple):
    """What EnvPool says of a task, before anything is made."""

    family: str
    config: dict[str, Any]
    observations: gym.Space[Any]
    actions: gym.Space[Any]
    told: tuple[str, ...]  # keys of an info


class EnvPoolKind(Kind):
    """Tasks by their names in EnvPool, all simulations of one in a pool."""

    prefix: ClassVar = "envpool"
    saves_state: ClassVar = False
    # Beginning anew takes as long as hundreds of steps of every simulation.
    snapshot_steps: ClassVar = 250_000
    lets_go: ClassVar = True

    @override
    def check(self, task: str) -> None:
        name = task.partition(":")[2]
        if not _NAME.fullmatch(name):
            raise UserError(f"unknown world {cut(repr(task), 80)}; expected such a name as envpool:Reach-v3")
        if is_installed() and why_not_imported() is None:  # else a run of its tasks can still be read
            _check_registered(task)

    @override
    def source(self, task: str) -> dict[str, str]:
        if not is_installed() or why_not_imported() is not None:
            return {}
        return {"distribution": "envpool", "version": str(imported().__version__)}

    @override
    def horizon(self, spec: WorldSpec) -> int:
        return spec.horizon or int(_known(spec.task).config["max_episode_steps"])

    @override
    def simulation_bytes(self, task: str) -> int:
        name = task.partition(":")[2]
        return next((size for part, size in _SIMULATION.items() if part in name), _OTHER_SIMULATION)

    @override
    def examine(self, spec: WorldSpec) -> Measured:
        known = _known(spec.task)
        if (problem := why_no_space(known.actions, known.observations)) is not None:
            raise UserError(f"{spec.task} cannot be learned here: {problem}; choose another task")
        key = told_key(spec, known.told, success_keys(spec.task))
        check_repeats(spec.task, [self._pool(spec, 2) for _ in range(2)])
        if known.family == "metaworld":
            return metaworld_scale(key)
        pool = self._pool(spec, _SIMULATIONS)
        try:
            rows = random_steps(spec.task, pool, STEPS)
        finally:
            pool.close()
        return measured(spec.task, rows, int(gym.spaces.flatdim(known.actions)), key, least=_LEAST_SCALE)

    @override
    def make(
        self,
        spec: WorldSpec,
        num_envs: int,
        *,
        stagger: bool = False,
        threads: int = 0,
        processes: bool = False,
        draw: int | None = None,
    ) -> PoolWorld:
        pool = self._pool(spec, num_envs, threads, draw)
        return PoolWorld(pool, spec, self.horizon(spec), stagger=stagger, draw=draw)

    def _pool(self, spec: WorldSpec, num_envs: int, threads: int = 0, draw: int | None = None) -> Pool:
        known = _known(spec.task)
        options = {
            **{name: value for name, value in OPEN_GOALS.items() if name in known.config},
            **_checked(spec, known.config),
            "max_episode_steps": self.horizon(spec),
            "num_threads": min(threads or usable_cores(), num_envs),
        }
        if draw is not None:
            load_triton()
            options |= {"render_mode": "rgb_array", "render_width": draw, "render_height": draw}
        try:
            return Pool(spec.task.partition(":")[2], num_envs, options, _fps(known, spec.kwargs))
        except UserError:
            raise
        except Exception as error:
            reason = cut(str(error).partition("\n")[0] or type(error).__name__, 200)
            raise UserError(f"{spec.task} cannot be made ({reason}); mend its kwargs") from error

    @override
    def why_not_drawn(self, spec: WorldSpec) -> str | None:
        _check_installed(spec.task)
        return why_nothing_is_drawn()

    @override
    def offers(self) -> Iterator[Offer]:
        if not is_installed():
            yield Offer("envpool", "envpool:MetaWorld/…", None, None, None, None, f"EnvPool: {INSTALL}")
            return
        if (why := why_not_imported()) is not None:
            yield Offer("envpool", "envpool:MetaWorld/…", None, None, None, None, why)
            return
        for name in sorted(_registry().specs):
            if (task := f"envpool:{name}") and not _is_double(name):
                yield _offer(task)


def is_installed() -> bool:
    """Return whether EnvPool can be imported, without importing it."""
    return find_spec("envpool") is not None


def _check_installed(task: str) -> None:
    if not is_installed():
        raise UserError(f"{task} needs EnvPool, which is not installed (about 750 MB): {INSTALL}")


def success_keys(task: str) -> tuple[str, ...]:
    """Return the keys of a task's info that tell success, the best first."""
    return SUCCESS_KEYS[:2] if _NEVER_SET.match(task.partition(":")[2]) else SUCCESS_KEYS


def random_steps(task: str, pool: Pool, steps: int) -> NDArray[np.float64]:
    """Return the observations (steps, d) of random steps, from seed 0 on."""
    rng = np.random.default_rng(0)
    with failing(task, "reset"):
        rows = [pool.reset(seed=0)[0].copy()]
    while len(rows) * pool.num_envs < steps:
        with failing(task, "step"):
            obs, *_ = pool.step(_drawn(pool, rng))
        rows.append(obs.copy())
    return np.concatenate(rows)[:steps].astype(np.float64)


def check_repeats(task: str, pools: list[Pool]) -> None:
    """Raise UserError unless the same seeds give the same steps, in each of these pools and in the first again."""
    found = []
    try:
        for pool in [*pools, pools[0]]:
            rng = np.random.default_rng(1)
            with failing(task, "step"):
                seen = [pool.reset(seed=0)[0].copy()]
                for _ in range(_REPEATED):
                    obs, rewards, *_ = pool.step(_drawn(pool, rng))
                    seen += [obs.copy(), rewards]
            found.append(np.concatenate([x.ravel() for x in seen]))
    finally:
        for pool in pools:
            pool.close()
    if not all(np.array_equal(found[0], again) for again in found):
        raise UserError(
            f"{task} ignores its seed: the same seeds and the same actions give other steps, so no run could be "
            "repeated or resumed; choose another task"
        )


def _drawn(pool: Pool, rng: np.random.Generator) -> NDArray[Any]:
    box = pool.action_space
    assert isinstance(box, gym.spaces.Box)
    low, high = box.low.astype(np.float64), box.high.astype(np.float64)
    return np.asarray(low + (high - low) * rng.random(box.shape), box.dtype)


def _registry() -> Any:
    imported()
    return import_module("envpool.registration").registry


def _check_registered(task: str) -> None:
    """Raise UserError unless EnvPool has a task, of a family that can be used."""
    name = task.partition(":")[2]
    specs: Mapping[str, Any] = _registry().specs
    usable = [other for other in specs if _family(other) in _FAMILIES]
    if name not in specs:
        close = get_close_matches(name[:100], usable, n=3, cutoff=_CLOSE)
        known = " or ".join(f"envpool:{other}" for other in close)
        hint = f"did you mean {known}?" if close else "`clrobot worlds` lists all"
        raise UserError(f"unknown world {cut(repr(task), 80)}; {hint}")
    if _family(name) not in _FAMILIES:
        raise UserError(f"{task} is of EnvPool's {_family(name)}, and an agent here takes {', '.join(_FAMILIES)}")


def _family(name: str) -> str:
    return str(_registry().specs[name][0]).rpartition(".")[2]


def _is_double(name: str) -> bool:
    """Return whether a task is none that is listed: of a family of games, another name, or an old version."""
    specs: Mapping[str, Any] = _registry().specs
    if _family(name) not in _FAMILIES or name.startswith("MuJoCoPlayground/"):
        return True
    start, _, number = name.rpartition("-v")
    newer = (other.rpartition("-v") for other in specs)
    return any(other == start and n.isdecimal() and int(n) > int(number) for other, _, n in newer)


def _known(task: str) -> _Known:
    """Return what EnvPool says of a task.

    Raises:
        UserError: EnvPool is not installed, or there is no such task.
    """
    _check_installed(task)
    _check_registered(task)
    name = task.partition(":")[2]
    spec = imported().make_spec(name)
    config = dict(zip(spec._config_keys, spec._config_values, strict=True))
    told = tuple(key.removeprefix("info:") for key in spec._state_keys if key.startswith("info:"))
    return _Known(_family(name), config, spec.gymnasium_observation_space, spec.gymnasium_action_space, told)


def _checked(spec: WorldSpec, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a world's kwargs.

    Raises:
        UserError: one is not a number of the task's own.
    """
    own = {name: v for name, v in config.items() if isinstance(v, bool | int | float) and name not in _DECIDED}
    for name, value in spec.kwargs.items():
        if name not in own or not isinstance(value, bool | int | float):
            known = ", ".join(sorted(own.keys() - {"max_episode_steps", "gym_reset_return_info"}))
            raise UserError(
                f"{spec.task}: kwargs has {shown(name)}: {shown(value)}; expected numbers for any of {known}"
            )
    return dict(spec.kwargs)


def _fps(known: _Known, kwargs: Mapping[str, Any]) -> float:
    """Return the control steps in a second of a task's own time, where it is known."""
    config = {**known.config, **kwargs}
    if "ctrl_dt" in config:
        return float(1.0 / config["ctrl_dt"])
    step = _TIMESTEP.get(known.family)
    return FPS if step is None else 1.0 / (step * config["frame_skip"])


def _offer(task: str) -> Offer:
    """Tell what a task is; nothing is made."""
    known = _known(task)
    horizon = int(known.config["max_episode_steps"])
    if (problem := why_no_space(known.actions, known.observations)) is not None:
        return Offer("envpool", task, horizon, None, None, None, cut(problem, 240))
    key = next((key for key in success_keys(task) if key in known.told), None)
    sees, does = (int(gym.spaces.flatdim(space)) for space in (known.observations, known.actions))
    return Offer("envpool", task, horizon, sees, does, key, None if key else "success: give return_above or a key")
