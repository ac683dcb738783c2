"""Installed distributions with entry points, as the files that pip would leave in a folder of `sys.path`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

TASK = '''
import numpy as np
import clrobot
from clrobot.envs.simulation.features import Features
from clrobot.envs.simulation.task import Box


class Hover(clrobot.Task):
    """Hold the hand at a height."""

    id = "hover"
    varies = {"goal": Box((0.4, 0.0, 0.1), (0.6, 0.1, 0.3))}
    weights = {"near": 1.0}

    def build(self, spec):
        spec.worldbody.add_body(name="goal", mocap=True).add_site(name="goal")

    def place(self, sim, ids, drawn):
        sim.mocap_pos("goal")[ids] = drawn["goal"]

    def features(self, sim):
        return Features(object=sim.hand, goal=sim.site("goal"))

    def reward_terms(self, sim, features):
        return {"near": np.exp(-features.distance)}

    def success(self, sim, features):
        return features.distance < 0.05
'''


def install(
    site: Path,
    name: str,
    entry_points: Mapping[str, Mapping[str, str]],
    modules: Mapping[str, str],
) -> None:
    """Lay out a distribution in `site`.

    Args:
        site: a folder of `sys.path`.
        name: the distribution's.
        entry_points: by group, then by name: `module:attribute`.
        modules: source text by name.
    """
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for group, entries in entry_points.items():
        lines += [f"[{group}]", *(f"{entry} = {value}" for entry, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for module, text in modules.items():
        (site / f"{module}.py").write_text(text)
