"""How much memory a training will take, estimated from its settings before anything is made."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

from clrobot.envs.worlds.kinds import kind_of
from clrobot.errors import UserError
from clrobot.experiment.choices import method_classes
from clrobot.experiment.config import RunConfig
from clrobot.experiment.layout import layout

_NUMBER = 4  # bytes
_KEPT_PER_WEIGHT = 4  # itself, its gradient, Adam's two moments


def check_memory(config: RunConfig) -> None:
    """Refuse settings that this machine could never hold.

    Raises:
        UserError: they need more than all of its memory; the setting that needs most is named.
    """
    parts = memory_parts(config)
    needed, there = sum(parts.values()), total_memory()
    if there is not None and needed > there:
        most = max(parts, key=lambda name: parts[name])
        raise UserError(
            f"these settings need about {_gib(needed)} of memory, {_gib(parts[most])} of it for --{most}, and this "
            f"machine has {_gib(there)}; make that smaller"
        )


def memory_parts(config: RunConfig) -> dict[str, float]:
    """Return the bytes that are needed at least, about, by the setting that they grow with.

    There are an actor and a critic (SAC: two critics and their targets).
    """
    own = getattr(config, config.algo)
    evaluation, stages = config.evaluation, config.curriculum.stages
    common = layout(config.curriculum)
    seen = common.size + 1
    row = seen + common.actions + 6  # of a rollout: observation, slot, action, and what belongs to them
    widths = (seen, *config.network.widths)
    networks = 2 if config.algo == "ppo" else 5
    weights = hidden_weights(config, len(stages)) * networks
    if config.algo == "ppo":
        rollout = {"ppo.n-steps": float(own.num_envs * own.n_steps * row * _NUMBER)}
        batch = min(own.batch_size, own.num_envs * own.n_steps)
    else:
        rollout = {"sac.buffer-size": float(own.buffer_size * (row + common.size) * _NUMBER)}
        batch = own.batch_size
    both = 4 * evaluation.episodes // 3  # with mean and with sampled actions
    tasks = [stage.task for stage in stages]
    worlds = {stage.world: stage.task for stage in stages}.values()
    passing = max(_passing(task) for task in tasks)  # one evaluation's, of one world, at a time
    return rollout | {
        "network.widths": weights * _NUMBER * _KEPT_PER_WEIGHT,
        f"{config.algo}.batch-size": float(batch * sum(widths) * networks * 2 * _NUMBER),
        f"{config.algo}.num-envs": float(own.num_envs * max(map(_simulation, tasks))),
        "evaluation.episodes": float(
            (both + evaluation.zero_shot_episodes) * sum(map(_kept, worlds)) + both * passing
        ),
        "evaluation.curve-episodes": float(
            evaluation.curve_episodes * sum(map(_kept, tasks)) + max(evaluation.curve_episodes - both, 0) * passing
        )
        if evaluation.curve_points
        else 0.0,
    }


def _simulation(task: str) -> int:
    return kind_of(task).simulation_bytes(task)


def _kept(task: str) -> int:
    """Return the bytes of a simulation that an evaluation keeps for the next; 0 where it goes."""
    return 0 if kind_of(task).lets_go else _simulation(task)


def _passing(task: str) -> int:
    """Return the bytes of a simulation that goes when an evaluation ends; 0 where it is kept."""
    return _simulation(task) - _kept(task)


def hidden_weights(config: RunConfig, slots: int) -> float:
    """Return about how many weights a network of so many slots has before its heads.

    Let w₁ … w_L be the widths. A network has Σ wᵢ wᵢ₊₁ weights between hidden layers, and a progressive network N
    columns, where column k also reads the k - 1 before it: N (N + 1) / 2 blocks in all (N where no column reads
    another, or where there is a frozen copy for each slot).
    """
    from clrobot.agents.networks.copied import CopiedNetwork
    from clrobot.agents.networks.progressive import IndependentNetwork, ProgressiveNetwork

    blocks = 1.0
    for part in method_classes(config.method):
        if issubclass(part.network_class(), IndependentNetwork | CopiedNetwork):
            blocks = slots
        elif issubclass(part.network_class(), ProgressiveNetwork):
            blocks = slots * (slots + 1) / 2
    return sum(a * b for a, b in pairwise((layout(config.curriculum).size + 1, *config.network.widths))) * blocks


def total_memory() -> int | None:
    """Return the bytes of memory that this process may use at most, or None where nobody says."""
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (OSError, ValueError):
        found = []
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):  # of a container
        try:
            found.append(int(Path(limit).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return min(found) if found else None


def _gib(size: float) -> str:
    gib = size / 2**30
    return f"{gib:,.0f} GiB" if gib >= 10 else f"{gib:.1f} GiB"
