"""The names and meanings of the metrics that are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

HEADLINES = (
    ("average_success", "Average success", "mean success over the tasks trained, at the end"),
    ("forgetting", "Forgetting", "mean fall since each task’s own stage; less is better"),
    ("retention", "Retention", "share of each learned skill that is left"),
    ("backward_transfer", "Backward transfer", "how later stages changed earlier tasks"),
    ("forward_transfer", "Forward transfer", "faster (+) or slower (−) than learning from scratch"),
    ("zero_shot_transfer", "Zero-shot transfer", "gain on a task before its own stage"),
)
"""Key in ``metrics.json``, name, and meaning of each headline number."""

TASK_COLUMNS = (
    ("learned", "Learned"),
    ("final", "Final"),
    ("forgetting", "Forgetting"),
    ("retention", "Retention"),
    ("auc", "Area"),
    ("forward_transfer", "Forward transfer"),
)
"""Key in ``per_task`` and name of each column."""

MORE_TASK_COLUMNS = (("final_stochastic", "Final, sampled actions"), ("plasticity", "Plasticity"))
"""Columns that stand only where a run has measured them."""
