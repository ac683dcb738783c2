"""What happens within a stage, beside learning: the learning curve, the snapshots, and the stop."""

from __future__ import annotations

from collections import deque

from stable_baselines3.common.callbacks import BaseCallback

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.methods.shared.gradient_hooks import MethodCost
from clrobot.agents.vec_env import TrainEnv
from clrobot.errors import UserError
from clrobot.runs.progress import Progress
from clrobot.training.context import RunContext
from clrobot.training.cuts import Cuts
from clrobot.training.ledger import LearningClock
from clrobot.training.measuring import Measuring
from clrobot.training.plan import StagePlan
from clrobot.training.saver import Saver, StageProgress


class StageCallback(BaseCallback):
    """At an iteration's start: measures the learning curve when due, saves when due, and tells the observer."""

    cost: MethodCost
    """What the method's hooks have counted; set when they are in place."""
    phase = 0
    """The stage's phase, from 0."""

    def __init__(
        self,
        context: RunContext,
        learner: Learner,
        plan: StagePlan,
        env: TrainEnv,
        measuring: Measuring,
        saver: Saver,
    ) -> None:
        super().__init__()
        self._plan = plan
        self._learner = learner
        self._env = env
        self._cuts = Cuts(context.config, plan, env)
        self._measuring = measuring
        self._saver = saver
        self._observer = context.observer
        self._stop = context.stop
        self.ledger = context.ledger
        self._clock = LearningClock(context.ledger)
        # The stage's end is evaluated with all slots: the points lie before it.
        curve_points = context.config.evaluation.curve_points
        self._due = [plan.start + plan.steps * (i + 1) // (curve_points + 1) for i in range(curve_points)]
        self._success: float | None = None

    def restore(self, progress: Progress) -> None:
        """Go on where a snapshot was taken."""
        model = self._learner.model
        self._due, self._success = list(progress.curve_due), progress.curve_success
        self._cuts.number = progress.cut
        episodes = [{"r": total, "l": length} for total, length in progress.episodes]
        model.ep_info_buffer = deque(episodes, maxlen=model._stats_window_size)
        model.ep_success_buffer = deque(progress.successes, maxlen=model._stats_window_size)
        model.logger.name_to_value.update(progress.log)
        model.logger.name_to_count.update(progress.log_counts)
        model.logger.name_to_excluded.update({n: tuple(f) for n, f in progress.log_excluded.items()})

    def measure_start(self) -> None:
        """Measure the learning curve's first point: the slot's head exists, and nothing has been learned in it."""
        self._measure_before_learning(self._plan.start)

    def measure_begun(self) -> None:
        """Measure the curve's next point: the slot has begun, perhaps as an earlier one, and learns from here on.

        It lies where the steps that it took to choose end, or in the first one's place where it took none.
        """
        self._measure_before_learning(self._learner.step)

    def _measure_before_learning(self, step: int) -> None:
        plan = self._plan
        score = self._measuring.before_learning(self._learner.policy, plan.stage, plan.slot, step)
        self._success = None if score is None else score.success_any

    def pause(self, what: str) -> None:
        """Say what takes time before the stage learns, and stop there if asked to."""
        self._stop.pause(what, self._plan.stage, self._plan.start, self._plan.start)

    def account(self) -> None:
        """Share out the stage's time so far."""
        self._clock.account(self.cost)

    def check_weights(self) -> None:
        """Raise UserError when training has gone to NaN; what was saved before stays."""
        if not self._learner.is_finite():
            raise self.not_a_number()

    def not_a_number(self) -> UserError:
        """Return what tells that training has gone to NaN; what was saved before stays."""
        newest = self._saver.newest
        kept = "" if newest is None else f"; the last good state is {newest}"
        return UserError(
            f"the loss is not a number in stage {self._plan.stage} at step {self._learner.step:,}{kept}; "
            f"train again with a smaller --{self._learner.algorithm.name}.learning-rate, and final one if it has one"
        )

    def _on_rollout_start(self) -> None:
        plan, step = self._plan, self.num_timesteps
        self.check_weights()
        self._measure_curve()
        if self._cuts.is_due(step):
            self._cuts.cut(self.model, step)
            self._save()
        elif step == plan.learning_starts or (
            not self._cuts.needed and (self._stop.asked or self._saver.is_due(step))
        ):
            self._save()
        self._stop.check(plan.stage, step, plan.start)
        self._observer.advanced(step - plan.start, self._success)

    def _measure_curve(self) -> None:
        """Measure the learning curve's point that is due; in a phase outside the curve it is left out."""
        plan, step = self._plan, self.num_timesteps
        if not self._due or step < self._due[0]:
            return
        self._due = [due for due in self._due if due > step]
        if plan.phases[self.phase].curve:
            score = self._measuring.curve_point(self._learner.policy, plan.stage, plan.slot, step)
            self._success = score.success_any

    def _save(self) -> None:
        if not self._saver.enabled:
            return
        self.account()
        progress = StageProgress(self._plan, self.phase, self._due, self._success, self._cuts.number)
        self._saver.save(progress, self._env)

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        following = self._plan.phases[self.phase + 1 :]
        if following and not following[0].curve:
            self._measure_curve()  # before that phase changes the network
        self._observer.advanced(self.num_timesteps - self._plan.start, self._success)
