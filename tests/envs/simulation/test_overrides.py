"""Other worlds: which there are, that each changes the physics as it says, and that nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from conftest import Outcome
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray
from support.trainings import settings

from clrobot.envs.experts.episodes import expert_in, run_expert
from clrobot.envs.simulation.disturbance import IDLE
from clrobot.envs.simulation.observation import COLUMNS, OBS_SIZE
from clrobot.envs.simulation.overrides import OVERRIDES, alter, checked
from clrobot.envs.simulation.simulation import HORIZON, Simulation
from clrobot.envs.simulation.task import Task
from clrobot.envs.tasks import TASKS, TASKS_BY_ID
from clrobot.envs.worlds.make import make_env, make_vector_env
from clrobot.experiment.config import make_config
from clrobot.experiment.config_file import dump_config, read_config
from clrobot.experiment.curricula import CURRICULA
from clrobot.experiment.curriculum import Curriculum, Stage
from clrobot.experiment.yaml_file import load_curriculum
from clrobot.report.page import write_report
from clrobot.runs.references import reference_folder
from clrobot.training.training import train

G = 9.81  # m/s²
STIFFNESS = 1200.0  # N/m, of the hand's hold on its target
NOISE_AND_DELAY = {"sensor.noise": 0.1, "action.delay": 2}


def applies(task: type[Task], name: str) -> bool:
    try:
        checked(task, {name: 1})
    except ValueError:
        return False
    return True


WITH_OBJECTS = [task for task in TASKS if applies(task, "object.mass")]
WIDEST = (OVERRIDES["object.size"].low, OVERRIDES["object.size"].high)
SIZES = [
    (task, factor)
    for task in TASKS
    if applies(task, "object.size")
    for factor in task.override_ranges.get("object.size", WIDEST)
]


def simulation(task: str, overrides: dict[str, float] | None = None, n: int = 1, threads: int = 1) -> Simulation:
    sim = Simulation(TASKS_BY_ID[task](), n, threads, overrides)
    sim.seed(range(n))
    sim.reset()
    return sim


def same(a: Simulation, b: Simulation, rows: slice = slice(None)) -> bool:
    return bool((np.array(a.batch.state)[rows] == np.array(b.batch.state)[rows]).all())


# Which worlds there are --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "overrides", "sentence"),
    [
        ("push", {"object.frction": 1}, "unknown override 'object.frction'; did you mean object.friction?"),
        ("push", {"zzz": 1}, "unknown override 'zzz'; expected one of object.friction, object.mass, "),
        ("push", {"object.friction": 0}, "object.friction is 0; expected a number from 0.01 to 2"),
        ("push", {"object.mass": float("nan")}, "object.mass is nan; expected a number from 0.01 to 5"),
        ("push", {"object.mass": True}, "object.mass is True; expected a number"),
        ("push", {"object.mass": "heavy"}, "object.mass is heavy; expected a number"),
        ("push", {"action.delay": 1.5}, "action.delay is 1.5; expected a whole number from 0 to 10"),
        ("push", {"action.delay": 11}, "action.delay is 11; expected a whole number from 0 to 10"),
        ("push", {"object.size": 0.8}, "object.size is 0.8; expected a number from 0.9 to 1.5 for push"),
        ("peg-insert", {"object.size": 1.3}, "object.size is 1.3; expected a number from 0.5 to 1.2 for peg-insert"),
        ("reach", {"object.mass": 1}, "object.mass means nothing for reach: it has no object that moves freely"),
        ("push", {"joint.damping": 2}, "joint.damping means nothing for push: it has no mechanism"),
        ("button-press", {"joint.friction": 2}, "its mechanism has no dry friction"),
        ("peg-unplug", {"object.size": 1.1}, "its plug fits its socket at one size alone"),
    ],
)
def test_what_cannot_be_is_refused_everywhere(task: str, overrides: Any, sentence: str) -> None:
    for make in (
        lambda: Stage(task=task, steps=1, overrides=overrides),
        lambda: make_env(task, overrides=overrides),
        lambda: make_vector_env(task, 2, overrides=overrides),
        lambda: run_expert(TASKS_BY_ID[task], 2, overrides=overrides),
    ):
        with pytest.raises(ValueError, match=r"override|means nothing|expected") as caught:
            make()
        assert sentence in str(caught.value)


def test_a_file_s_world_is_refused_with_its_line(cli: Callable[..., Outcome], tmp_path: Path) -> None:
    for overrides, sentence in (
        ("{object.frction: 1}", "did you mean object.friction?"),
        ("{object.friction: 9}", "object.friction is 9; expected a number from 0.01 to 2"),
        ("{joint.damping: 2}", "joint.damping means nothing for push: it has no mechanism; leave it out"),
        ("[1]", "`stages.1.overrides` is [1]"),
    ):
        (tmp_path / "mine.yaml").write_text(
            f"name: a\nstages:\n  - {{task: push, steps: 9, overrides: {overrides}}}\n"
        )
        outcome = cli("train", "--curriculum", "mine.yaml")
        assert outcome.code == 2
        assert "line 3" in " ".join(outcome.err.split())
        assert sentence in " ".join(outcome.err.split())
        assert "Traceback" not in outcome.err
        assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_file_may_write_its_numbers_in_any_way(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: a\nstages: [{task: push, steps: 9, overrides: {object.mass: 5e-1, action.delay: 2.0}}]\n")
    assert load_curriculum(file).stages[0].overrides == {"object.mass": 0.5, "action.delay": 2}


def test_the_stages_of_no_other_world_are_written_as_before() -> None:
    assert Stage(task="push", steps=9).model_dump(mode="json") == {"task": "push", "steps": 9}
    other = Stage(task="push", steps=9, overrides={"object.mass": 1})
    assert other.model_dump(mode="json")["overrides"] == {"object.mass": 1.0}
    assert len({Stage(task="push", steps=9), other, Stage(task="push", steps=9, overrides={"object.mass": 1.0})}) == 2


def test_a_configuration_keeps_the_worlds(tmp_path: Path) -> None:
    config = make_config(curriculum="shift5", steps=64)
    assert [s.overrides for s in config.curriculum.stages] == [s.overrides for s in CURRICULA["shift5"].stages]
    (tmp_path / "mine.yaml").write_text(dump_config(config))
    assert read_config(tmp_path / "mine.yaml") == config


def test_a_reference_is_of_one_world(tmp_path: Path) -> None:
    config = make_config(curriculum="shift5", steps=64)
    assert len({reference_folder(tmp_path, config, slot) for slot in range(5)}) == 5
    plain = make_config(curriculum="shift5", steps=64).curriculum.stages[0]
    alone = make_config(curriculum=Curriculum(name="push", stages=(plain,)))
    assert reference_folder(tmp_path, alone) == reference_folder(tmp_path, config, 0)


# Each changes the physics as it says -------------------------------------------------------------------------


def slid(task: str, body: str, overrides: dict[str, float] | None) -> float:
    """How far an object slides over the table from 1 m/s, m."""
    sim = simulation(task, overrides)
    start = sim.joint_qpos(body)[0, :2].copy()
    velocity = sim.batch.bind("qvel")
    velocity[0, sim.model.joint(body).dofadr[0]] = -1.0  # towards the base, where nothing is in the way
    for _ in range(25):
        sim.step(np.zeros((1, 4)))
    return float(np.linalg.norm(sim.joint_qpos(body)[0, :2] - start))


@pytest.mark.parametrize("friction", [0.4, 0.6])
@pytest.mark.parametrize(("task", "body"), [("push", "puck"), ("pick-place", "cube")])
def test_an_object_slides_as_far_as_its_friction_lets_it(task: str, body: str, friction: float) -> None:
    # v² / (2 μ g), also where the table's own coefficient is the greater
    assert slid(task, body, {"object.friction": friction}) == pytest.approx(1 / (2 * friction * G), rel=0.1)


@pytest.mark.parametrize("task", WITH_OBJECTS, ids=lambda task: task.id)
def test_every_contact_of_an_object_has_its_friction(task: type[Task]) -> None:
    sim = simulation(task.id, {"object.friction": 0.37}, n=2)
    model, policy, touched = sim.model, expert_in(sim), set()
    objects = {model.joint(j).bodyid[0] for j in range(model.njnt) if model.joint(j).type[0] == 0}
    data = mujoco.MjData(model)
    for _ in range(40):
        sim.step(policy(sim.features()))
        sim.batch.get_data(0, data)
        mujoco.mj_forward(model, data)
        for contact in data.contact:
            bodies = {int(model.geom_bodyid[geom]) for geom in contact.geom}
            if bodies & objects:
                assert contact.friction[0] == contact.friction[1] == 0.37
                touched |= {model.body(body).name for body in bodies}
    assert "world" in touched  # the table
    assert touched & {"left_finger", "right_finger"}


def test_a_puck_s_own_friction_is_its_world_as_it_is() -> None:
    """The puck overrules what it touches, so that the same number changes nothing at all."""
    plain, same_friction = simulation("push", n=3), simulation("push", {"object.friction": 0.6}, n=3)
    one, other = expert_in(plain), expert_in(same_friction)
    for _ in range(40):
        plain.step(one(plain.features()))
        same_friction.step(other(same_friction.features()))
    assert same(plain, same_friction)


def test_a_heavier_cube_pulls_the_hand_down() -> None:
    sag = {}
    for mass in (0.1, 0.6):
        sim = simulation("pick-place", {"object.mass": mass}, n=16, threads=2)
        policy = expert_in(sim)
        for _ in range(80):
            sim.step(policy(sim.features()))
        assert sim.solved_now.all()
        sag[mass] = float(np.mean(sim.target[:, 2] - sim.hand[:, 2]))
    assert sag[0.6] - sag[0.1] == pytest.approx(0.5 * G / STIFFNESS, rel=0.15)


@pytest.mark.parametrize("task", WITH_OBJECTS, ids=lambda task: task.id)
def test_each_object_weighs_what_is_said(task: type[Task]) -> None:
    model = simulation(task.id, {"object.mass": 0.7}).model
    free = [j for j in range(model.njnt) if model.joint(j).type[0] == 0]
    assert free
    for joint in free:
        assert model.body(model.joint(joint).bodyid[0]).subtreemass[0] == pytest.approx(0.7, rel=1e-9)


def two_parts() -> mujoco.MjSpec:
    """A user's object: by density, with a lid that turns on a joint of its own and a mark on it."""
    spec = mujoco.MjSpec()
    body = spec.worldbody.add_body(name="box", pos=(0.3, 0.1, 0.02))
    body.add_freejoint()
    body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=(0.02, 0.02, 0.02))
    body.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(0.01, 0, 0), mass=0.2, pos=(0.0, 0.03, 0.0))
    lid = body.add_body(name="lid", pos=(0.1, 0.0, 0.02))
    lid.add_joint(type=mujoco.mjtJoint.mjJNT_HINGE, axis=(0, 1, 0), pos=(0.05, 0.0, 0.0))
    lid.add_geom(type=mujoco.mjtGeom.mjGEOM_CAPSULE, size=(0.01, 0, 0), fromto=(0, 0, 0, 0.04, 0, 0))
    lid.add_site(name="mark", pos=(0.0, 0.0, 0.01))
    return spec


def test_an_object_of_any_make_keeps_its_mass_and_its_shape() -> None:
    plain, scaled = two_parts(), two_parts()
    alter(scaled, TASKS_BY_ID["pick-place"](), {"object.size": 1.5})
    before, after = plain.compile(), scaled.compile()
    np.testing.assert_allclose(after.body_mass, before.body_mass, rtol=1e-6)
    for lengths in ("geom_size", "geom_pos", "site_pos", "jnt_pos"):
        np.testing.assert_allclose(getattr(after, lengths), 1.5 * getattr(before, lengths), rtol=1e-9)
    np.testing.assert_allclose(after.body("lid").pos, 1.5 * before.body("lid").pos)
    np.testing.assert_allclose(after.body("box").pos, (0.3, 0.1, 0.03))


@pytest.mark.parametrize(("task", "factor"), SIZES, ids=str)
def test_the_expert_solves_it_with_its_least_and_its_greatest_objects(task: type[Task], factor: float) -> None:
    found = run_expert(task, 20, seed=0, threads=2, overrides={"object.size": factor})
    assert found.success.mean() >= 0.9


@pytest.mark.parametrize(("task", "factor"), SIZES, ids=str)
def test_an_object_of_another_size_stands_where_it_starts(task: type[Task], factor: float) -> None:
    plain, sim = simulation(task.id, n=8), simulation(task.id, {"object.size": factor}, n=8)
    free = [j for j in range(sim.model.njnt) if sim.model.joint(j).type[0] == 0]
    starts = [sim.qpos[:, sim.model.joint(j).qposadr[0] :][:, :3].copy() for j in free]
    data = mujoco.MjData(sim.model)
    for i in range(8):
        sim.batch.get_data(i, data)
        mujoco.mj_forward(sim.model, data)
        assert min((contact.dist for contact in data.contact), default=0.0) > -1e-4  # m
    for _ in range(25):
        sim.step(np.zeros((8, 4)))
    for j, start in zip(free, starts, strict=True):
        now = sim.qpos[:, sim.model.joint(j).qposadr[0] :][:, :3]
        np.testing.assert_allclose(now, start, atol=0.002)
        body = sim.model.joint(j).bodyid[0]
        own = np.flatnonzero(sim.model.geom_bodyid == body)
        np.testing.assert_allclose(sim.model.geom_rbound[own], factor * plain.model.geom_rbound[own])
        assert sim.model.body_mass[body] == pytest.approx(plain.model.body_mass[body])


def coasted(overrides: dict[str, float]) -> float:
    """How far a drawer slides out by itself from 0.5 m/s, m."""
    sim = simulation("drawer-open", overrides)
    sim.batch.bind("qvel")[0, sim.model.joint("drawer").dofadr[0]] = 0.5
    for _ in range(75):
        sim.step(np.zeros((1, 4)))
    return float(sim.joint_qpos("drawer")[0, 0])


def test_dry_friction_and_damping_stop_a_drawer_in_proportion() -> None:
    # M v² / (2 f) by friction alone, M v / b by damping alone
    by_friction = [coasted({"joint.damping": 0, "joint.friction": factor}) for factor in (0.5, 1.0)]
    assert by_friction[0] / by_friction[1] == pytest.approx(2.0, rel=0.1)
    by_damping = [coasted({"joint.damping": factor, "joint.friction": 0}) for factor in (1.0, 2.0)]
    assert by_damping[0] / by_damping[1] == pytest.approx(2.0, rel=0.1)


# Noise and delay ---------------------------------------------------------------------------------------------


def test_noise_is_on_what_is_seen_and_nowhere_else() -> None:
    plain, noisy = simulation("drawer-open", n=200), simulation("drawer-open", {"sensor.noise": 0.1}, n=200)
    one, other = expert_in(plain), expert_in(noisy)
    noises = []
    for _ in range(5):
        features, rewards = plain.step(one(plain.features()))
        same_features, same_rewards = noisy.step(other(noisy.features()))
        np.testing.assert_array_equal(rewards, same_rewards)
        np.testing.assert_array_equal(plain.solved_now, noisy.solved_now)
        seen = noisy.observe(same_features)
        np.testing.assert_array_equal(seen, noisy.observe())  # looking twice
        noises.append(seen - plain.observe(features))
    assert same(plain, noisy)
    noise = np.stack(noises)
    missing = COLUMNS["other object position"]
    np.testing.assert_array_equal(noise[..., missing], 0.0)  # a drawer alone on the table
    there = np.delete(noise, missing, axis=2)
    assert there.std() == pytest.approx(0.1, rel=0.03)
    assert abs(there.mean()) < 0.003
    across = np.corrcoef(there.reshape(5, -1))  # steps
    assert np.abs(across - np.eye(5)).max() < 0.1
    assert np.abs(np.corrcoef(there.reshape(-1, there.shape[2]).T) - np.eye(there.shape[2])).max() < 0.15  # numbers


@pytest.mark.parametrize("delay", [1, 3])
def test_a_delay_is_a_later_start(delay: int) -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (12, 4, 4))
    delayed, undelayed = simulation("push", {"action.delay": delay}, n=4), simulation("push", n=4)
    for action in [*np.broadcast_to(IDLE, (delay, 4, 4)), *actions[:-delay]]:
        undelayed.step(action)
    for action in actions:
        delayed.step(action)
    assert same(delayed, undelayed)
    np.testing.assert_array_equal(delayed.observe(), undelayed.observe())
    step_ahead = undelayed.target + 0.03 * actions[-delay:, :, :3].sum(axis=0)
    np.testing.assert_allclose(delayed.delayed_target, step_ahead, atol=1e-12)
    delayed.reset(np.array([2]))
    assert (delayed.get_state().arrays["pending"][2] == IDLE).all()
    assert (delayed.get_state().arrays["pending"][1] == actions[-delay:, 1]).all()


def played(n: int, threads: int, overrides: dict[str, float] | None, steps: int = HORIZON + 5) -> NDArray[np.float32]:
    """What is seen in more than an episode of random actions, (steps + 1, N, OBS_SIZE)."""
    env = make_vector_env("pick-place", n, threads=threads, overrides=overrides)
    seen = [env.reset(seed=3)[0]]
    actions = np.random.default_rng(1).uniform(-1, 1, (steps, 6, 4))[:, :n]
    return np.stack([*seen, *(env.step(action)[0] for action in actions)])


def test_other_worlds_are_the_same_with_any_threads_and_any_number() -> None:
    first = played(6, 1, NOISE_AND_DELAY)
    np.testing.assert_array_equal(first, played(6, 2, NOISE_AND_DELAY))
    np.testing.assert_array_equal(first[:, :2], played(2, 1, NOISE_AND_DELAY))
    assert (first != played(6, 1, None)).any()


@pytest.mark.parametrize("neutral", [{}, {"sensor.noise": 0, "action.delay": 0}])
def test_no_override_changes_nothing(neutral: dict[str, float]) -> None:
    np.testing.assert_array_equal(played(3, 1, None), played(3, 1, neutral))
    arrays = simulation("pick-place", neutral).get_state().arrays
    assert list(arrays) == list(simulation("pick-place").get_state().arrays)
    assert set(arrays) == {"rows", "elapsed", "solved", "solved_now", "divergences"}


def test_factors_of_one_change_nothing() -> None:
    plain, overridden = (
        simulation("drawer-open", overrides, n=2) for overrides in (None, {"joint.damping": 1, "joint.friction": 1})
    )
    one, other = expert_in(plain), expert_in(overridden)
    for _ in range(50):
        plain.step(one(plain.features()))
        overridden.step(other(overridden.features()))
    assert same(plain, overridden)


def test_a_state_restores_the_delay_and_the_noise() -> None:
    sim = simulation("push", NOISE_AND_DELAY, n=3)
    rng = np.random.default_rng(0)
    for _ in range(7):
        sim.step(rng.uniform(-1, 1, (3, 4)))
    state, actions = sim.get_state(), rng.uniform(-1, 1, (10, 3, 4))
    other = Simulation(TASKS_BY_ID["push"](), 3, 2, NOISE_AND_DELAY)
    other.set_state(state)
    np.testing.assert_array_equal(sim.observe(), other.observe())
    for step, action in enumerate(actions):
        if step == 5:
            sim.reset(np.array([1]))
            other.reset(np.array([1]))
        sim.step(action)
        other.step(action)
        np.testing.assert_array_equal(sim.observe(), other.observe())
    assert same(sim, other)
    for stranger in (None, {"action.delay": 3}):
        with pytest.raises(ValueError, match="another world"):
            other.set_state(simulation("push", stranger, n=3).get_state())


# Environments -------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*")  # the checker's advice
def test_a_shifted_environment_passes_gymnasium_s_checker() -> None:
    everything = {"object.friction": 0.3, "object.mass": 0.5, "object.size": 1.2} | NOISE_AND_DELAY
    env = gym.make("clrobot/Push-v0", overrides=everything)
    check_env(env.unwrapped, skip_render_check=True)
    single, _ = env.reset(seed=4)
    many, _ = gym.make_vec("clrobot/Push-v0", 2, overrides=everything).reset(seed=4)
    np.testing.assert_array_equal(single, many[0])
    assert single.shape == (OBS_SIZE,)


@pytest.mark.parametrize("stage", CURRICULA["shift5"].stages, ids=str)
def test_experts_solve_the_shifted_curriculum(stage: Stage) -> None:
    assert run_expert(TASKS_BY_ID[stage.task], 40, overrides=stage.overrides).success_final.mean() >= 0.9


def test_ten_skills_are_measured_twice_over() -> None:
    ten, twenty = CURRICULA["cr10"], CURRICULA["cr20"]
    assert len({stage.task for stage in ten.stages}) == len(ten.stages) == 10
    assert sum(stage.steps for stage in ten.stages) <= 3_000_000
    assert twenty.stages == ten.stages * 2
    assert twenty.slots[10:] == tuple(f"{task}-2" for task in ten.slots)


def test_a_run_through_worlds_tells_of_them(tmp_path: Path) -> None:
    worlds = {"name": "w", "stages": [{"task": "push", "steps": 64, "overrides": NOISE_AND_DELAY}]}
    run = train(make_config(**settings("finetune") | {"curriculum": worlds, "steps": 64}), tmp_path / "run")
    page = write_report(run.path).read_text(encoding="utf-8")
    assert "sensor.noise 0.1, action.delay 2" in page
