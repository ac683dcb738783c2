"""A race: each of a few starts learns for a while, from the same state of everything; the best one goes on."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.generators import generator_states, set_generator_states
from clrobot.agents.methods.shared.gradient_hooks import gradient_hooks
from clrobot.agents.methods.shared.method import Method
from clrobot.agents.vec_env import TrainEnv
from clrobot.experiment.config import RunConfig
from clrobot.training.plan import StagePlan
from clrobot.training.seeds import seed_for

_END = 0.5  # the share of a race, at its end, whose rewards decide


class Beginning:
    """The state of everything at a stage's start, once the slot's head is there; it can be put back."""

    def __init__(self, config: RunConfig, learner: Learner, method: Method, plan: StagePlan, env: TrainEnv) -> None:
        self._config, self._learner, self._method, self._plan, self._env = config, learner, method, plan, env
        model = learner.model
        self._weights = {name: tensor.clone() for name, tensor in learner.policy.state_dict().items()}
        self._remembered = {name: tensor.clone() for name, tensor in method.state_dict().items()}
        self._torch, self._python = generator_states(model.device), random.getstate()
        self._numpy = np.random.get_state()  # noqa: NPY002 -- Stable-Baselines3 draws from it
        self._actions = model.action_space.np_random.bit_generator.state
        self._updates = model._n_updates
        self._simulations = env.get_state()  # a reset leaves some of it, such as the scale of rewards

    def put_back(self) -> None:
        """Put everything back: what was learned, remembered, counted or drawn since leaves no trace."""
        learner, plan, model = self._learner, self._plan, self._learner.model
        learner.policy.load_state_dict(self._weights)
        self._method.load_state_dict({name: tensor.clone() for name, tensor in self._remembered.items()})
        model.num_timesteps, model._n_updates = plan.start, self._updates
        self._env.set_state(self._simulations)
        self._env.seed(seed_for(self._config.seed, "training", plan.stage))  # the next reset is the stage's first
        learner.begin_slot(plan.heads, self._env, plan.steps)
        learner.algorithm.spend(model, plan.begin.spent)
        set_generator_states(self._torch, model.device)
        random.setstate(self._python)
        np.random.set_state(self._numpy)  # noqa: NPY002
        model.action_space.np_random.bit_generator.state = self._actions


class _Rewards(BaseCallback):
    """Keeps each step's mean reward over the simulations, as the world pays it.

    A running scale goes by what was seen so far, which is other for each start.
    """

    def __init__(self, env: TrainEnv) -> None:
        super().__init__()
        self._env = env
        self.means: list[float] = []

    def _on_step(self) -> bool:
        self.means.append(float(np.mean(self._env.paid)))
        return True

    def at_the_end(self) -> float:
        """Return the mean reward of a step over the end of the race; what is no number loses."""
        last = self.means[int(len(self.means) * (1 - _END)) :]
        mean = float(np.mean(last))
        return mean if np.isfinite(mean) else -np.inf


class Race:
    """Learns from each start in turn, and finds the one that went best.

    The winner's learning is not kept as it stood: everything is put back, and the stage learns from the winner's
    start, with the same bits. So its race is the stage's own first steps, and only the others' were spent.

    Args:
        config: the run's settings.
        learner: what learns; its new slot has its head.
        method: which acts as it will in the stage.
        plan: of the stage.
        env: its simulations.

    Attributes:
        losers_updates: gradient steps of the actor in the races of all but the winner.
    """

    def __init__(self, config: RunConfig, learner: Learner, method: Method, plan: StagePlan, env: TrainEnv) -> None:
        self._config, self._learner, self._method, self._plan, self._env = config, learner, method, plan, env
        self.losers_updates = 0
        self._updates: list[int] = []  # in the race of each start; one may stop an update early

    def winner(self, starts: Sequence[int], begin: Callable[[int], None]) -> int:
        """Return the start of the greatest mean reward over the end of its race; of equals the first.

        Args:
            starts: slots as which the new one may begin; its own index: anew.
            begin: lets it begin so.
        """
        model: Any = self._learner.model
        beginning = Beginning(self._config, self._learner, self._method, self._plan, self._env)
        logger = model.logger
        model.set_logger(Logger(None, []))  # a race is no part of the training's log
        found: list[float] = []
        try:
            for start in starts:
                beginning.put_back()
                begin(start)
                found.append(self._learn())
        finally:
            model.set_logger(logger)
            beginning.put_back()
        best = int(np.argmax(found))
        self.losers_updates = sum(self._updates) - self._updates[best]
        return starts[best]

    def _learn(self) -> float:
        learner, method, plan = self._learner, self._method, self._plan
        rewards = _Rewards(self._env)
        method.before_task(learner, plan.slot)
        method.before_phase(learner, plan.slot, plan.phases[0].name)
        with gradient_hooks(learner, method, self._config.gradient.apart) as cost:
            try:
                learner.model.learn(plan.begin.race, rewards, reset_num_timesteps=False)
            except ValueError:  # as in a training: somewhere in its distributions, where weights are no numbers
                if learner.is_finite():
                    raise
        self._updates.append(cost.updates)
        rewards.locals, rewards.globals = {}, {}  # Stable-Baselines3's frames
        return rewards.at_the_end() if learner.is_finite() else -np.inf
