"""Continual learning for one robot arm: train a sequence of skills, and see what it kept.

    import gymnasium, clrobot
    env = gymnasium.make("clrobot/Reach-v0")          # any task, as a Gymnasium environment

    config = clrobot.make_config(curriculum="quick", method="ewc", seed=0)
    run = clrobot.train(config, Path("runs/ewc"))     # the whole experiment, into a folder
    agent = clrobot.load(run, stage=2)                # the agent after its second stage
    action = agent.predict(obs, task="reach")
    agent.evaluate("reach", episodes=100).success_any.mean()

A task, a method or a curriculum of your own is registered (`register_task` and its like), or comes in an installed
distribution as an entry point of the group `clrobot.tasks`, `clrobot.methods` or `clrobot.curricula`.

Importing this package registers the environments and loads neither torch nor Stable-Baselines3; what needs them
is imported at its first use.
"""

# First, and before `from __future__`, which is a module too.
import clrobot.safe_path  # noqa: F401

# isort: split
import importlib
from typing import TYPE_CHECKING, Any

from clrobot.envs.worlds.make import register
from clrobot.errors import UserError

if TYPE_CHECKING:
    from clrobot.agents.methods import register_method
    from clrobot.agents.methods.shared.method import Method
    from clrobot.envs.simulation.task import Task
    from clrobot.envs.worlds.make import make_env, register_task
    from clrobot.evaluation.agent import Agent
    from clrobot.evaluation.evaluator import Evaluator
    from clrobot.experiment.config import make_config
    from clrobot.experiment.curricula import CURRICULA, register_curriculum
    from clrobot.experiment.curriculum import Curriculum, Stage
    from clrobot.experiment.yaml_file import load_curriculum
    from clrobot.runs.use import evaluate, load
    from clrobot.training.extend import extend
    from clrobot.training.resuming import resume
    from clrobot.training.training import train

__version__ = "0.1.0"

# The public names; everything else may change.
__all__ = [
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
]

# Where each name that is loaded at its first use lives.
_LAZY = {
    "train": "clrobot.training.training",
    "resume": "clrobot.training.resuming",
    "extend": "clrobot.training.extend",
    "load": "clrobot.runs.use",
    "evaluate": "clrobot.runs.use",
    "Agent": "clrobot.evaluation.agent",
    "Evaluator": "clrobot.evaluation.evaluator",
    "make_config": "clrobot.experiment.config",
    "make_env": "clrobot.envs.worlds.make",
    "Curriculum": "clrobot.experiment.curriculum",
    "Stage": "clrobot.experiment.curriculum",
    "CURRICULA": "clrobot.experiment.curricula",
    "load_curriculum": "clrobot.experiment.yaml_file",
    "Task": "clrobot.envs.simulation.task",
    "Method": "clrobot.agents.methods.shared.method",
    "register_task": "clrobot.envs.worlds.make",
    "register_method": "clrobot.agents.methods",
    "register_curriculum": "clrobot.experiment.curricula",
}

register()


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'clrobot' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
