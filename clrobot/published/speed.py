"""How fast everything was on the machine that published: what `clrobot bench --json` wrote, as the package ships it.

A ratio was taken in one run, both sides in turns; control steps a second are of that machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clrobot.errors import UserError, explain
from clrobot.files import read_plain
from clrobot.published.rows import FOLDER

FILE: Final = FOLDER / "speed.json"

_Positive = Annotated[float, Field(gt=0)]
_Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    """Of what the bench writes, the figures that are shown; it may write further ones."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Machine(_Part):
    """Where it was measured, and with what."""

    cpu_count: int
    machine: str
    versions: Mapping[str, str]
    commit: str
    physics: int


class Simulations(_Part):
    """One task's simulations, without a learner, beside their bare physics."""

    env_steps_per_second: _Positive
    bare_steps_per_second: _Positive
    ratio: _Positive


class EndToEnd(_Part):
    """PPO with its simulations; `shares` of what takes the time."""

    task: str
    num_envs: int
    steps_per_second: _Positive
    shares: Mapping[str, float]


class GradientStep(_Part):
    """A gradient step of PPO beside the matrix products and tanh in it alone."""

    step_ms: _Positive
    floor_ms: _Positive
    ratio: _Positive


class Pair(_Part):
    """A task of clrobot's and EnvPool's most like it.

    The ratios are of control steps and of simulated time; `envpool_control_step` is in seconds.
    """

    task: str
    envpool_task: str
    threads: int
    env_steps_per_second: _Positive
    envpool_steps_per_second: _Positive
    ratio: _Positive
    simulated_ratio: _Positive
    envpool_control_step: _Positive


class Learned(_Part):
    """Median over seeds of one side's seconds of one task, to success .9; None where half of them gave up."""

    seconds: _Positive | None
    reached: _Count
    seeds: _Count


class Sides(_Part):
    """One task, here and there."""

    clrobot: Learned
    envpool: Learned


class Skills(_Part):
    """How soon PPO learned a skill on both sides, each with its own settings."""

    tasks: Mapping[str, Sides]


class BesideEnvPool(_Part):
    """EnvPool's simulations, on as many threads and as many at once; `control_step`, ours, is in seconds."""

    versions: Mapping[str, str]
    num_envs: int
    control_step: _Positive
    pairs: tuple[Pair, ...]
    learning: Skills | None = None


class Speed(_Part):
    """All that one run of the bench measured, on so many threads (0: all cores)."""

    machine: Machine
    num_envs: int
    threads: int
    tasks: Mapping[str, Simulations]
    ppo: EndToEnd
    learning: GradientStep
    envpool: BesideEnvPool | None = None


def read_speed(path: Path | None = None) -> Speed | None:
    """Return what the bench wrote to `path`, by default what comes with clrobot; None where nothing does.

    Raises:
        UserError: the file cannot be read, or is something else.
    """
    if path is None and not FILE.exists():
        return None
    path = path or FILE
    try:
        return Speed.model_validate_json(read_plain(path))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give a file that clrobot bench --json wrote") from None
    except ValidationError as error:
        raise UserError(
            f"{path} is none that clrobot bench --json wrote ({explain(error)}); measure it again"
        ) from None
