"""How fast the simulations and PPO are, as ratios taken in one run, and what a film's pictures cost."""

from __future__ import annotations

import json as json_module
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrobot.benchmarks.against_envpool import check_envpool, envpool_speed, show_speed
from clrobot.benchmarks.against_metaworld import ask, metaworld_speed
from clrobot.benchmarks.against_metaworld import show as show_metaworld
from clrobot.benchmarks.learning_speed import learning_speed
from clrobot.envs.rendering import RenderError, open_renderer
from clrobot.envs.scene.arm import SUBSTEPS, TIME_STEP
from clrobot.envs.simulation.actions import ACTION_SIZE
from clrobot.envs.simulation.physics_version import PHYSICS_VERSION
from clrobot.envs.simulation.simulation import HORIZON
from clrobot.envs.tasks import TASKS_BY_ID
from clrobot.envs.worlds.make import make_vector_env
from clrobot.errors import UserError
from clrobot.experiment.curriculum import Stage
from clrobot.experiment.torch_threads import torch_threads_put_back
from clrobot.files import atomic
from clrobot.results.numbers import grouped, number, percent
from clrobot.runs.environment import versions
from clrobot.source import source_commit
from clrobot.terminal import LiteralConsole

_ROUNDS = 5  # at least, of the environment and its bare physics
_BLOCK = 10  # control steps in a turn: short, so that a drifting machine slows both


def run_bench(
    num_envs: int,
    seconds: float,
    ppo_task: str,
    metaworld: Path | None,
    path: Path | None,
    console: LiteralConsole,
    threads: int = 0,
    *,
    envpool: Path | None = None,
    envpool_learning: Path | None = None,
) -> dict[str, Any]:
    """Measure, print each figure once it is there, and write them as JSON to `path`; see `clrobot bench --help`."""
    _ = TASKS_BY_ID[ppo_task]  # refused before anything is measured
    if metaworld is not None:
        ask(metaworld)  # before minutes are spent
    if envpool is not None:
        check_envpool(envpool)
    if envpool_learning is not None:
        if envpool is None:
            raise UserError(f"--envpool-learning {envpool_learning}: give --envpool a Python that has EnvPool too")
        from clrobot.benchmarks.envpool_learning import check_learning

        check_learning(envpool, envpool_learning)
    result: dict[str, Any] = {
        "machine": {
            "cpu_count": os.cpu_count(),
            "machine": platform.machine(),
            "versions": versions(),
            "commit": source_commit(),
            "physics": PHYSICS_VERSION,
        },
        "num_envs": num_envs,
        "threads": threads,
        "time_step": TIME_STEP,
        "substeps": SUBSTEPS,
        "tasks": {},
    }
    _measure_simulations(result["tasks"], num_envs, seconds, threads, console)
    ppo = result["ppo"] = ppo_speed(ppo_task, seconds, threads)
    shares = ", ".join(f"{name} {percent(share)}" for name, share in ppo["shares"].items())
    pace = f"{ppo['steps_per_second']:,} steps/s ({shares})"
    console.print(f"PPO on {ppo['task']}, {ppo['num_envs']} simulations: {pace}")

    learning = result["learning"] = learning_speed(ppo_task, seconds, threads)
    times = f"{learning['step_ms']} ms, {learning['ratio']} times its products and tanh ({learning['floor_ms']} ms)"
    console.print(f"PPO's gradient step: {times}")

    render = result["render"] = render_speed(ppo_task, seconds)
    costs = ", ".join(f"{name} {cost} ms" for name, cost in render.items() if name != "task")
    console.print(f"a picture of {render['task']}, CPU time: {costs or 'no renderer works here'}")

    if metaworld is not None:
        result["metaworld"] = metaworld_speed(metaworld, num_envs, seconds, threads)
        show_metaworld(result["metaworld"], num_envs, console)
    if envpool is not None:
        result["envpool"] = envpool_speed(envpool, num_envs, seconds, threads)
        show_speed(result["envpool"], console)
    if envpool is not None and envpool_learning is not None:
        from clrobot.benchmarks.envpool_learning import measure_learning, show_learning

        def tell(line: str) -> None:
            console.print(line, soft_wrap=True)

        result["envpool"]["learning"] = measure_learning(envpool, envpool_learning, tell, threads)
        show_learning(result["envpool"]["learning"], console)
    if path is not None:
        try:
            with atomic(path) as unfinished:
                unfinished.write_text(json_module.dumps(result, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"--json {path}: {error.strerror}; give a file that can be written") from error
    return result


def _measure_simulations(
    speeds: dict[str, Any], num_envs: int, seconds: float, threads: int, console: LiteralConsole
) -> None:
    """Measure every task's simulations, and note each in `speeds` once it is printed."""
    console.print(f"control steps a second, {num_envs} simulations; of each turn the fastest", style="italic")
    console.print(f"{'task':<14}{'environment':>13}{'bare physics':>14}{'ratio':>8}", style="bold")
    for task in TASKS_BY_ID:
        speed = speeds[task] = simulation_speed(task, num_envs, seconds, threads)
        numbers = f"{speed['env_steps_per_second']:>13,}{speed['bare_steps_per_second']:>14,}{speed['ratio']:>8.3f}"
        console.print(f"{task:<14}{numbers}")
    middle = median(speed["env_steps_per_second"] for speed in speeds.values())
    least = min(speed["ratio"] for speed in speeds.values())
    console.print(
        f"the median environment: {grouped(middle)} steps/s; the least ratio: {number(least, decimals=3)}",
    )


def simulation_speed(task: str, num_envs: int, seconds: float, threads: int = 0) -> dict[str, float]:
    """Return control steps a second of the batched environment and of its bare physics, and their ratio.

    Both go through one and the same episode in every round, in turns of `_BLOCK` control steps: the bare physics
    repeats the environment's model, batch, start states, controls and substeps, and nothing else (no start states,
    observations, rewards or autoreset are computed in its time). Of each turn the fastest round counts, since
    whatever else the machine does only adds time; `median_ratio` is that of whole rounds.
    """
    env = make_vector_env(task, num_envs, threads=threads)
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (HORIZON, num_envs, ACTION_SIZE)).astype(np.float32)
    start, controls = _episode(env, actions)
    bare = make_vector_env(task, num_envs, threads=threads).sim.batch
    ctrl = bare.bind("ctrl")
    env_rounds: list[list[float]] = []
    bare_rounds: list[list[float]] = []
    started = time.perf_counter()
    while len(env_rounds) < _ROUNDS or time.perf_counter() - started < seconds:
        env.reset(seed=0)
        bare.state[:] = start
        bare.forward()
        env_turns, bare_turns = [], []
        for first in range(0, HORIZON, _BLOCK):
            turn = slice(first, first + _BLOCK)
            began = time.perf_counter()
            for action in actions[turn]:
                env.step(action)
            changed = time.perf_counter()
            for control in controls[turn]:
                ctrl[:] = control
                bare.step(nstep=SUBSTEPS)
            bare_turns.append(time.perf_counter() - changed)
            env_turns.append(changed - began)
        env_rounds.append(env_turns)
        bare_rounds.append(bare_turns)
    env_times, bare_times = np.array(env_rounds), np.array(bare_rounds)  # s, (rounds, turns)
    env_best, bare_best = env_times.min(axis=0).sum(), bare_times.min(axis=0).sum()
    return {
        "env_steps_per_second": round(HORIZON * num_envs / env_best),
        "bare_steps_per_second": round(HORIZON * num_envs / bare_best),
        "ratio": round(bare_best / env_best, 4),
        "median_ratio": round(float(np.median(bare_times.sum(axis=1) / env_times.sum(axis=1))), 4),
    }


def _episode(env: Any, actions: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the start states (N, nstate) and the controls (HORIZON, N, nu) of the episode of seed 0."""
    env.reset(seed=0)
    start, ctrl = env.sim.batch.state.copy(), env.sim.batch.bind("ctrl")
    controls = np.empty((len(actions), *ctrl.shape))
    for control, action in zip(controls, actions, strict=True):
        env.step(action)
        control[:] = ctrl
    controls[-1] = controls[-2]  # the last step comes back at the next start
    return start, controls


@torch_threads_put_back()
def ppo_speed(task: str, seconds: float, threads: int = 0) -> dict[str, Any]:
    """Return PPO's control steps a second, end to end, and the shares of what takes the time.

    Physics is the time inside MuJoCo's step, learning PPO's update, acting the networks' choice of actions and the
    values for it; the rest is observations, rewards, resets, buffers and Stable-Baselines3's own loop.
    """
    from clrobot.benchmarks.learning import fresh_learner
    from clrobot.experiment.config import make_config

    algorithm, model, vec_env = fresh_learner(make_config(threads=threads), Stage(task=task, steps=1), 0, 1)
    iteration = algorithm.iteration
    seconds_of: dict[str, float] = {}

    def timing(function: Callable[..., Any], kind: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            result = function(*args, **kwargs)
            seconds_of[kind] = seconds_of.get(kind, 0.0) + time.perf_counter() - began
            return result

        return timed

    sim: Any = vec_env.env.sim  # type: ignore[attr-defined]
    for part, name, kind in (
        (sim.batch, "step", "physics"),
        (model, "train", "learning"),
        (model.rollout_buffer, "compute_returns_and_advantage", "learning"),
        (model.policy, "forward", "acting"),
        (model.policy, "predict_values", "acting"),
    ):
        setattr(part, name, timing(getattr(part, name), kind))
    model.learn(iteration, reset_num_timesteps=False)  # warm up
    seconds_of.clear()
    steps, began = 0, time.perf_counter()
    while not steps or time.perf_counter() - began < 3 * seconds:
        model.learn(5 * iteration, reset_num_timesteps=False)
        steps += 5 * iteration
    total = time.perf_counter() - began
    shares = {name: round(value / total, 4) for name, value in seconds_of.items()}
    return {
        "task": task,
        "num_envs": vec_env.num_envs,
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
            while not drawn or time.perf_counter() - wall < seconds:
                renderer.frame(states[drawn % len(states)])
                drawn += 1
            result[backend] = round(1000 * (time.process_time() - began) / drawn, 1)
    return result
