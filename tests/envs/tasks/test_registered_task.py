"""A user's own task: what is refused when it is registered, and that it then is a task like any other."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from support.distributions import TASK, install

from clrobot.envs.simulation.features import Features
from clrobot.envs.simulation.observation import OBS_SIZE
from clrobot.envs.simulation.task import Box, Task
from clrobot.envs.simulation.task_check import task_id
from clrobot.envs.tasks import TASKS, TASKS_BY_ID
from clrobot.envs.tasks.reach import Reach
from clrobot.envs.worlds.make import make_env, make_vector_env, register, register_task
from clrobot.errors import UserError


def variant(**changes: Any) -> type[Task]:
    """A reach that differs in these attributes."""
    return type("Mine", (Reach,), {"id": "mine", "__module__": "mine"} | changes)


def refusal(task: object) -> str:
    with pytest.raises(UserError) as caught:
        task_id(task)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_ours_pass(task: type[Task]) -> None:
    assert task_id(task) == task.id


@pytest.mark.usefixtures("own_registries")
def test_a_registered_task_is_one_of_the_tasks_and_of_gymnasiums_environments() -> None:
    register_task(variant(expert=None))
    assert list(TASKS_BY_ID)[-1] == "mine"
    assert TASKS_BY_ID.source("mine") == "mine"
    env, batch = gym.make("clrobot/Mine-v0"), gym.make_vec("clrobot/Mine-v0", num_envs=2)
    obs, _ = env.reset(seed=3)
    np.testing.assert_array_equal(obs, make_env("reach").reset(seed=3)[0])
    assert batch.reset(seed=3)[0].shape == (2, *obs.shape)


@pytest.mark.usefixtures("own_registries")
def test_an_installed_task_has_its_gymnasium_id_before_it_is_imported(site: Path) -> None:
    entries = {"hover": "far_hover:Hover", "My Task!": "far_bad:Bad"}
    install(site, "far-away", {"clrobot.tasks": entries}, {"far_hover": TASK, "far_bad": ""})
    register()
    assert "far_hover" not in sys.modules
    assert gym.make("clrobot/Hover-v0").reset(seed=0)[0].shape == (OBS_SIZE,)
    assert "far_bad" not in sys.modules


@pytest.mark.parametrize("make", [make_env, make_vector_env])
def test_an_unknown_task_is_refused_in_a_sentence(make: Any) -> None:
    with pytest.raises(UserError, match=r"^unknown task 'raech'; did you mean reach\?$"):
        make("raech")


def test_a_taken_id_is_refused() -> None:
    with pytest.raises(UserError, match=r"^task 'reach' is one of clrobot's own; give yours another name$"):
        register_task(variant(id="reach"))


def few(**arrays: Any) -> Any:
    return lambda self, sim: Features(**({"object": sim.hand, "goal": sim.site("goal")} | arrays))


REFUSED: dict[str, tuple[Any, str]] = {
    "no class": (Reach(), "is no task; give a class that derives from clrobot.Task"),
    "no task": (Box, "is no task; give a class that derives from clrobot.Task"),
    "an id in capitals": (variant(id="Mine"), "task Mine has the id 'Mine'; expected lower-case words"),
    "the name of a slot": (variant(id="push-2"), "has the id 'push-2'; expected lower-case words"),
    "a missing part": (
        type("Mine", (Task,), {"id": "mine", "build": Reach.build}),
        "task mine lacks features(); define it in Mine",
    ),
    "weights that do not sum to 1": (
        variant(weights={"near": 0.7, "there": 0.2}),
        "task mine: its weights sum to 0.9; expected 1",
    ),
    "weights that are no numbers": (variant(weights={"near": "1"}), "task mine: weights is {'near': '1'}; expected"),
    "weights of other terms": (
        variant(weights={"near": 0.5, "far": 0.5}),
        "task mine: reward_terms() gives near, there; expected those of weights: near, far",
    ),
    "nothing that varies": (variant(varies={}), "task mine: varies is {}; expected a Box"),
    "a box of two lengths": (variant(varies={"goal": Box((0, 0), (1,))}), "task mine: varies['goal'] is Box("),
    "a box upside down": (variant(varies={"goal": Box((1,) * 3, (0,) * 3)}), "task mine: varies['goal'] is Box("),
    "a box of too few numbers": (
        variant(varies={"goal": Box((0,) * 2, (1,) * 2)}),
        "place() fails (ValueError: ",
    ),
    "a goal for all": (
        variant(features=few(goal=np.zeros(3))),
        "features().goal has the shape (3,) and type float64; expected numbers of the shape (N, 3), for N = 2",
    ),
    "a joint as a column": (
        variant(features=few(joint=np.zeros((2, 1)))),
        "task mine: features().joint has the shape (2, 1)",
    ),
    "no object": (variant(features=few(object=None)), "task mine: features().object is None; expected numbers"),
    "a goal nowhere": (variant(features=few(goal=np.full((2, 3), np.nan))), "features().goal is array("),
    "no features": (variant(features=lambda self, sim: {}), "task mine: features() returns {}; expected"),
    "a reward beyond 1": (
        variant(reward_terms=lambda self, sim, f: {"near": np.full(2, 1.5), "there": np.zeros(2)}),
        "task mine: reward term 'near' is array([1.5, 1.5]); expected values in [0, 1]",
    ),
    "a reward for all": (
        variant(reward_terms=lambda self, sim, f: {"near": 0.5, "there": np.zeros(2)}),
        "task mine: reward term 'near' is 0.5; expected numbers of the shape (N,)",
    ),
    "a success that is a number": (
        variant(success=lambda self, sim, f: np.zeros(2)),
        "task mine: success() has the shape (2,) and type float64; expected truth values",
    ),
    "a scene that cannot be built": (
        variant(build=lambda self, spec: spec.worldbody.add_geom(size=[-1, 0, 0])),
        "task mine: its scene fails (",
    ),
    "a success that raises": (
        variant(success=lambda self, sim, f: 1 // 0),
        "task mine: success() fails (ZeroDivisionError: ",
    ),
    "an expert of one action": (
        variant(expert=lambda sim: lambda features: np.zeros(4)),
        "task mine: its expert's action has the shape (4,)",
    ),
}


@pytest.mark.parametrize(("task", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_task_is_refused_in_a_sentence(task: object, sentence: str) -> None:
    assert sentence in refusal(task)
