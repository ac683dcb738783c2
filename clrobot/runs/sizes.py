"""How large the files of a run can be, from its settings: what is larger is not even read for its checksum.

A stranger's file may have 20 GB of nothing (a sparse one takes no place on a disk), and agree with its checksum.
"""

from __future__ import annotations

from typing import Final

from clrobot.experiment.config import RunConfig
from clrobot.experiment.layout import layout
from clrobot.experiment.memory import memory_parts, total_memory

ROOM: Final = 2**28  # bytes that any file may have, whatever the settings
_SPARE: Final = 4  # the estimates are of the least
_NUMBER: Final = 8  # bytes


def checkpoint_sizes(config: RunConfig) -> dict[str, int]:
    """Return the most bytes of each file of a checkpoint.

    Raises:
        UserError: the settings' worlds have not been measured.
    """
    network = _network(config)
    sizes = {
        "checkpoint.json": 0.0,
        "method.safetensors": network + config.memory_limit_mb * 2**20,
        "weights.safetensors": network,
    }
    return _with_room(sizes)


def snapshot_sizes(config: RunConfig) -> dict[str, int]:
    """Return the most bytes of each file of a snapshot.

    Raises:
        UserError: the settings' worlds have not been measured.
    """
    network, parts = _network(config), memory_parts(config)
    sizes = {
        "algorithm.safetensors": network + parts.get("sac.buffer-size", 0.0),
        "arrays.safetensors": parts[f"{config.algo}.num-envs"],
        "generators.json": 0.0,
        "method.safetensors": network + config.memory_limit_mb * 2**20,
        "optimizer.safetensors": network,
        "progress.json": 0.0,
        "run.json": 0.0,
        "weights.safetensors": network,
    }
    return _with_room(sizes)


def _network(config: RunConfig) -> float:
    """Return about the bytes of all networks: hidden layers, and for each slot a head and how its task looks."""
    wide = layout(config.curriculum).size + sum(config.network.widths)
    return memory_parts(config)["network.widths"] + len(config.curriculum.stages) * wide**2 * _NUMBER


def _with_room(sizes: dict[str, float]) -> dict[str, int]:
    """Return sizes with what the estimates leave out; no more than this machine could hold."""
    most = total_memory() or 2**63
    return {name: min(int(ROOM + _SPARE * size), max(most, ROOM)) for name, size in sizes.items()}
