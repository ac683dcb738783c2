"""Our simulations' speed beside EnvPool's, taken in short turns on the same cores."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from rich.table import Table

from clrobot.benchmarks.neighbour import Neighbour
from clrobot.envs.scene.arm import CONTROL_STEP
from clrobot.envs.simulation.actions import ACTION_SIZE
from clrobot.envs.simulation.simulation import HORIZON
from clrobot.envs.worlds.make import make_vector_env
from clrobot.errors import UserError
from clrobot.results.numbers import grouped, number
from clrobot.terminal import LiteralConsole

FLAG: Final = "--envpool"
OLDEST: Final = (1, 2)  # with Meta-World and Playground
_SCRIPT: Final = Path(__file__).with_name("envpool_speed.py")
_BLOCK: Final = 10  # control steps in a turn: short, so that a drifting machine slows both


class Pair(NamedTuple):
    """What is compared: a task here and EnvPool's task that is most like it."""

    ours: str
    theirs: str


PAIRS: Final = (
    Pair("reach", "MetaWorld/Reach-v3"),
    Pair("pick-place", "MetaWorld/PickPlace-v3"),
    Pair("drawer-open", "MetaWorld/DrawerOpen-v3"),
    Pair("pick-place", "PandaPickCube-v1"),
)


def envpool_simulations(python: Path) -> Neighbour:
    """Return the process that has EnvPool's simulations, not started yet."""
    return Neighbour(FLAG, python, _SCRIPT, "give a Python that can import envpool 1.2 or later")


def check_envpool(python: Path) -> str:
    """Return the version of EnvPool in another interpreter.

    Raises:
        UserError: it cannot be run, or has no EnvPool, or one too old to have Meta-World and Playground.
    """
    with envpool_simulations(python) as neighbour:
        version = str(neighbour.ask()["envpool"])
    return supported(version, python)


def supported(version: str, python: Path) -> str:
    """Return EnvPool's version if it has what is measured; raise UserError if it is too old."""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers < OLDEST:
        raise UserError(
            f"{FLAG} {python}: its EnvPool is {version}, which lacks the tasks; expected 1.2 or later: "
            f"{python} -m pip install --upgrade envpool"
        )
    return version


def envpool_speed(python: Path, num_envs: int, seconds: float, threads: int = 0) -> dict[str, Any]:
    """Return control steps and simulated seconds a second of EnvPool's tasks and of ours like them, and their ratios.

    Both have the same number of simulations and threads and take random actions, in turns of `_BLOCK` calls, through
    whole episodes of EnvPool's until both have taken `seconds`. Every turn counts, and so do the resets.
    """
    with envpool_simulations(python) as neighbour:
        version = supported(str(neighbour.ask()["envpool"]), python)
        pairs = [_compare(neighbour, pair, num_envs, seconds, threads) for pair in PAIRS]
    return {"versions": {"envpool": version}, "num_envs": num_envs, "control_step": CONTROL_STEP, "pairs": pairs}


def _compare(neighbour: Neighbour, pair: Pair, num_envs: int, seconds: float, threads: int) -> dict[str, Any]:
    env = make_vector_env(pair.ours, num_envs, threads=threads)
    rng = np.random.default_rng(0)
    drawn = rng.uniform(-1.0, 1.0, (HORIZON, num_envs, ACTION_SIZE)).astype(np.float32)
    actions = itertools.cycle(drawn)

    def turn(calls: int) -> float:
        began = time.perf_counter()
        for action in itertools.islice(actions, calls):
            env.step(action)
        return time.perf_counter() - began

    opened = neighbour.ask(open=pair.theirs, num_envs=num_envs, threads=env.sim.threads)
    env.reset(seed=0)
    turn(_BLOCK)  # warm up
    env.reset(seed=0)
    own_steps = own_seconds = other_steps = other_seconds = 0.0
    while not own_steps or min(own_seconds, other_seconds) < seconds:
        calls = opened["horizon"] + 1  # EnvPool's reset takes a call
        for first in range(0, calls, _BLOCK):
            block = min(_BLOCK, calls - first)
            answer = neighbour.ask(calls=block)
            other_steps += answer["steps"]
            other_seconds += answer["seconds"]
            own_seconds += turn(block)
            own_steps += block * num_envs
    own, other = own_steps / own_seconds, other_steps / other_seconds
    own_time, other_time = own * CONTROL_STEP, other * opened["control_step"]
    return {
        "task": pair.ours,
        "envpool_task": pair.theirs,
        "threads": env.sim.threads,
        "env_steps_per_second": round(own),
        "envpool_steps_per_second": round(other),
        "ratio": round(own / other, 2),
        "env_simulated_per_second": round(own_time, 1),
        "envpool_simulated_per_second": round(other_time, 1),
        "simulated_ratio": round(own_time / other_time, 2),
        "envpool_control_step": opened["control_step"],
        "envpool_horizon": opened["horizon"],
    }


def show_speed(result: dict[str, Any], console: LiteralConsole) -> None:
    """Print what `envpool_speed` returned as a table."""
    first = result["pairs"][0]
    table = Table(
        title=f"beside EnvPool {result['versions']['envpool']}: {result['num_envs']} simulations on "
        f"{first['threads']} threads",
        title_justify="left",
        caption="Control steps a second as the agent counts them, each of so many ms of simulated time, and "
        "simulated seconds a second.",
        caption_justify="left",
    )
    table.add_column("task")
    for column in ("ms", "steps/s", "ratio", "simulated", "ratio"):
        table.add_column(column, justify="right")
    for pair in result["pairs"]:
        table.add_row(
            pair["task"],
            f"{1000 * result['control_step']:g}",
            grouped(pair["env_steps_per_second"]),
            number(pair["ratio"], decimals=1),
            grouped(pair["env_simulated_per_second"]),
            number(pair["simulated_ratio"], decimals=1),
        )
        table.add_row(
            pair["envpool_task"],
            f"{1000 * pair['envpool_control_step']:g}",
            grouped(pair["envpool_steps_per_second"]),
            "",
            grouped(pair["envpool_simulated_per_second"]),
            "",
            end_section=True,
        )
    console.print(table)
