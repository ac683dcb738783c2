"""A run used from Python: its agent, and how well it does."""

from __future__ import annotations

from pathlib import Path

from clrobot.evaluation.agent import Agent
from clrobot.evaluation.evaluator import Episodes
from clrobot.runs.checkpoint import load_agent
from clrobot.runs.folder import RunFolder


def load(run: RunFolder | Path | str, stage: int | None = None) -> Agent:
    """Return the agent of a run as it was after a stage.

    Args:
        run: what `train` returned, or the run's folder.
        stage: from 1; 0 is the untrained agent, None the newest.

    Raises:
        UserError: there is no such run or stage, or it is damaged.
    """
    return load_agent(run if isinstance(run, RunFolder) else RunFolder.open(Path(run)), stage)


def evaluate(
    run: RunFolder | Path | str,
    *,
    stage: int | None = None,
    task: str | None = None,
    episodes: int = 50,
    seed: int | None = None,
) -> dict[str, Episodes]:
    """Measure a run's skills with mean actions; return the outcomes by the slot's name.

    Args:
        run: what `train` returned, or the run's folder.
        stage: the agent as it was after this stage (0: untrained); None: after the newest.
        task: one slot's name; None: every slot, trained or not.
        episodes: of each slot.
        seed: of the start states; None: those of the training's own evaluations.

    Raises:
        UserError: there is no such run, stage or slot, it is damaged, or `episodes` is below 1.
    """
    agent = load(run, stage)
    names = agent.slots if task is None else (task,)
    return {name: agent.evaluate(name, episodes, seed=seed) for name in names}
