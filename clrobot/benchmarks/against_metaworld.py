"""Our simulations' speed beside Meta-World's, taken in turns on the same machine."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.table import Table

from clrobot.envs.scene.arm import CONTROL_STEP
from clrobot.envs.simulation.actions import ACTION_SIZE
from clrobot.envs.simulation.simulation import HORIZON
from clrobot.envs.worlds.make import make_vector_env
from clrobot.errors import UserError
from clrobot.results.numbers import grouped, number
from clrobot.terminal import LiteralConsole

PAIRS: Final = {"reach": "reach-v3", "pick-place": "pick-place-v3", "drawer-open": "drawer-open-v3"}
_SCRIPT: Final = Path(__file__).with_name("metaworld_speed.py")
_ROUNDS: Final = 3


def ask(python: Path, *words: str) -> dict[str, Any]:
    """Run the script `metaworld_speed.py` in another interpreter and return what it found.

    Raises:
        UserError: the interpreter cannot be run, or Meta-World or Stable-Baselines3 cannot be imported there.
    """
    # -I: else this folder would come before the standard library. One thread each, as the processes are many.
    command = [str(python), "-I", "-W", "ignore", str(_SCRIPT), *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    wanted = "give a Python that can import metaworld and stable_baselines3"
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    except OSError as error:
        raise UserError(f"--metaworld {python}: {error.strerror}; {wanted}") from error
    try:
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        reason = (done.stderr.splitlines() or [f"exit code {done.returncode}"])[-1]
        raise UserError(f"--metaworld {python}: {reason}; {wanted}") from error
    return found


def metaworld_speed(python: Path, num_envs: int, seconds: float, threads: int = 0) -> dict[str, Any]:
    """Return control steps a second of Meta-World's tasks and of ours like them, and their ratios.

    Meta-World's simulations run in a process each, as Stable-Baselines3's `SubprocVecEnv` has them; of several
    numbers of processes the fastest is taken. Both take turns, and of each the fastest turn counts. Ours take
    `threads` threads (0: all cores that the process may use).
    """
    tasks = {}
    for ours, theirs in PAIRS.items():
        env = make_vector_env(ours, num_envs, threads=threads)
        found = ask(python, theirs, str(seconds))
        processes = max(found["steps_per_second"], key=found["steps_per_second"].get)
        own, other = [_steps_per_second(env, seconds)], [found["steps_per_second"][processes]]
        for _ in range(_ROUNDS - 1):
            other.append(ask(python, theirs, str(seconds), processes)["steps_per_second"][processes])
            own.append(_steps_per_second(env, seconds))
        tasks[ours] = {
            "metaworld_task": theirs,
            "metaworld_processes": int(processes),
            "metaworld_steps_per_second": round(max(other)),
            "env_steps_per_second": round(max(own)),
            "ratio": round(max(own) / max(other), 2),
        }
    versions = {name: found[name] for name in ("metaworld", "mujoco", "stable-baselines3")}
    return {"versions": versions, "metaworld_control_step": found["control_step"], "tasks": tasks}


def _steps_per_second(env: Any, seconds: float) -> float:
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1.0, 1.0, (HORIZON, env.num_envs, ACTION_SIZE)).astype(np.float32)
    env.reset(seed=0)
    steps, began = 0, time.perf_counter()
    while not steps or time.perf_counter() - began < seconds:
        for action in actions:
            env.step(action)
        steps += HORIZON * env.num_envs
    return steps / (time.perf_counter() - began)


def show(result: dict[str, Any], num_envs: int, console: LiteralConsole) -> None:
    """Print what `metaworld_speed` returned as a table."""
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    theirs, ours = 1000 * result["metaworld_control_step"], 1000 * CONTROL_STEP
    table = Table(
        title=f"control steps a second beside Meta-World, {num_envs} simulations",
        title_justify="left",
        caption=f"{versions}; of several numbers of processes the fastest, of both sides the fastest turn. "
        f"Steps as the agent counts them: Meta-World's is {theirs:g} ms of simulated time, ours {ours:g} ms.",
        caption_justify="left",
    )
    table.add_column("task")
    for column in ("environment", "Meta-World", "processes", "ratio"):
        table.add_column(column, justify="right")
    for task, speed in result["tasks"].items():
        table.add_row(
            task,
            grouped(speed["env_steps_per_second"]),
            grouped(speed["metaworld_steps_per_second"]),
            str(speed["metaworld_processes"]),
            number(speed["ratio"], decimals=1),
        )
    console.print(table)
