"""What the site says of results: the data that clrobot ships, and where there is none, that it is not measured."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from importlib.resources import files
from statistics import median
from typing import Final

from clrobot.results.catalogue import Metric, run_metric
from clrobot.results.numbers import DASH, number_of_kind
from clrobot.results.statistics import estimate
from making.markdown import page, table

NOT_MEASURED: Final = "Not measured in this version."
SHOWN: Final = (
    "average_success",
    "forgetting",
    "forward_transfer_from_2",
    "parameters.total",
    "memory_bytes",
)


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a published table, such as `results.csv`; none where clrobot ships no such file."""
    file = files("clrobot").joinpath("published", name)
    if not file.is_file():
        return []
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))


def by_curriculum(method: str | None = None) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return the results of whole runs: for each curriculum and method, each metric's values over the seeds."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for row in rows("results.csv"):
        of_a_run = not row.get("task") and not row.get("stage") and row.get("value")
        if of_a_run and method in (None, row["method"]) and not row.get("settings", "").strip("{} "):
            metrics = found.setdefault(row["curriculum"], {}).setdefault(row["method"], defaultdict(list))
            metrics[row["metric"]].append(float(row["value"]))
    return found


def result(method: str) -> str:
    """Return a method's published results, a table row for each curriculum."""
    found = by_curriculum(method)
    lines = [[name, *_cells(methods[method])] for name, methods in found.items()]
    return _table("curriculum", lines) if lines else NOT_MEASURED


def benchmarks() -> str:
    """Return the page of all published results."""
    sections = [
        part
        for name, methods in by_curriculum().items()
        for part in (
            f"## {name}",
            _table("method", [[f"[{m}](methods/{m}.md)", *_cells(v)] for m, v in methods.items()]),
        )
    ]
    return page(
        "# Benchmarks",
        "Every number here comes from `clrobot/published/results.csv`, which the package ships: a row for each run "
        "and metric, with the command that made it and the versions that it was made with. In brackets stands the "
        "95 % interval over the seeds (Student's t below ten of them); what each column means is said in "
        "[Concepts](concepts.md).",
        *(sections or [NOT_MEASURED, "The package ships no published results yet, so this page shows none."]),
        "## Make your own",
        "[Many runs](howto/many-runs.md) says how to train several methods over several seeds and compare them. How "
        "fast it is on your machine is a measurement too: `clrobot bench` measures the environments, and `clrobot "
        "learning` how soon PPO learns each task. [Why numbers differ between machines](questions.md).",
    )


def _cells(values: dict[str, list[float]]) -> list[str]:
    return [
        str(max(map(len, values.values()), default=0)),
        *(_cell(values.get(name, []), run_metric(name)) for name in SHOWN),
    ]


def _cell(values: Sequence[float], metric: Metric) -> str:
    found = estimate(list(values), "mean", bounds=metric.bounds)
    if found.value is None:
        return DASH
    text = number_of_kind(found.value, metric.kind)
    if found.low is None or found.high is None or found.low == found.high:
        return text
    return f"{text} [{number_of_kind(found.low, metric.kind)}, {number_of_kind(found.high, metric.kind)}]"


def _table(first: str, lines: Sequence[Sequence[str]]) -> str:
    head = (first, "runs", *(run_metric(name).title for name in SHOWN))
    return table(head, lines, numbers=range(1, len(head)))


def steps_to(task: str, success: float) -> str:
    """Return the median over seeds of the steps until a task, learned alone by PPO, is solved to a share."""
    firsts: list[int | None] = []
    for row in rows("references.csv"):
        plain = "overrides" not in row["world"] and "algo=ppo" in row["settings"].split()
        if row["task"] == task and plain:
            points = (point.split(":") for point in row["curve"].split())  # STEP:SUCCESS
            firsts.append(min((int(step) for step, rate in points if float(rate) >= success), default=None))
    reached = [first for first in firsts if first is not None]
    if not firsts:
        return NOT_MEASURED
    if len(reached) < len(firsts):
        return f"reached by {len(reached)} of {len(firsts)} seeds"
    return f"{median(reached):,.0f} control steps (median of {len(firsts)} seeds)"
