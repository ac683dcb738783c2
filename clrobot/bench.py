"""How fast the simulations and PPO are, as ratios taken in one run, and what a film's pictures cost."""

from __future__ import annotations

import json as json_module
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from clrobot.against_metaworld import ask, metaworld_speed
from clrobot.against_metaworld import show as show_metaworld
from clrobot.curriculum import TASK_IDS, nearest
from clrobot.envs.arm import SUBSTEPS, TIME_STEP
from clrobot.envs.make import make_vector_env
from clrobot.envs.render import RenderError, open_renderer
from clrobot.envs.sim import ACTION_SIZE, HORIZON
from clrobot.errors import UserError

_ROUNDS = 5  # the environment and its bare physics take turns, so that a drifting machine slows both


def run_bench(
    num_envs: int, seconds: float, ppo_task: str, metaworld: Path | None, path: Path | None, console: Console
) -> dict[str, Any]:
    """Measure, print and (given a path) write the figures as JSON; see `clrobot bench --help`."""
    if ppo_task not in TASK_IDS:
        raise UserError(f"unknown task {ppo_task!r}{nearest(ppo_task, TASK_IDS)}")
    if not 0 < seconds <= 3600:
        raise UserError(f"--seconds {seconds}; expected a positive number, at most 3600")
    if metaworld is not None:
        ask(metaworld)  # before minutes are spent
    result: dict[str, Any] = {
        "machine": {"cpu_count": os.cpu_count(), "machine": platform.machine(), "mujoco": version("mujoco")},
        "num_envs": num_envs,
        "time_step": TIME_STEP,
        "substeps": SUBSTEPS,
        "tasks": {task: simulation_speed(task, num_envs, seconds) for task in TASK_IDS},
        "ppo": ppo_speed(ppo_task, seconds),
        "render": render_speed(ppo_task, seconds),
    }
    if metaworld is not None:
        result["metaworld"] = metaworld_speed(metaworld, num_envs, seconds)
    if path is not None:
        try:
            path.write_text(json_module.dumps(result, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"--json {path}: {error.strerror}; give a file that can be written") from error
    _show(result, console)
    if metaworld is not None:
        show_metaworld(result["metaworld"], num_envs, console)
    return result


def simulation_speed(task: str, num_envs: int, seconds: float) -> dict[str, float]:
    """Return control steps a second of the batched environment and of its bare physics, and their ratio.

    The bare physics repeats the environment's episodes: the same model, batch, start states, controls and substeps,
    and nothing else (no start states, observations, rewards or autoreset are computed in its time).
    """
    env = make_vector_env(task, num_envs)
    batch = env.sim.batch
    rng = np.random.default_rng(0)
    ctrl = batch.bind("ctrl")
    env_rates, bare_rates, ratios = [], [], []
    for _ in range(_ROUNDS):
        env_time = bare_time = 0.0
        steps = 0
        while env_time + bare_time < seconds / _ROUNDS:
            env.reset(seed=int(rng.integers(2**31)))
            start = batch.state.copy()
            actions = rng.uniform(-1.0, 1.0, (HORIZON, num_envs, ACTION_SIZE)).astype(np.float32)
            controls = np.empty((HORIZON, *ctrl.shape))
            began = time.perf_counter()
            for t in range(HORIZON):
                env.step(actions[t])
            env_time += time.perf_counter() - began
            # Once more, untimed, for the controls.
            batch.state[:] = start
            batch.forward()
            env.sim.elapsed[:] = 0
            for t in range(HORIZON - 1):
                env.step(actions[t])
                controls[t] = ctrl
            controls[-1] = controls[-2]
            batch.state[:] = start
            batch.forward()
            began = time.perf_counter()
            for t in range(HORIZON):
                ctrl[:] = controls[t]
                batch.step(nstep=SUBSTEPS)
            bare_time += time.perf_counter() - began
            steps += HORIZON * num_envs
        env_rates.append(steps / env_time)
        bare_rates.append(steps / bare_time)
        ratios.append(bare_time / env_time)
    return {
        "env_steps_per_second": round(median(env_rates)),
        "bare_steps_per_second": round(median(bare_rates)),
        "ratio": round(median(ratios), 4),
    }


def ppo_speed(task: str, seconds: float) -> dict[str, Any]:
    """Return PPO's control steps a second, end to end, and the shares of physics, learning and the rest.

    Physics is the time inside MuJoCo's step; learning is PPO's update and its choice of actions' share is in the
    rest, with observations, rewards, buffers and Stable-Baselines3's own loop.
    """
    import torch

    from clrobot.config import make_algorithm, make_config, network_arguments
    from clrobot.sb3_env import SlotVecEnv

    torch.set_num_threads(1)
    config = make_config()
    algorithm = make_algorithm(config)
    settings = algorithm.settings
    env = make_vector_env(task, settings.num_envs, stagger=True)
    vec_env = SlotVecEnv(env, 0)
    vec_env.seed(0)
    model: Any = algorithm.make(vec_env, network_arguments(config), 0, "cpu")
    iteration = algorithm.iteration
    clock = _Clock()
    env.sim.batch = _TimedBatch(env.sim.batch, clock)
    train = model.train

    def timed_train() -> None:
        with clock.of("learning"):
            train()

    model.train = timed_train
    algorithm.begin_slot(model, 1, vec_env, iteration)
    model.learn(iteration, reset_num_timesteps=False)  # warm up
    clock.seconds.clear()
    steps, began = 0, time.perf_counter()
    while time.perf_counter() - began < 3 * seconds:
        model.learn(5 * iteration, reset_num_timesteps=False)
        steps += 5 * iteration
    total = time.perf_counter() - began
    shares = {name: round(value / total, 4) for name, value in clock.seconds.items()}
    return {
        "task": task,
        "num_envs": settings.num_envs,
        "steps_per_second": round(steps / total),
        "shares": shares | {"rest": round(1.0 - sum(shares.values()), 4)},
    }


def render_speed(task: str, seconds: float) -> dict[str, Any]:
    """Return the milliseconds that a 480 x 480 picture costs each renderer that works here, by its name.

    They are of the process's CPU time, over all threads, after an episode's first picture.
    """
    env = make_vector_env(task, 1)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    states = []
    for _ in range(HORIZON - 1):  # the last step would come back as the next episode's start
        env.step(rng.uniform(-1.0, 1.0, (1, ACTION_SIZE)).astype(np.float32))
        states.append(env.sim.batch.state[0].copy())
    result: dict[str, Any] = {"task": task}
    for backend in ("gl", "raycast"):
        try:
            renderer = open_renderer(env.sim.model, backend=backend)
        except RenderError:  # no OpenGL here, or a MuJoCo that casts no rays
            continue
        with renderer:
            renderer.frame(states[0])
            began, wall, drawn = time.process_time(), time.perf_counter(), 0
            while time.perf_counter() - wall < seconds:
                renderer.frame(states[drawn % len(states)])
                drawn += 1
            result[backend] = round(1000 * (time.process_time() - began) / drawn, 1)
    return result


class _Clock:
    """Sums seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def of(self, name: str) -> _Lap:
        return _Lap(self, name)


class _Lap:
    def __init__(self, clock: _Clock, name: str) -> None:
        self.clock, self.name = clock, name

    def __enter__(self) -> None:
        self.began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        spent = time.perf_counter() - self.began
        self.clock.seconds[self.name] = self.clock.seconds.get(self.name, 0.0) + spent


class _TimedBatch:
    """A batch whose `step` is timed; everything else is passed on."""

    def __init__(self, batch: Any, clock: _Clock) -> None:
        self._batch, self._clock = batch, clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def step(self, *args: Any, **kwargs: Any) -> None:
        with self._clock.of("physics"):
            self._batch.step(*args, **kwargs)


def _show(result: dict[str, Any], console: Console) -> None:
    table = Table(title=f"control steps a second, {result['num_envs']} simulations", title_justify="left")
    table.add_column("task")
    for column in ("environment", "bare physics", "ratio"):
        table.add_column(column, justify="right")
    for task, speed in result["tasks"].items():
        table.add_row(
            task,
            f"{speed['env_steps_per_second']:,}",
            f"{speed['bare_steps_per_second']:,}",
            f"{speed['ratio']:.3f}",
        )
    console.print(table)
    ppo = result["ppo"]
    shares = ", ".join(f"{name} {share:.0%}" for name, share in ppo["shares"].items())
    console.print(
        f"PPO on {ppo['task']}, {ppo['num_envs']} simulations: {ppo['steps_per_second']:,} steps/s ({shares})",
        highlight=False,
    )
    render = result["render"]
    costs = ", ".join(f"{name} {cost} ms" for name, cost in render.items() if name != "task")
    console.print(f"a picture of {render['task']}, CPU time: {costs or 'no renderer works here'}", highlight=False)
