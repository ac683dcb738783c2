"""What a gradient step costs, beside the matrix products and tanh in it alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median

import torch as th

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.methods.finetune import Finetune
from clrobot.agents.methods.shared.gradient_hooks import gradient_hooks
from clrobot.benchmarks.learning import fresh_learner
from clrobot.experiment.config import make_config
from clrobot.experiment.curriculum import Stage

_ROUNDS = 5  # at least


def learning_speed(task: str, seconds: float, threads: int = 0) -> dict[str, float | int | str]:
    """Return the milliseconds of PPO's gradient step as a training takes it, of its floor, and their ratio.

    Both are taken in turns, one update's steps at a time, and the median turn counts. The step is Stable-Baselines3's
    `train` within the hooks of fine-tuning, divided by its minibatches; the floor are the same networks' matrix
    products and tanh, forward and backward, over a minibatch, in memory made beforehand.
    """
    config = make_config(threads=threads)
    algorithm, model, _ = fresh_learner(config, Stage(task=task, steps=1), 0, 1)
    learner = Learner(algorithm, model)
    networks = (learner.policy.actor_net, *learner.policy.critic_nets)
    size: int = model.batch_size
    steps = model.n_epochs * -(-algorithm.iteration // size)
    floor = _floor([(net.inputs, *net.widths, net.outputs) for net in networks], size)
    step_times: list[float] = []
    floor_times: list[float] = []
    train: Callable[[], None] = model.train

    def timed() -> None:
        began = time.perf_counter()
        train()
        step_times.append(time.perf_counter() - began)

    model.train = timed
    with gradient_hooks(learner, Finetune(Finetune.Settings())):
        model.learn(algorithm.iteration, reset_num_timesteps=False)  # warm up
        step_times.clear()
        started = time.perf_counter()
        while len(step_times) < _ROUNDS or time.perf_counter() - started < seconds:
            model.learn(algorithm.iteration, reset_num_timesteps=False)
            began = time.perf_counter()
            for _ in range(steps):
                floor()
            floor_times.append(time.perf_counter() - began)
    del model.train  # the class's own again
    step_ms, floor_ms = (1000 * median(times) / steps for times in (step_times, floor_times))
    return {
        "task": task,
        "batch_size": size,
        "step_ms": round(step_ms, 3),
        "floor_ms": round(floor_ms, 3),
        "ratio": round(step_ms / floor_ms, 3),
    }


def _floor(networks: list[tuple[int, ...]], rows: int) -> Callable[[], None]:
    """Return what computes products and tanh of networks of these layer sizes, forward and backward, and no more."""

    def of_one(sizes: tuple[int, ...]) -> Callable[[], None]:
        generator = th.Generator().manual_seed(0)
        x = th.randn(rows, sizes[0], generator=generator)
        weights = [th.randn(b, a, generator=generator) / a**0.5 for a, b in pairwise(sizes)]
        outputs = [th.empty(rows, size) for size in sizes[1:]]
        deltas = [th.empty(rows, size) for size in sizes[1:]]
        deltas[-1].copy_(th.randn(rows, sizes[-1], generator=generator))
        gradients = [th.empty_like(weight) for weight in weights]
        inputs = [x, *outputs[:-1]]

        def run() -> None:
            for i, weight in enumerate(weights):
                th.mm(inputs[i], weight.t(), out=outputs[i])
                if i < len(weights) - 1:
                    outputs[i].tanh_()
            for i in reversed(range(len(weights))):
                th.mm(deltas[i].t(), inputs[i], out=gradients[i])
                if i:
                    th.mm(deltas[i], weights[i], out=deltas[i - 1])

        return run

    parts = [of_one(sizes) for sizes in networks]

    def run() -> None:
        for part in parts:
            part()

    return run
