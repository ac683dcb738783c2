"""What the scores of a run say: numbers of every task, and their means over the tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from clrobot.results.metrics import (
    Array,
    backward_transfer,
    best_zero_shot_gains,
    forgetting,
    forward_transfer,
    learned_after_own_stage,
    mean_of_defined,
    mean_or_nan,
    plasticity,
    relative_return,
    retention,
    steps_forgotten,
    zero_shot_gains,
    zero_shot_transfer,
)
from clrobot.results.scores import Quantity, Score, stage_auc, success_matrix, zero_shot_by_head

# What is measured at the end alone, and needs no stage of a task's own.
_AT_THE_END: Final = frozenset(
    {
        *("final", "final_final_step", "final_stochastic", "steps_to_success"),
        *("average_success", "average_success_final_step", "average_success_stochastic"),
    }
)


class Measured(NamedTuple):
    """Numbers of K tasks; nan where one is undefined.

    Attributes:
        per_task: by the names of `TaskMetrics`, each of shape (K,); what is measured at the end alone is of every
            task that was trained by then, and may be of more.
        means: by the names of `RunMetrics`.
    """

    per_task: Mapping[str, Array]
    means: Mapping[str, float]

    def at_the_end(self) -> Measured:
        """Return the same with nan for all that compares with a task's own stage, or with what came before it."""
        return Measured(
            {name: v if name in _AT_THE_END else np.full_like(v, np.nan) for name, v in self.per_task.items()},
            {name: v if name in _AT_THE_END else np.nan for name, v in self.means.items()},
        )


def measure(
    scores: Sequence[Score],
    slots: int,
    ends: Sequence[int],
    reference: Array,
    trials: Mapping[int, int],
    trained: int | None = None,
) -> Measured:
    """Return what the scores say of the K tasks whose stages are finished.

    Args:
        scores: in the order of the file.
        slots: N, the number of slots in the curriculum.
        ends: the step at which each finished stage ended, in order: K of them.
        reference: area under the learning curve of each of these tasks learned from scratch, (K,); nan where there
            is none.
        trials: of the slots that had a choice, from 0, the control steps that it took.
        trained: how many slots were trained by then, the first ones; None: K, one in each stage.
    """
    done = len(ends)
    trained = done if trained is None else trained

    def matrix(quantity: Quantity, columns: int = done) -> Array:  # (K + 1, columns)
        return success_matrix(scores, slots, quantity)[: done + 1, :columns]

    R, R_final, G, L = matrix("any"), matrix("final"), matrix("return"), matrix("steps")
    ended, ended_final = matrix("any", trained), matrix("final", trained)
    sampled, steps = matrix("stochastic", trained)[-1], matrix("steps", trained)[-1]
    areas = np.array([stage_auc(scores, slot, ends, trials.get(slot, 0)) for slot in range(done)])
    forgot, kept, left = forgetting(R), retention(R), relative_return(G)
    transfer, learnable = forward_transfer(areas, reference), plasticity(areas, reference)
    best = best_zero_shot_gains(R, zero_shot_by_head(scores, slots)[:done])
    slower = steps_forgotten(L)
    per_task = {
        "learned": learned_after_own_stage(R),
        "final": ended[-1],
        "learned_final_step": learned_after_own_stage(R_final),
        "final_final_step": ended_final[-1],
        "final_stochastic": sampled,
        "forgetting": forgot.per_task,
        "retention": kept.per_task,
        "zero_shot_transfer": zero_shot_gains(R),
        "zero_shot_transfer_best": best,
        "steps_to_success": steps,
        "forgetting_steps": slower,
        "relative_return": left,
        "forgetting_return": 1 - left,
        "auc": areas,
        "auc_reference": reference,
        "forward_transfer": transfer,
        "plasticity": learnable,
    }
    means = {
        "average_success": mean_or_nan(ended[-1]),
        "average_success_final_step": mean_or_nan(ended_final[-1]),
        "average_success_stochastic": mean_or_nan(sampled),
        "forgetting": forgot.mean,
        "forgetting_all_tasks": forgot.mean_all,
        "backward_transfer": backward_transfer(R),
        "retention": kept.mean,
        "unlearned_share": kept.unlearned_share,
        "zero_shot_transfer": zero_shot_transfer(R),
        "zero_shot_transfer_best": mean_or_nan(best[1:]),
        "steps_to_success": mean_or_nan(steps),
        # Over j < N, as forgetting: the tasks that a later stage could hurt.
        "forgetting_steps": mean_or_nan(slower[:-1]),
        "relative_return": mean_of_defined(left[:-1]),
        "forgetting_return": mean_of_defined(1 - left[:-1]),
        # The first task has nothing to transfer from: without it the mean is not diluted.
        "forward_transfer": mean_of_defined(transfer),
        "forward_transfer_from_2": mean_of_defined(transfer[1:]),
        "plasticity": mean_of_defined(learnable),
    }
    return Measured(per_task, means)
