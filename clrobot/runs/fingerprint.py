"""What a machine computes, in a few numbers: written into every run, so that another machine can say how it differs.

Two probes, which no setting of a run changes but torch's threads: native tasks stepped from fixed states with fixed
actions, and one update of a tiny PPO with fixed weights and data, on the CPU. Where their hashes are the same, so are
the bits; where only their numbers are close, libraries or processors round in another way.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Annotated, Any, Final

import gymnasium as gym
import numpy as np
import torch as th
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger

from clrobot.agents.compiler import Adam
from clrobot.envs.worlds.make import make_vector_env
from clrobot.experiment.torch_threads import torch_threads_put_back

FORMAT: Final = 1  # raise it when a probe changes: older fingerprints are then not compared

_TASKS = ("reach", "push", "drawer-open", "button-press")
_STEPS, _SIMULATIONS = 6, 2
_SAMPLES, _OBSERVATION, _ACTION = 64, 40, 4  # of the tiny update
_CLOSE = {"physics": 1e-5, "learning": 1e-4}  # what rounding makes of the probes' numbers, and no more
_MOST = 64  # numbers of a probe; it has 32

_Word = Annotated[str, Field(max_length=64)]


class Probe(BaseModel):
    """What one probe gives: the hash of all its bits, and some of its numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    numbers: Annotated[tuple[float, ...], Field(min_length=1, max_length=_MOST)]


class Fingerprint(BaseModel):
    """What a machine computes.

    Attributes:
        format: of the probes.
        physics: of the tasks.
        learning: of the update.
        features: of the processor, as numpy and torch use them.
        threads: of torch, in both probes and in the run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Annotated[int, Field(ge=1, le=10**6)]
    physics: Probe
    learning: Probe
    features: Annotated[tuple[_Word, ...], Field(max_length=200)]
    threads: Annotated[int, Field(ge=1, le=10**6)]


def is_close(kind: str, then: Probe, now: Probe) -> bool:
    """Return whether two results of a probe, `physics` or `learning`, differ by rounding at most."""
    same = len(then.numbers) == len(now.numbers)
    return same and bool(np.allclose(then.numbers, now.numbers, rtol=_CLOSE[kind], atol=_CLOSE[kind]))


def fingerprint(threads: int) -> Fingerprint:
    """Return what this machine computes, with so many threads of torch; no generator of random numbers is moved.

    It takes a fifth of a second, once in a process.
    """
    with torch_threads_put_back():
        th.set_num_threads(threads)
        return _fingerprint(threads)


@cache
def _fingerprint(threads: int) -> Fingerprint:
    return Fingerprint(format=FORMAT, physics=_physics(), learning=_learning(), features=_features(), threads=threads)


def _physics() -> Probe:
    found: list[NDArray[Any]] = []
    for task in _TASKS:
        env = make_vector_env(task, _SIMULATIONS, threads=1)
        try:
            observations, _ = env.reset(seed=0)
            found.append(observations)
            for step in range(_STEPS):
                observations, rewards, *_ = env.step(_pattern((_SIMULATIONS, 4), 1 + step))
                found += [observations, rewards]
        finally:
            env.close()
    ends = [array[0, 1::4][:8] for array in found[2 * _STEPS - 1 :: 2 * _STEPS + 1]]
    return _probe(found, np.concatenate(ends))


def _learning() -> Probe:
    with _generators_put_back():
        model = PPO(
            "MlpPolicy",
            _Nothing(),
            n_steps=_SAMPLES,
            batch_size=_SAMPLES // 2,
            n_epochs=2,
            seed=0,
            device="cpu",
            policy_kwargs={"net_arch": [64, 64], "optimizer_class": Adam},
        )
        model.set_logger(Logger(None, []))
        with th.no_grad():
            for i, weights in enumerate(model.policy.parameters()):
                weights.copy_(th.from_numpy(_pattern(tuple(weights.shape), i)) / 8)
        buffer = model.rollout_buffer
        for i, name in enumerate(("observations", "actions", "values", "log_probs", "advantages", "returns")):
            array = getattr(buffer, name)
            array[:] = _pattern(array.shape, 10 + i)
        buffer.log_probs -= 4  # of four actions
        buffer.pos, buffer.full = _SAMPLES, True
        model.train()
        after: list[NDArray[Any]] = [parameter.detach().numpy() for parameter in model.policy.parameters()]
    return _probe(after, np.concatenate([array.ravel()[:4] for array in after])[:32])


def _pattern(shape: tuple[int, ...], n: int) -> NDArray[np.float32]:
    """Return numbers in [-1, 1] that no library rounds: multiples of 1/512."""
    numbers = np.arange(np.prod(shape, dtype=int), dtype=np.int64)
    values = ((numbers * 7919 + 104_729 * n) % 1009 - 504) / 512
    return values.reshape(shape).astype(np.float32)


def _probe(arrays: list[Any], numbers: NDArray[Any]) -> Probe:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return Probe(sha256=digest.hexdigest(), numbers=tuple(float(number) for number in numbers))


def _features() -> tuple[str, ...]:
    shown = np.show_config(mode="dicts")
    found = shown.get("SIMD Extensions", {}).get("found", []) if isinstance(shown, dict) else []
    return (*(str(name)[:64] for name in found), f"torch {th.backends.cpu.get_cpu_capability()}")


@contextmanager
def _generators_put_back() -> Iterator[None]:
    """Seeding the tiny model seeds every global generator; the run's own may be among them."""
    python, arrays = random.getstate(), np.random.get_state()  # noqa: NPY002
    with th.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(arrays)  # noqa: NPY002


class _Nothing(gym.Env[NDArray[np.float32], NDArray[np.float32]]):
    """What a model is made for: two spaces, and nothing ever happens."""

    def __init__(self) -> None:
        self.observation_space = gym.spaces.Box(-1, 1, (_OBSERVATION,), np.float32)
        self.action_space = gym.spaces.Box(-1, 1, (_ACTION,), np.float32)
