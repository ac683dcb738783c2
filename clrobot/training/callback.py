"""What happens within a stage, beside learning: the learning curve, the snapshots, and the stop."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from stable_baselines3.common.callbacks import BaseCallback

from clrobot.agents.methods.shared.gradient_hooks import MethodCost
from clrobot.agents.vec_env import TrainEnv
from clrobot.errors import TrainingStopped
from clrobot.runs.snapshot import Progress, Snapshot

if TYPE_CHECKING:
    from clrobot.training.training import Training


class Stopped(TrainingStopped):
    """A training was asked to stop, and has been saved."""

    def __init__(self, run: Path, stage: int, step: int) -> None:
        super().__init__(f"stopped in stage {stage} at step {step:,}; go on with: clrobot resume {run}")


class StageCallback(BaseCallback):
    """At an iteration's start: measures the learning curve when due, saves when due, and tells the observer."""

    cost: MethodCost
    phase = 0

    def __init__(self, training: Training, stage: int, start: int, steps: int, env: TrainEnv) -> None:
        super().__init__()
        self.of = training
        self.stage = stage
        self.start = start
        self.env = env
        points = training.config.evaluation.curve_points
        # The stage's end is evaluated with all slots: the points lie before it.
        self.due = [start + steps * (i + 1) // (points + 1) for i in range(points)]
        self.success: float | None = None
        self._accounted = dict(training.seconds)
        self._began = time.perf_counter()

    @property
    def divergences(self) -> int:
        """Simulations that went to infinity in this stage."""
        return self.env.divergences

    def restore(self, snapshot: Snapshot) -> None:
        """Go on where the snapshot was taken."""
        progress = snapshot.progress
        self.due, self.success = list(progress.curve_due), progress.curve_success
        self.model = self.of.model
        self.env.set_state(snapshot.simulation())
        self.model.ep_info_buffer = deque(maxlen=self.model._stats_window_size)
        self.model.ep_success_buffer = deque(progress.successes, maxlen=self.model._stats_window_size)
        self.model.logger.name_to_value.update(progress.log)
        self.model.logger.name_to_count.update(progress.log_counts)
        self.model.logger.name_to_excluded.update({n: tuple(f) for n, f in progress.log_excluded.items()})

    def account(self) -> None:
        """Share out the stage's time so far: what was not evaluating, saving or the method's was training."""
        seconds, before = self.of.seconds, self._accounted
        spent = time.perf_counter() - self._began
        self._began += spent
        method, self.cost.seconds = self.cost.seconds, 0.0
        self.of.gradient_steps += self.cost.updates
        self.cost.updates = 0
        elsewhere = sum(seconds[name] - before[name] for name in ("evaluate", "save", "method", "record"))
        seconds["method"] += method
        seconds["train"] += spent - elsewhere - method
        self._accounted = dict(seconds)

    def _on_rollout_start(self) -> None:
        self.of.check_weights(self.stage)
        if self.due and self.num_timesteps >= self.due[0]:
            self.due = [step for step in self.due if step > self.num_timesteps]
            self.success = self.of.evaluate_curve(self.stage).success_any
        if self.of.stop or self.of.save_is_due or self.num_timesteps == self.start:
            self._save()
        if self.of.stop:
            raise Stopped(self.of.run.path, self.stage, self.num_timesteps)
        self.of.observer.advanced(self.num_timesteps - self.start, self.success)

    def _save(self) -> None:
        if not self.of.config.checkpoint.enabled:
            return
        self.account()
        model = self.model
        assert model.ep_success_buffer is not None
        progress = Progress(
            stage=self.stage,
            stage_start=self.start,
            phase=self.phase,
            step=self.num_timesteps,
            updates=model._n_updates,
            gradient_steps=self.of.gradient_steps,
            scores=len(self.of.scores),
            curve_due=self.due,
            curve_success=self.success,
            successes=[float(value) for value in model.ep_success_buffer],
            log={name: float(value) for name, value in model.logger.name_to_value.items()},
            log_excluded={name: list(formats) for name, formats in model.logger.name_to_excluded.items()},
            log_counts={name: count for name, count in model.logger.name_to_count.items() if count},
            seconds=self.of.seconds,
            divergences=self.of.divergences,
            per_stage=self.of.per_stage,
            film_failures=self.of.film_failures,
        )
        self.of.save(progress, self.env)

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self.of.observer.advanced(self.num_timesteps - self.start, self.success)
