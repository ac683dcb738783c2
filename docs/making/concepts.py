"""The numbers, equations and pictures of the page of concepts: from a real run that lies in docs/data, and the code.

A page asks for them by name, between double braces:

    {{ value NAME }}      a metric of the run, as tables show it
    {{ meaning NAME }}    what the catalogue says of a metric
    {{ equation NAME }}   the equation above the code of `clrobot.results.metrics.NAME`, and its source
    {{ figure NAME }}     a figure of the run's report
    {{ metrics }}         a table of every metric of a run
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from clrobot.comparison.markdown import table
from clrobot.report.contents import Contents
from clrobot.report.figures.of_run import run_figures
from clrobot.results import metrics
from clrobot.results.catalogue import RUN_METRICS, run_metric
from clrobot.results.numbers import number_of_kind
from clrobot.results.run_metrics import Costs, RunMetrics, run_metrics
from clrobot.runs.folder import RunFolder
from clrobot.runs.score_book import read_scores
from making.figures import figure
from making.markdown import literal

RUN = Path(__file__).parent.parent / "data" / "finetune"

_ASKED = re.compile(r"\{\{ (\w+) ?([\w.]*) \}\}")
_EQUATION = re.compile(r"^ *# (.+?) {2,}\((.+)\)$", re.MULTILINE)


@cache
def told() -> RunMetrics:
    """Return the run's `metrics.json`, as the version that trained it wrote it."""
    return RunMetrics.model_validate_json((RUN / "metrics.json").read_text(encoding="utf-8"))


@cache
def run() -> Contents:
    """Return the run: fine-tuning through three skills, which forgets.

    Its metrics are made anew from its scores, so that a metric that is newer than the run is there too.
    """
    config, scores = RunFolder(RUN).config, read_scores(RUN / "scores.jsonl")
    references = [np.nan if task.auc_reference is None else task.auc_reference for task in told().per_task]
    shipped = [task.reference == "shipped" for task in told().per_task]
    slots, ends = config.curriculum.slots, told().stage_ends
    measured = run_metrics(scores, slots, ends, Costs.of(told()), references, shipped=shipped)
    return Contents(RUN, measured, scores, config, {}, {})


def filled(page: str) -> str:
    """Return a page with all that it asks for in its place.

    Raises:
        KeyError, UserError: there is nothing of that name.
    """
    return _ASKED.sub(lambda asked: _ANSWERS[asked[1]](asked[2]), page)


def _value(name: str) -> str:
    metric = run_metric(name)
    return number_of_kind(run().metrics.value(name), metric.kind)


def _equation(name: str) -> str:
    (found,) = _EQUATION.findall(inspect.getsource(getattr(metrics, name)))
    equation, source = found
    return f"```text\n{equation.strip()}\n```\n\n*({source})*"


def _figure(name: str) -> str:
    return figure(run_figures(run())[name], name.replace("_", " "))


def _all(_: str) -> str:
    better = {"higher": "more", "lower": "less"}
    rows = [
        (literal(m.title), better[m.better], literal(m.meaning), f"`{m.name}`", _value(m.name)) for m in RUN_METRICS
    ]
    return table(("metric", "better", "what it says", "in `metrics.json`", "this run"), rows, numbers=(4,))


_ANSWERS: dict[str, Callable[[str], str]] = {
    "value": _value,
    "meaning": lambda name: literal(run_metric(name).meaning),
    "equation": _equation,
    "figure": _figure,
    "metrics": _all,
}
