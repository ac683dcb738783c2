"""What a comparison shows of itself in a notebook."""

from __future__ import annotations

from collections.abc import Sequence

from clrobot.comparison.groups import Group
from clrobot.notebook import html_table
from clrobot.results.catalogue import HEADLINES, Metric
from clrobot.results.numbers import number_of_kind

_NOTES = 3  # the most that are shown


def groups_as_html(groups: Sequence[Group], metrics: Sequence[Metric], notes: Sequence[str], statistic: str) -> str:
    """Return a line for each row: the headline numbers that were asked for, without their intervals.

    Args:
        groups: the rows.
        metrics: those of the comparison.
        notes: why rows may not be comparable.
        statistic: how the seeds of a row are made one number.
    """
    shown = [metric for metric in HEADLINES if metric in metrics] or list(metrics)
    rows = [
        (
            group.label,
            str(len(group.seeds)),
            *(number_of_kind(group.estimates[metric.name].value, metric.kind) for metric in shown),
        )
        for group in groups
    ]
    told = " · ".join([f"{statistic} over seeds; success at any step", *notes[:_NOTES]])
    return html_table(told, ("method", "seeds", *(metric.title for metric in shown)), rows)
