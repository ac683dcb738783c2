"""The public names of `clrobot`: what may be built upon."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing
from pathlib import Path

import numpy as np
import pytest
from support.trainings import TINY

import clrobot

PUBLIC = {
    "CURRICULA",
    "Agent",
    "Curriculum",
    "Evaluator",
    "Method",
    "Stage",
    "Task",
    "UserError",
    "evaluate",
    "extend",
    "load",
    "load_curriculum",
    "make_config",
    "make_env",
    "register_curriculum",
    "register_method",
    "register_task",
    "resume",
    "train",
}
WITHOUT_LEARNING = ("CURRICULA", "Curriculum", "Stage", "Task", "load_curriculum", "make_env", "register_task")


def test_these_are_the_public_names() -> None:
    assert set(clrobot.__all__) == PUBLIC
    assert set(dir(clrobot)) >= PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_each_says_what_it_is(name: str) -> None:
    thing = getattr(clrobot, name)
    assert (inspect.getdoc(thing) or "").strip()
    if inspect.isfunction(thing):
        hints = typing.get_type_hints(thing, include_extras=True)
        assert set(inspect.signature(thing).parameters) | {"return"} == set(hints)


@pytest.mark.parametrize("name", WITHOUT_LEARNING)
def test_what_needs_no_learning_loads_none(name: str, tmp_path: Path) -> None:
    code = f"import clrobot, sys; clrobot.{name}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.usefixtures("quick_training")
def test_a_run_is_trained_extended_and_measured_from_python(tmp_path: Path) -> None:
    stages = (clrobot.Stage(task="reach", steps=256),)
    curriculum = clrobot.Curriculum(name="mine", stages=stages)
    config = clrobot.make_config(**TINY | {"curriculum": curriculum, "method": "finetune"})
    run = clrobot.train(config, str(tmp_path / "run"))
    longer = clrobot.extend(str(run.path), "push", 256, str(tmp_path / "longer"))
    assert clrobot.resume(str(longer.path)).finished

    agent = clrobot.load(longer)
    assert agent.slots == ("reach", "push")
    found = agent.evaluate("reach", episodes=5)
    assert found.returns.shape == (5,)
    direct = clrobot.Evaluator(agent.curriculum, config.evaluation.seed).episodes(agent.policy, 0, 5)
    np.testing.assert_array_equal(found.returns, direct.returns)
    by_run = clrobot.evaluate(longer.path, task="reach", episodes=5)
    np.testing.assert_array_equal(found.returns, by_run["reach"].returns)
    assert not np.array_equal(found.returns, agent.evaluate("reach", 5, seed=7).returns)
    assert list(clrobot.evaluate(str(longer.path), stage=1, episodes=2)) == ["reach", "push"]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda agent: agent.evaluate("push", 2), "unknown task 'push' in this run"),
        (lambda agent: agent.evaluate("reach", 0), "0 episodes; expected 1 or more"),
        (lambda agent: agent.evaluate("reach", 2, seed=-1), "seed -1; expected 0 or more"),
    ],
)
def test_what_cannot_be_measured_is_refused(tiny_run: Path, call: typing.Any, sentence: str) -> None:
    with pytest.raises(clrobot.UserError, match=sentence):
        call(clrobot.load(tiny_run))
