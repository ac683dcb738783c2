"""Continual learning for one robot arm: train a sequence of skills, and see what it kept.

    import gymnasium, clrobot
    env = gymnasium.make("clrobot/Reach-v0")          # any task, as a Gymnasium environment

    from clrobot.train import train
    config = clrobot.make_config(curriculum="quick", method="ewc", seed=0)
    run = train(config, Path("runs/ewc"))             # the whole experiment, into a folder
    agent = clrobot.load("runs/ewc", stage=2)         # the agent after its second stage
    action = agent.predict(obs, task="reach")

Importing this package registers the environments and loads neither torch nor Stable-Baselines3; what needs them
is imported at its first use.
"""

# First, and before `from __future__`, which is a module too.
import clrobot.safe_path  # noqa: F401

# isort: split
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clrobot.envs.worlds.make import register
from clrobot.errors import UserError

if TYPE_CHECKING:
    from clrobot.evaluation.agent import Agent
    from clrobot.evaluation.evaluator import Evaluator
    from clrobot.experiment.config import make_config
    from clrobot.experiment.curricula import CURRICULA
    from clrobot.experiment.curriculum import Curriculum, Stage
    from clrobot.experiment.yaml_file import load_curriculum

__version__ = "0.1.0"

__all__ = [
    "CURRICULA",
    "Agent",
    "Curriculum",
    "Evaluator",
    "Stage",
    "UserError",
    "load",
    "load_curriculum",
    "make_config",
]

# Where each name that is loaded at its first use lives.
_LAZY = {
    "Agent": "clrobot.evaluation.agent",
    "make_config": "clrobot.experiment.config",
    "CURRICULA": "clrobot.experiment.curricula",
    "Curriculum": "clrobot.experiment.curriculum",
    "Stage": "clrobot.experiment.curriculum",
    "load_curriculum": "clrobot.experiment.yaml_file",
    "Evaluator": "clrobot.evaluation.evaluator",
}

register()


def load(run: str | Path, stage: int | None = None) -> "Agent":
    """Return the agent of a run as it was after `stage` (None: the newest; 0: untrained).

    Raises:
        UserError: there is no such run or stage, or it is damaged.
    """
    from clrobot.runs.checkpoint import load_agent
    from clrobot.runs.folder import RunFolder

    return load_agent(RunFolder.open(Path(run)), stage)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'clrobot' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
