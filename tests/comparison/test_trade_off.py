"""What protection costs: which rows are points of one line, and a figure that shows them wherever its default is."""

from __future__ import annotations

import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.made_up_runs import made_up_run

from clrobot.comparison.comparison import compare
from clrobot.comparison.runs import expand
from clrobot.comparison.trade_off import TradeOff, trade_offs
from clrobot.experiment.config import make_config
from clrobot.report.contents import read_run
from clrobot.report.figures.of_comparison import comparison_figures
from clrobot.report.figures.style import WIDE, save
from clrobot.report.figures.trade_off import Line, trade_off_figure

R = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.5, 0.75, 1.0]]
STRENGTHS = (0.0, 1.0, 10.0)
TURNED = {"name": "turned", "stages": [{"task": t, "steps": 64} for t in ("drawer-open", "reach", "button-press")]}


def runs(folder: Path, strengths: tuple[float, ...] = STRENGTHS, rows: int = 4, **settings: Any) -> None:
    """Runs of EWC with these strengths in a folder."""
    for strength in strengths:
        own = {"method": "ewc", "ewc": {"strength": strength}} | settings
        made_up_run(folder / f"{len(list(folder.glob('*')))}-{strength}", R[:rows], **own)


def found(folder: Path) -> list[TradeOff]:
    return trade_offs(compare(expand([folder])))


# Which rows are one line -----------------------------------------------------------------------------------


def test_a_sweep_over_one_number_is_one_line(tmp_path: Path) -> None:
    runs(tmp_path)
    (one,) = found(tmp_path)
    assert (one.method, one.setting, one.among) == ("ewc", "ewc.strength", "")
    assert one.default == make_config().ewc.strength
    assert [point.value for point in one.points] == list(STRENGTHS)
    assert one.points[0].parts["average success"].value == pytest.approx(0.75)
    assert one.points[0].parts["newly learned"].value == pytest.approx(1.0)
    assert one.points[0].parts["retained"].value == pytest.approx(0.625)


def test_its_default_is_that_of_the_curriculum(tmp_path: Path) -> None:
    asked = TURNED | {"defaults": {"ppo": {"gamma": 0.5}}}
    for gamma in (0.4, 0.5, 0.6):
        made_up_run(tmp_path / str(gamma), R, method="ewc", curriculum=asked, ppo={"gamma": gamma})
    (one,) = found(tmp_path)
    assert (one.setting, one.default) == ("ppo.gamma", 0.5)


# Two sweeps over the same strengths that differ in something else too: in what, and what the second line is called.
OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "curriculum": ({"curriculum": TURNED}, "turned, 192 steps"),
    "steps": ({"steps": 128}, "quick, 384 steps"),
    "stages done": ({"rows": 3}, "quick, 192 steps, 2 stages"),
    "yes or no": ({"network": {"layer_norm": True}}, "network.layer_norm=True"),
    "a word": ({"device": "cuda"}, "device=cuda"),
    "layers": ({"network": {"widths": (64, 64, 64)}}, "network.widths=3 numbers"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_differs_in_something_else_too_is_a_line_of_its_own(other: str, tmp_path: Path) -> None:
    change, name = OTHERS[other]
    runs(tmp_path)
    runs(tmp_path, **change)
    first, second = found(tmp_path)
    for line in (first, second):
        assert [point.value for point in line.points] == list(STRENGTHS)
    assert name in (first.among, second.among)
    assert first.among != second.among


def test_curricula_of_one_name_and_length_are_two_lines(tmp_path: Path) -> None:
    runs(tmp_path)
    runs(tmp_path, curriculum=TURNED | {"name": "quick"})
    assert [line.among for line in found(tmp_path)] == ["", "#2"]


def test_rows_that_differ_in_two_numbers_are_no_line(tmp_path: Path) -> None:
    runs(tmp_path)
    runs(tmp_path, ppo={"gamma": 0.9})
    assert found(tmp_path) == []


def test_two_algorithms_are_two_lines(tmp_path: Path) -> None:
    runs(tmp_path)
    runs(tmp_path, algo="sac")
    assert sorted(line.among for line in found(tmp_path)) == ["algo=ppo", "algo=sac"]


def test_what_makes_no_row_makes_no_line_either(tmp_path: Path) -> None:
    """Threads, memory and films may differ from run to run, and settings of other methods."""
    runs(tmp_path, STRENGTHS[:1], threads=1, memory_limit_mb=100)
    runs(tmp_path, STRENGTHS[1:2], threads=2, video={"episodes": 3}, si={"strength": 7.0})
    runs(tmp_path, STRENGTHS[2:], checkpoint={"seconds": 5.0})
    (one,) = found(tmp_path)
    assert one.setting == "ewc.strength"


def test_widths_that_are_not_one_number_are_no_point(tmp_path: Path) -> None:
    for widths in ((8, 16), (8, 8), (16, 16), (32, 32), (8,)):
        runs(tmp_path, (1.0,), network={"widths": widths})
    (one,) = found(tmp_path)
    assert one.setting == "network.widths"
    assert [point.value for point in one.points] == [8, 16, 32]


def test_of_runs_that_go_on_the_stages_that_are_over_are_shown(tmp_path: Path) -> None:
    rows = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.75, 0.0]]
    for strength in STRENGTHS:
        made_up_run(tmp_path / str(strength), rows, ewc={"strength": strength})
    (one,) = found(tmp_path)
    values = {name: part.value for name, part in one.points[0].parts.items()}
    assert values == {"average success": 0.625, "newly learned": 0.75, "retained": 0.5}


def test_of_one_task_nothing_is_retained(tmp_path: Path) -> None:
    one_stage = {"name": "one", "stages": [{"task": "reach", "steps": 64}]}
    for strength in STRENGTHS:
        made_up_run(tmp_path / str(strength), [[0.0], [1.0]], curriculum=one_stage, ewc={"strength": strength})
    with warnings.catch_warnings(action="error"):
        (one,) = found(tmp_path)
    assert one.points[0].parts["average success"].value == 1.0
    assert one.points[0].parts["retained"].value is None


def test_each_line_is_a_file(tmp_path: Path) -> None:
    runs(tmp_path / "runs")
    runs(tmp_path / "runs", curriculum=TURNED)
    folders = expand([tmp_path / "runs"])
    figures = comparison_figures(compare(folders), {run.path: read_run(run.path) for run in folders})
    assert {"trade_off_ewc", "trade_off_ewc_2"} <= figures.keys()
    assert figures["trade_off_ewc"](WIDE).axes[0].get_xlabel() == "ewc.strength (quick, 192 steps)"
    assert figures["trade_off_ewc_2"](WIDE).axes[0].get_xlabel() == "ewc.strength (turned, 192 steps)"


# The figure ------------------------------------------------------------------------------------------------

AXES: dict[str, tuple[list[float], float | None]] = {
    "the default among the values": ([0.1, 1, 10, 100], 10),
    "a default of 0 among them": ([0, 0.1, 1, 10], 0),
    "a default of 0 beside them": ([0.1, 1, 10], 0),
    "a default far beside them": ([1, 2, 3], 4000),
    "a default far below them, and 0": ([0, 100, 200, 300], 0.01),
    "negative values": ([-3, -1, 0.5, 10], 0),
    "a negative default": ([0.1, 1, 10], -2),
    "tiny and huge values": ([0, 1e-30, 1e30], 1.0),
    "equal steps": ([1, 2, 3], 2),
    "no default": ([0.1, 1, 10], None),
}


@pytest.mark.parametrize("axis", AXES)
def test_the_figure_keeps_its_size_and_its_order(axis: str, tmp_path: Path) -> None:
    at, default = AXES[axis]
    rates = [0.5] * len(at)
    figure = trade_off_figure("ewc.strength", at, [Line("retained", rates, rates, rates)], default)
    with warnings.catch_warnings(action="error"):
        save(figure, tmp_path / "figure.png")
    (axes,) = figure.axes
    box = axes.get_position()
    assert box.width > 0.8, "the axes fill the figure"
    assert box.height > 0.7
    places = [float(x) for x in axes.lines[0].get_xdata()]
    assert np.isfinite(places).all()
    assert all(a < b for a, b in pairwise(places))
    low, high = axes.get_xlim()
    assert low <= places[0] < places[-1] <= high
    (text,) = [t for t in axes.texts if t.get_text() == "default"] or [None]
    assert (text is None) == (default is None)
    if text is not None and default is not None:
        assert low <= text.get_position()[0] <= high
        assert text.get_position()[0] == axes.lines[1].get_xdata()[0]
        # Left of what is larger, and right of what is smaller.
        for value, place in zip(at, places, strict=True):
            assert np.sign(text.get_position()[0] - place) == np.sign(default - value)
    assert [tick.get_text() for tick in axes.get_xticklabels() if tick.get_text() == "0"] == ["0"] * (
        0 in at or (default == 0 and axes.get_xscale() == "log")
    )
