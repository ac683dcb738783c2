"""Any environment that is registered with Gymnasium, as a kind of world: `gymnasium:Pusher-v5`.

Only what is registered is made: by Gymnasium itself, by an installed package that names itself as a plug-in of
Gymnasium's, or by a module of the user's own. A name never makes anything be imported that was not registered before
(Gymnasium's `module:Name-v0` is refused), since names come from other people's files too.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from functools import cache
from importlib.metadata import packages_distributions, version
from typing import Any, ClassVar, Final

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from typing_extensions import override

from clrobot.envs.triton_first import load_triton
from clrobot.envs.worlds.examine import examine, why_no_space
from clrobot.envs.worlds.foreign import ForeignWorld
from clrobot.envs.worlds.glfw_library import name_glfw_library
from clrobot.envs.worlds.kind import Kind, Offer
from clrobot.envs.worlds.kwargs import file_here
from clrobot.envs.worlds.spec import Measured, WorldSpec
from clrobot.errors import UserError, cut, shown
from clrobot.registry import GIVEN

# What is registered with Gymnasium and no world here, by the start of its name. A bridge to the old Gym makes, and so
# imports, whatever its `kwargs` name.
_REFUSED: Final = {
    "clrobot/": "is one of clrobot's own tasks; `clrobot tasks` has its name",
    "GymV21Environment": "is a bridge to the old Gym; register the environment itself",
    "GymV26Environment": "is a bridge to the old Gym; register the environment itself",
}
_CLOSE: Final = 0.5  # of names


class GymnasiumKind(Kind):
    """Environments by their Gymnasium id, in Gymnasium's own vector environments."""

    prefix: ClassVar = "gymnasium"
    saves_state: ClassVar = False

    @override
    def check(self, task: str) -> None:
        _registered(task)

    @override
    def source(self, task: str) -> dict[str, str]:
        entry = _registered(task).entry_point
        module = entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "__main__")
        package = str(module).partition(".")[0]
        if package == "gymnasium":
            return {}
        for name in _distributions(_places()).get(package, []):
            return {"distribution": name, "version": version(name)}
        # A file given by --import is a module of a name that nothing else has, and that no one can give.
        return {"module": str(getattr(sys.modules.get(str(module)), GIVEN, module))}

    @override
    def horizon(self, spec: WorldSpec) -> int:
        steps = spec.horizon or _registered(spec.task).max_episode_steps
        if steps is None:
            raise UserError(f"{spec.task} never ends by itself; give its episodes a length, such as horizon: 200")
        return int(steps)

    @override
    def examine(self, spec: WorldSpec) -> Measured:
        self.horizon(spec)
        return examine(spec, lambda: made(spec))

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
    ) -> ForeignWorld:
        horizon = self.horizon(spec)
        makers: list[Callable[[], gym.Env[Any, Any]]] = [
            lambda: made(spec, None if draw is None else "rgb_array") for _ in range(num_envs)
        ]
        vector = AsyncVectorEnv if processes else SyncVectorEnv
        env: gym.vector.VectorEnv[Any, Any, Any] = vector(makers, copy=False, autoreset_mode=AutoresetMode.SAME_STEP)
        return ForeignWorld(env, spec, horizon, stagger=stagger, draw=draw)

    @override
    def why_not_drawn(self, spec: WorldSpec) -> str | None:
        env = None
        try:
            env = made(spec)
            if "rgb_array" not in (env.metadata.get("render_modes") or ()):
                return "it has no render mode rgb_array; name it in its class's metadata, and take `render_mode`"
            _close(env)
            env = made(spec, "rgb_array")
            env.reset(seed=0)
            picture = env.render()
            shape: tuple[int, ...] = getattr(picture, "shape", ())
            if len(shape) == 3 and shape[2] == 3:
                return None
            return f"it draws {shown(type(picture).__name__)}; let its `render` return an array (height, width, 3)"
        except UserError as error:  # it cannot be made, and says what to do
            return str(error)
        except Exception as error:  # whatever it draws with
            return f"{cut(str(error) or type(error).__name__, 120)}; install what draws it"
        finally:
            if env is not None:
                _close(env)

    @override
    def offers(self) -> Iterator[Offer]:
        for name in sorted(gym.registry):
            if _why_refused(name) is None and not _is_old(gym.registry[name]):
                yield _offer(f"{self.prefix}:{name}", gym.registry[name])


def made(spec: WorldSpec, render_mode: str | None = None) -> gym.Env[Any, Any]:
    """Return one environment whose observations are a flat box.

    Raises:
        UserError: there is none of that name, it cannot be made, or its spaces are none that an agent here can use.
    """
    registered = _registered(spec.task)
    if (text := file_here(spec.kwargs)) is not None:
        raise UserError(
            f"{spec.task} is given {shown(text)}, and a file or folder here has that name, which it might read; "
            "work from another folder"
        )
    if render_mode is not None:
        load_triton()
    mode = {} if render_mode is None else {"render_mode": render_mode}
    name_glfw_library()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of an older version than the newest
            # Gymnasium's own checker looks at every step, and `examine` has looked before.
            env: gym.Env[Any, Any] = gym.make(
                registered, max_episode_steps=spec.horizon, disable_env_checker=True, **spec.kwargs, **mode
            )
    except Exception as error:
        reason = cut(str(error) or type(error).__name__, 200)
        raise UserError(
            f"{spec.task} cannot be made ({reason}); install what it needs, or mend its kwargs"
        ) from error
    if (problem := why_no_space(env.action_space, env.observation_space)) is not None:
        _close(env)
        raise UserError(f"{spec.task} cannot be learned here: {problem}; choose another environment, or wrap it")
    # It copies as well: an environment that shows one array, filled anew at each step, would change its last
    # observation when it begins again.
    return gym.wrappers.FlattenObservation(_OwnInfos(env))


class _OwnInfos(gym.Wrapper[Any, Any, Any, Any]):
    """Gives an info of its own at each step.

    An environment may keep one dictionary and empty it in a reset, and a process of its own resets before it sends
    what the last step told.
    """

    @override
    def step(self, action: Any) -> Any:
        answer = self.env.step(action)
        if isinstance(answer, tuple) and len(answer) == 5 and isinstance(answer[4], dict):
            return *answer[:4], dict(answer[4])
        return answer  # `examine` says what is wrong with it


def _close(env: gym.Env[Any, Any]) -> None:
    with suppress(Exception):
        env.close()


def _places() -> tuple[tuple[str, float], ...]:
    """Return where modules are looked for, and when each place changed last."""
    return tuple((place, os.stat(place).st_mtime) for place in sys.path if os.path.isdir(place))


@cache
def _distributions(_: tuple[tuple[str, float], ...]) -> Mapping[str, list[str]]:
    """Return the distributions of each top-level module; to look through all takes half a second."""
    return packages_distributions()


def _registered(task: str) -> EnvSpec:
    """Return what is registered under a task's name.

    Raises:
        UserError: nothing is.
    """
    name = task.partition(":")[2]
    if name in gym.registry:
        if (refused := _why_refused(name)) is not None:
            raise UserError(f"{cut(repr(task), 80)} {refused}")
        return gym.registry[name]
    known = [name for name in gym.registry if _why_refused(name) is None]
    close = get_close_matches(name[:100], known, n=3, cutoff=_CLOSE)
    hint = f"did you mean {' or '.join(f'gymnasium:{c}' for c in close)}?" if close else "`clrobot worlds` lists all"
    raise UserError(
        f"unknown world {cut(repr(task), 80)}; {hint} (is its package installed, and its module given by --import?)"
    )


def _why_refused(name: str) -> str | None:
    return next((clause for start, clause in _REFUSED.items() if name.startswith(start)), None)


def _is_old(spec: EnvSpec) -> bool:
    """Return whether a newer version of the same environment is registered."""
    return any(
        (other.namespace, other.name) == (spec.namespace, spec.name) and (other.version or 0) > (spec.version or 0)
        for other in gym.registry.values()
    )


def _offer(task: str, spec: EnvSpec) -> Offer:
    """Try an environment, and tell what it is."""
    horizon = spec.max_episode_steps
    env = None
    try:
        env = made(WorldSpec(task))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            env.reset(seed=0)
            *_, info = env.step(env.action_space.sample())
        keys = [key for key in ("success", "is_success") if key in info]
        modes = env.metadata.get("render_modes") or ()
        lacks = [] if horizon else ["a length of its episodes: give a horizon"]
        lacks += [] if "rgb_array" in modes else ["pictures"]
        lacks += [] if keys else ["success: give return_above or a key"]
        shapes = env.observation_space.shape, env.action_space.shape
        seen, done = (None if shape is None else int(np.prod(shape)) for shape in shapes)
        return Offer("gymnasium", task, horizon, seen, done, keys[0] if keys else None, "; ".join(lacks) or None)
    except Exception as error:
        sentence = str(error).removeprefix(f"{task} ") or type(error).__name__
        reason = sentence.rpartition("; ")[0] or sentence  # what to do about it is for who wants it
        return Offer("gymnasium", task, horizon, None, None, None, cut(reason, 240))
    finally:
        if env is not None:
            _close(env)
