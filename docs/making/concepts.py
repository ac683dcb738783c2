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

from clrobot.report.contents import Contents, read_run
from clrobot.report.figures.of_run import run_figures
from clrobot.report.figures.style import to_svg
from clrobot.results import metrics
from clrobot.results.catalogue import RUN_METRICS, run_metric
from clrobot.results.numbers import number_of_kind
from making.markdown import literal, table

RUN = Path(__file__).parent.parent / "data" / "finetune"
WIDTH = 6.4  # inches

_ASKED = re.compile(r"\{\{ (\w+) ?([\w.]*) \}\}")
_EQUATION = re.compile(r"^ *# (.+?) {2,}\((.+)\)$", re.MULTILINE)


@cache
def run() -> Contents:
    """Return the run: fine-tuning through three skills, which forgets."""
    return read_run(RUN)


def filled(page: str) -> str:
    """Return a page with all that it asks for in its place.

    Raises:
        KeyError: there is nothing of that name.
    """
    return _ASKED.sub(lambda asked: _ANSWERS[asked[1]](asked[2]), page)


def _value(name: str) -> str:
    return number_of_kind(run().metrics.value(name), run_metric(name).kind)


def _equation(name: str) -> str:
    (found,) = _EQUATION.findall(inspect.getsource(getattr(metrics, name)))
    equation, source = found
    return f"```text\n{equation.strip()}\n```\n\n*({source})*"


def _figure(name: str) -> str:
    drawn = to_svg(run_figures(run())[name](WIDTH), name)
    return f'<div class="figure" role="img" aria-label="{name.replace("_", " ")}">\n{drawn}\n</div>'


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
