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
        settings = self._settings

        with self._ledger.timed("evaluate"):
            row = [
                self._evaluator.score(
                    policy,
                    slot,
                    settings.episodes if slot < learned else settings.zero_shot_episodes,
                    stage=stage,
                    step=step,
                    stochastic=settings.stochastic and slot < learned,
                )
                for slot in range(len(self._evaluator.curriculum.stages))
            ]
        self._write(row)
        return row

    def curve_point(self, policy: SlotPolicy, stage: int, slot: int, step: int) -> Score:
        """Evaluate the stage's own slot during it, for the learning curve."""
        with self._ledger.timed("evaluate"):
            score = self._evaluator.score(policy, slot, self._settings.curve_episodes, stage=stage, step=step)
        self._write([score])
        return score

    def _write(self, scores: list[Score]) -> None:
        self._book.append(scores)
        self._tell(scores)
