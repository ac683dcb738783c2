"""What the site says of results: the data that clrobot ships, and where there is none, that it is not measured."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from importlib.resources import files
from statistics import median
from typing import Final, NamedTuple

from clrobot.agents.methods import METHODS_BY_NAME
from clrobot.report.figures.bars import Bar, comparison_figure
from clrobot.report.figures.style import to_svg
from clrobot.results.catalogue import Metric, run_metric
from clrobot.results.numbers import DASH, number_of_kind
from clrobot.results.statistics import Estimate, estimate
from making.markdown import page, table

NOT_MEASURED: Final = "Not measured in this version."
SHOWN: Final = tuple(
    map(
        run_metric,
        ("average_success", "forgetting", "forward_transfer_from_2", "parameters.total", "memory_bytes"),
    )
)
DRAWN: Final = SHOWN[:3]
WIDTH: Final = 6.4  # inches

Values = dict[str, list[float]]  # of the seeds, by metric


class Variant(NamedTuple):
    """What was trained, but for the seed: the rows of one line of a table."""

    method: str
    settings: str  # those that are not the defaults

    @property
    def label(self) -> str:
        """Its name in a figure."""
        return f"{self.method} {self.settings}".strip()


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a published table, such as `results.csv`; none where clrobot ships no such file."""
    file = files("clrobot").joinpath("published", name)
    if not file.is_file():
        return []
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))


def by_curriculum() -> dict[str, dict[Variant, Values]]:
    """Return the results of whole runs: for each curriculum and variant, each metric's values over the seeds."""
    found: dict[str, dict[Variant, Values]] = {}
    for row in rows("results.csv"):
        if row["stage"] or not row["value"]:  # of one task, or undefined
            continue
        settings = row["settings"] if row["algo"] == "ppo" else f"algo={row['algo']} {row['settings']}".strip()
        values = found.setdefault(row["curriculum"], {}).setdefault(Variant(row["method"], settings), {})
        values.setdefault(row["metric"], []).append(float(row["value"]))
    return found


def result(method: str) -> str:
    """Return a method's published results, a line for each curriculum and other settings."""
    lines = [
        [name, _settings(variant), *_cells(values)]
        for name, variants in by_curriculum().items()
        for variant, values in variants.items()
        if variant.method == method
    ]
    return _table(("curriculum", "settings"), lines) if lines else NOT_MEASURED


def benchmarks() -> str:
    """Return the page of all published results."""
    found = by_curriculum()
    return page(
        "# Benchmarks",
        "Every number here comes from `clrobot/published/results.csv`, which the package ships: a row for each run "
        "and metric, with the command that made it and the versions that it was made with. In brackets stands the "
        "95 % interval over the seeds (Student's t below ten of them); what each column means is said in "
        "[Concepts](concepts.md).",
        *(part for name, variants in found.items() for part in _section(name, variants)),
        "" if found else f"**{NOT_MEASURED}** The package ships no published results yet.",
        "## Make your own",
        "[Many runs](howto/many-runs.md) says how to train several methods over several seeds and compare them. How "
        "fast it is on your machine is a measurement too: `clrobot bench` measures the environments, and `clrobot "
        "learning` how soon PPO learns each task. [Why numbers differ between machines](questions.md).",
    )


def _section(name: str, variants: Mapping[Variant, Values]) -> list[str]:
    lines = [
        [
            f"[{v.method}](methods/{v.method}.md)" if v.method in METHODS_BY_NAME.ours else v.method,
            _settings(v),
            *_cells(values),
        ]
        for v, values in variants.items()
    ]
    panels = {
        metric.title: [_bar(v.label, values.get(metric.name, []), metric) for v, values in variants.items()]
        for metric in DRAWN
        if any(metric.name in values for values in variants.values())
    }
    parts = [f"## {name}"]
    if panels:
        drawn = to_svg(comparison_figure(panels, WIDTH), name)
        parts.append(f'<div class="figure" role="img" aria-label="methods on {name}">\n{drawn}\n</div>')
    return [*parts, _table(("method", "settings"), lines)]


def _settings(variant: Variant) -> str:
    return f"`{variant.settings}`" if variant.settings else "default"


def _estimate(values: Sequence[float], metric: Metric) -> Estimate:
    return estimate(list(values), "mean", bounds=metric.bounds)


def _bar(label: str, values: Sequence[float], metric: Metric) -> Bar:
    found = _estimate(values, metric)
    text = number_of_kind(found.value, metric.kind)
    return Bar(label, found.value, found.low, found.high, values, text)


def _cells(values: Values) -> list[str]:
    runs = max(map(len, values.values()), default=0)
    return [str(runs), *(_cell(values.get(metric.name, []), metric) for metric in SHOWN)]


def _cell(values: Sequence[float], metric: Metric) -> str:
    found = _estimate(values, metric)
    if found.value is None:
        return DASH
    text = number_of_kind(found.value, metric.kind)
    if found.low is None or found.high is None or found.low == found.high:
        return text
    return f"{text} [{number_of_kind(found.low, metric.kind)}, {number_of_kind(found.high, metric.kind)}]"


def _table(first: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    head = (*first, "runs", *(metric.title for metric in SHOWN))
    return table(head, lines, numbers=range(len(first), len(head)))


def steps_to(task: str, success: float) -> str:
    """Return the median over seeds of the steps until a task, learned alone by PPO, is solved to a share."""
    firsts: list[int | None] = []
    for row in rows("references.csv"):
        if row["task"] == task and not row["world"] and "algo=ppo" in row["settings"].split():
            points = (point.split(":") for point in row["curve"].split())  # STEP:SUCCESS
            firsts.append(min((int(step) for step, rate in points if float(rate) >= success), default=None))
    reached = [first for first in firsts if first is not None]
    if not firsts:
        return NOT_MEASURED
    if len(reached) < len(firsts):
        return f"reached by {len(reached)} of {len(firsts)} seeds"
    return f"{median(reached):,.0f} control steps (median of {len(firsts)} seeds)"
