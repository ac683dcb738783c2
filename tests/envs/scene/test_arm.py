"""The arm against the maker's published numbers, and the controller against its own equation."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from clrobot.envs.scene import arm
from clrobot.envs.simulation.simulation import Simulation, build_model
from clrobot.envs.tasks.reach import Reach

# Franka Emika's published table, Craig's convention: a (m), d (m), alpha (rad), of joints 1 to 7.
DH = [
    (0.0, 0.333, 0.0),
    (0.0, 0.0, -np.pi / 2),
    (0.0, 0.316, np.pi / 2),
    (0.0825, 0.0, np.pi / 2),
    (-0.0825, 0.384, -np.pi / 2),
    (0.0, 0.0, np.pi / 2),
    (0.088, 0.0, np.pi / 2),
]
# The data sheet's joint limits (rad) and torque limits (N m).
LOW = np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973])
HIGH = np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973])
TORQUE = np.array([87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0])
KP, KD = 1200.0, 120.0  # N/m, N s/m

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return build_model(Reach())


def _step(a: float, d: float, alpha: float, theta: float) -> Array:
    """Modified Denavit-Hartenberg: Rot_x(alpha) Trans_x(a) Rot_z(theta) Trans_z(d), (4, 4)."""
    ca, sa, ct, st = np.cos(alpha), np.sin(alpha), np.cos(theta), np.sin(theta)
    return np.array(
        [
            [ct, -st, 0, a],
            [st * ca, ct * ca, -sa, -sa * d],
            [st * sa, ct * sa, ca, ca * d],
            [0, 0, 0, 1],
        ]
    )


def _configurations(n: int) -> Array:
    return np.random.default_rng(1).uniform(LOW, HIGH, (n, 7))


def test_limits_are_the_data_sheets(model: mujoco.MjModel) -> None:
    joints = [model.joint(f"joint{i}").id for i in range(1, 8)]
    np.testing.assert_array_equal(model.jnt_range[joints], np.column_stack([LOW, HIGH]))
    np.testing.assert_array_equal(model.jnt_actfrcrange[joints], np.column_stack([-TORQUE, TORQUE]))
    assert model.jnt_limited[joints].all()
    assert model.jnt_actfrclimited[joints].all()


def test_forward_kinematics_is_the_published_one(model: mujoco.MjModel) -> None:
    data = mujoco.MjData(model)
    for q in _configurations(20):
        data.qpos[:7] = q
        mujoco.mj_kinematics(model, data)
        frame = np.eye(4)
        for number, (row, theta) in enumerate(zip(DH, q, strict=True), start=1):
            frame = frame @ _step(*row, theta)
            link = data.body(f"link{number}")
            np.testing.assert_allclose(link.xpos, frame[:3, 3], atol=1e-9)
            np.testing.assert_allclose(link.xmat.reshape(3, 3), frame[:3, :3], atol=1e-9)
        # The flange, 0.107 m on; the hand is turned by -45 degrees on it, and grips 0.1034 m further.
        hand = frame @ _step(0.0, 0.107, 0.0, -np.pi / 4)
        np.testing.assert_allclose(data.body("hand").xpos, hand[:3, 3], atol=1e-9)
        np.testing.assert_allclose(data.body("hand").xmat.reshape(3, 3), hand[:3, :3], atol=1e-9)
        pinch = hand @ _step(0.0, 0.1034, 0.0, 0.0)
        np.testing.assert_allclose(data.site("pinch").xpos, pinch[:3, 3], atol=1e-9)


def test_home_is_above_the_table_with_the_fingers_down(model: mujoco.MjModel) -> None:
    data = mujoco.MjData(model)
    home = np.array([joint.home for joint in arm.JOINTS])
    assert (home > LOW).all()
    assert (home < HIGH).all()
    data.qpos[:7] = home
    mujoco.mj_kinematics(model, data)
    np.testing.assert_allclose(data.site("pinch").xpos, arm.HOME, atol=1e-4)
    # The hand's z axis is the fingers' direction; they open along the world's y.
    np.testing.assert_allclose(data.site("pinch").xmat.reshape(3, 3), np.diag([1.0, -1.0, -1.0]), atol=1e-3)
    assert (arm.WORKSPACE_LOW < arm.HOME).all()
    assert (arm.HOME < arm.WORKSPACE_HIGH).all()


def test_gravity_is_compensated_everywhere(model: mujoco.MjModel) -> None:
    """At rest the bias forces are gravity's alone, and the compensation is their exact opposite."""
    data = mujoco.MjData(model)
    for q in _configurations(20):
        data.qpos[:7] = q
        data.qpos[7:9] = 0.02
        mujoco.mj_forward(model, data)
        assert np.abs(data.qfrc_bias[:9]).max() > 1.0  # there is something to compensate
        np.testing.assert_allclose(data.qfrc_gravcomp[:9], data.qfrc_bias[:9], atol=1e-9)


def test_the_arm_at_home_stays_there() -> None:
    sim = Simulation(Reach(), 2, threads=1)
    sim.reset()
    for _ in range(round(2.0 / arm.CONTROL_STEP)):
        sim.step(np.zeros((2, 4)))
        assert np.abs(sim.hand - arm.HOME).max() < 1e-3
    assert np.abs(sim.batch.bind("qvel")[:, :7]).max() < 1e-3


def test_the_controller_is_cartesian_impedance(model: mujoco.MjModel) -> None:
    """f = Kp (x_target - x) - Kd ẋ, in the world's axes."""
    data = mujoco.MjData(model)
    rng = np.random.default_rng(2)
    jacobian = np.zeros((3, model.nv))
    for q in _configurations(20):
        data.qpos[:7] = q
        data.qvel[:7] = rng.normal(size=7)
        data.ctrl[:3] = rng.uniform(arm.WORKSPACE_LOW, arm.WORKSPACE_HIGH)
        mujoco.mj_forward(model, data)
        pinch = data.site("pinch")
        mujoco.mj_jacSite(model, data, jacobian, None, pinch.id)
        expected = KP * (data.ctrl[:3] - pinch.xpos) - KD * (jacobian @ data.qvel)
        np.testing.assert_allclose(data.actuator_force[:3], expected, atol=1e-6)
        # And no joint is asked for more than it can give.
        assert (np.abs(data.qfrc_actuator[:7]) <= TORQUE + 1e-9).all()
