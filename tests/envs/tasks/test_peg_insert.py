"""Peg-insert's reward: what a peg that leans earns."""

from __future__ import annotations

import numpy as np

from clrobot.envs.simulation.simulation import Simulation
from clrobot.envs.tasks.peg_insert import GRIP, LEAN, LEAN_MARGIN, PegInsert


def test_a_leaning_peg_counts_as_less_lifted() -> None:
    """The peg's grip between the fingertips, high in the air; leaning by the angle a, its tip is GRIP sin a aside."""
    angle = np.array([0.0, 0.1, 0.5, 1.2])
    sim = Simulation(PegInsert(), len(angle), threads=1)
    sim.reset()
    peg, zero = sim.joint_qpos("peg"), np.zeros_like(angle)
    peg[:, :3] = sim.hand - GRIP * np.stack([np.sin(angle), zero, np.cos(angle)], axis=1)
    peg[:, 3:] = np.stack([np.cos(angle / 2), zero, np.sin(angle / 2), zero], axis=1)
    sim.forward()
    lifted = sim.task.reward_terms(sim, sim.features())["lifted"]
    u = np.maximum(GRIP * np.sin(angle) - LEAN, 0.0) / LEAN_MARGIN
    np.testing.assert_allclose(lifted, 1.0 / (1.0 + 9.0 * u * u), rtol=1e-9)
    assert lifted[0] == lifted[1] == 1.0
    assert lifted[-1] < 0.4
