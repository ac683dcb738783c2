"""Where a stage's worlds begin anew, since their state cannot be saved: at every snapshot, in every run.

A run that was never killed cuts its episodes where a resumed one has to, so that both have the same bits. A cut
counts as a truncation: what the learner has seen so far is as if the episodes had been cut by their length.
"""

from __future__ import annotations

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm

from clrobot.agents.vec_env import TrainEnv
from clrobot.errors import shown
from clrobot.experiment.config import RunConfig
from clrobot.training.plan import StagePlan
from clrobot.training.seeds import seed_for


class Cuts:
    """The cuts of one stage.

    Args:
        config: of the run; `checkpoint.steps` lie between two cuts, and a cut comes at an update's end.
        plan: of the stage.
        env: what it is trained in.

    Attributes:
        needed: whether there are any.
        number: of the newest cut, which is the snapshot's in this stage; 0 is the stage's start.
    """

    def __init__(self, config: RunConfig, plan: StagePlan, env: TrainEnv) -> None:
        self.needed = not env.saves_state
        self.number = 0
        self._seed = config.seed
        self._every = config.checkpoint.steps
        self._plan = plan
        self._env = env

    def is_due(self, step: int) -> bool:
        """Return whether the worlds begin anew at this step of the run."""
        return self.needed and self._number_at(step) > self.number

    def cut(self, model: BaseAlgorithm, step: int) -> None:
        """Let the worlds begin anew; call it at an iteration's start, after the learner has used what it has seen."""
        self.number = self._number_at(step)
        model._last_obs = self._begin_anew()
        model._last_episode_starts = np.ones(self._env.num_envs, np.bool_)

    def go_on_from(self, number: int, step: int) -> None:
        """Put the worlds where they were after the cut of that number; their observations are the snapshot's.

        Raises:
            ValueError: no snapshot at that step of the run is of that cut.
        """
        expected = self._number_at(step) if self.needed else 0
        if number != expected:
            raise ValueError(f"cut {shown(number)} at step {step:,}; expected {expected}")
        if self.needed:
            self.number = number
            self._begin_anew()

    def _number_at(self, step: int) -> int:
        assert self._every is not None, "settings are prepared before they are trained"
        return (step - self._plan.start) // self._every

    def _begin_anew(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        stage, number = self._plan.stage, self.number
        purpose = ("snapshot", stage, number) if number else ("training", stage)
        self._env.seed(seed_for(self._seed, *purpose))
        return self._env.reset()
