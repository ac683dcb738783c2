"""Measuring skills while a run is trained: the learning curve within a stage, and every slot after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clrobot.agents.policies.policy import SlotPolicy
from clrobot.evaluation.evaluator import Evaluator
from clrobot.experiment.config import EvaluationSettings
from clrobot.results.scores import Score
from clrobot.runs.score_book import ScoreBook
from clrobot.training.ledger import Ledger


class Measuring:
    """Evaluates the policy, and writes what it finds into the run's score book.

    Args:
        evaluator: of the run's curriculum.
        settings: how many episodes.
        book: where scores are written.
        ledger: where the seconds are counted.
        tell: called with new scores too.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        settings: EvaluationSettings,
        book: ScoreBook,
        ledger: Ledger,
        tell: Callable[[Sequence[Score]], None],
    ) -> None:
        self._evaluator = evaluator
        self._settings = settings
        self._book = book
        self._ledger = ledger
        self._tell = tell

    def all_slots(self, policy: SlotPolicy, stage: int, step: int, *, learned: int) -> list[Score]:
        """Evaluate every slot after `stage` (0: untrained) at `step`, and return the scores in the slots' order.

        The first `learned` slots have been trained.
        """
        with self._ledger.timed("evaluate"):
            row = [
                self._score_of(policy, slot, stage, step, learned)
                for slot in range(len(self._evaluator.curriculum.stages))
            ]
        self._write(row)
        return row

    def _score_of(self, policy: SlotPolicy, slot: int, stage: int, step: int, learned: int) -> Score:
        settings = self._settings
        if slot < learned:
            return self._evaluator.score(
                policy, slot, settings.episodes, stage=stage, step=step, stochastic=settings.stochastic
            )
        is_next = 0 < learned == slot
        score = self._evaluator.score_next if is_next else self._evaluator.score
        return score(policy, slot, settings.zero_shot_episodes, stage=stage, step=step)

    def before_learning(self, policy: SlotPolicy, stage: int, slot: int, step: int) -> Score | None:
        """Evaluate a slot whose head is there and has learned nothing yet: where its learning curve begins.

        TensorBoard and trackers have the first step's score of the slot already, from the end of the stage before.

        Returns:
            The score; None where no learning curve is measured.
        """
        if not self._settings.curve_points:
            return None
        score = self._point(policy, stage, slot, step)
        self._book.append([score])
        return score

    def curve_point(self, policy: SlotPolicy, stage: int, slot: int, step: int) -> Score:
        """Evaluate the stage's own slot during it, for the learning curve."""
        score = self._point(policy, stage, slot, step)
        self._write([score])
        return score

    def _point(self, policy: SlotPolicy, stage: int, slot: int, step: int) -> Score:
        with self._ledger.timed("evaluate"):
            return self._evaluator.score(policy, slot, self._settings.curve_episodes, stage=stage, step=step)

    def _write(self, scores: list[Score]) -> None:
        self._book.append(scores)
        self._tell(scores)
