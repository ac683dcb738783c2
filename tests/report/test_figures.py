"""Figures that hold what they are given, whatever the names."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.made_up_runs import score

from clrobot.report.figures.bars import Bar, bar_panels, comparison_figure
from clrobot.report.figures.costs import Cost, cost_figure
from clrobot.report.figures.curves import Band, curves_figure, mean_curves_figure
from clrobot.report.figures.dots import transfer_by_task_figure
from clrobot.report.figures.matrices import final_figure, forgetting_figure, matrix_figure
from clrobot.report.figures.style import NARROW, WIDE, line_style, save, shorten_all, to_svg
from clrobot.results.scores import Score
from clrobot.results.statistics import Estimate

R = np.array([[0.0, 0.25], [0.75, 0.5], [np.nan, np.nan]])
SCORES = [
    score(0, 0, 0, 0.0, success_final=0.0),
    score(0, 0, 1, 0.2, success_final=0.1),
    score(1, 500, 0, 0.5, success_final=0.4),
    score(1, 1000, 0, 0.9, success_final=0.8),
    score(1, 1000, 1, 0.3, success_final=0.2),
    score(2, 1600, 1, 0.6, success_final=0.5),
]


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_matrix_has_a_number_in_every_cell() -> None:
    shown = texts(to_svg(matrix_figure(R, ["reach", "push"])))
    assert {
        "0.00",
        "0.25",
        "0.75",
        "0.50",
        "reach",
        "push",
        "1 · reach",
        "2 · push",
        "before training",
    } <= set(shown)
    assert shown.count("–") == 2


def test_long_names_leave_room_for_a_single_row() -> None:
    names = [f"MetaWorld-HandlePressSide-v{n}" for n in range(10)]
    R = np.full((11, 10), 0.5)
    for figure in (matrix_figure(R, names), final_figure(np.full((1, 10), 0.5), ["ewc"], names)):
        assert texts(to_svg(figure)).count("0.50") >= 10  # whatever does not fit is a warning, and an error here


def test_matrix_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        matrix_figure(R[:2], ["reach", "push"])


def test_transfer_to_each_task_is_a_dot_with_its_interval() -> None:
    rows = {
        "fresh": [Estimate(-0.1, -0.3, 0.1, 3), Estimate(None, None, None, 0, 3)],
        "warm $x$": [Estimate(0.5, None, None, 1), Estimate(0.25, 0.0, 0.5, 3)],
    }
    figure = transfer_by_task_figure(rows, ["push", "hammer"], [0.75, None])
    (axes,) = figure.axes
    drawn = [line.get_xdata() for line in axes.lines]
    for dots in ([-0.1], [0.5, 0.25], [-0.3, 0.1], [0.0, 0.5], [0.75, 0.75]):
        assert any(np.array_equal(dots, line) for line in drawn), dots
    assert {"push", "hammer", "fresh", "warm $x$", "best earlier task"} <= set(texts(to_svg(figure)))
    assert "best earlier task" not in texts(to_svg(transfer_by_task_figure(rows, ["push", "hammer"], [])))


def test_curves_show_the_scores() -> None:
    figure = curves_figure(SCORES, ["reach", "push"], [1000])
    reach, push = (axes.lines for axes in figure.axes)
    np.testing.assert_array_equal(reach[1].get_xydata(), [[0, 0], [500, 0.5], [1000, 0.9]])
    np.testing.assert_array_equal(push[1].get_xydata(), [[0, 0.2], [1000, 0.3], [1600, 0.6]])
    assert [axes.get_ylabel() for axes in figure.axes] == ["reach", "push"]
    final = curves_figure(SCORES, ["reach", "push"], [1000], reading="final")
    np.testing.assert_array_equal(final.axes[0].lines[1].get_ydata(), [0, 0.4, 0.8])


@pytest.mark.parametrize(("scores", "ends"), [([], []), (SCORES[:2], []), (SCORES, [1000])])
def test_curves_of_an_unfinished_run(scores: list[Score], ends: list[int]) -> None:
    assert {"reach", "push"} <= set(texts(to_svg(curves_figure(scores, ["reach", "push"], ends))))


def test_svg_is_transparent_self_contained_and_reproducible() -> None:
    first, second = (to_svg(curves_figure(SCORES, ["reach", "push"], [1000])) for _ in range(2))
    assert first == second
    assert first.startswith("<svg")
    assert "<image" not in first
    assert "http" not in first.replace('"http://www.w3.org/2000/svg"', "").replace(
        '"http://www.w3.org/1999/xlink"', ""
    )
    assert "fill: #ffffff" not in first


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "$\\frac{", "_hidden", 'a"b&c', "推す"])
def test_names_are_only_text(name: str) -> None:
    for figure in (matrix_figure(R, [name, "push"]), curves_figure(SCORES, [name, "push"], [1000])):
        assert name in texts(to_svg(figure))


def test_a_long_name_leaves_room_for_the_figure() -> None:
    name = "assemble-the-whole-drawer-then-open-it-again" * 3
    shown = texts(to_svg(curves_figure(SCORES, [name, "push"], [1000], width=4.2)))
    assert "asse…-it-again" in shown
    shown = texts(to_svg(curves_figure(SCORES, [name, "push"], [1000])))
    assert "assemble-…then-open-it-again" in shown


def test_names_that_begin_alike_can_be_told_apart() -> None:
    names = [f'distillation (warm_start.choose="{choice}")' for choice in ("none", "oracle", "random")]
    figure, _ = bar_panels(["average success"], names, width=8)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ['distill…choose="none")', 'distill…oose="oracle")', 'distill…oose="random")']
    both = [
        f'distillation (warm_start.choose="{choice}", warm_start.trial_envs=8)' for choice in ("return", "success")
    ]
    assert shorten_all([*both, "ewc"], 22) == ['distill…return", warm…', 'distill…success", war…', "ewc"]


def test_no_pyplot() -> None:
    code = "import sys, clrobot.report.figures.style; assert not {'matplotlib.pyplot', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_forgetting_has_a_row_for_each_later_stage_and_no_number_for_skills_to_come() -> None:
    drop = np.array([[np.nan] * 3, [0.25, np.nan, np.nan], [-0.5, 0.0, np.nan]])
    shown = texts(to_svg(forgetting_figure(drop, ["reach", "push", "slide"])))
    assert {"2 · push", "3 · slide", "reach", "push", "+0.25", "−0.50", "0.00"} <= set(shown)
    assert "1 · reach" not in shown
    assert "–" not in shown
    assert "–" in texts(to_svg(forgetting_figure(drop * np.nan, ["reach", "push", "slide"])))
    with pytest.raises(ValueError, match=r"\(3, 3\)"):
        forgetting_figure(drop[1:], ["reach", "push", "slide"])


def test_bars_are_as_long_as_their_values_and_whiskers_as_their_intervals() -> None:
    rows = [Bar("ewc", 0.8, 0.7, 0.9, (0.7, 0.9)), Bar("none", None), Bar("one seed", -0.2, None, None, (-0.2,))]
    for width in (WIDE, NARROW):
        first, second = comparison_figure({"kept": rows, "lost": rows[:1] * 3}, width).axes
        assert [patch.get_width() for patch in first.patches] == [0.8, -0.2]
        drawn = [list(line.get_xdata()) for line in first.lines]
        assert drawn.count([0.7, 0.9]) == 3  # rings, whisker, its ends
        assert first.get_xlim()[0] < -0.2
        assert second.get_xlim() == (0, 1.05)
    shown = texts(to_svg(comparison_figure({"kept": rows})))
    assert {"0.80", "–", "−0.20", "ewc", "none", "one seed"} <= set(shown)


def test_costs_are_stacked_by_kind() -> None:
    seconds = {"train": 60.0, "evaluate": 5.0, "method": 2.5, "record": 0.0, "save": 0.5}
    costs = [Cost("ewc", seconds, 100, 150, 2500), Cost("fast", dict.fromkeys(seconds, 0.0), 0, 0, 0)]
    for width in (WIDE, NARROW):
        figure = cost_figure(costs, width)
        time, parameters, memory = figure.axes
        assert [(bar.get_x(), bar.get_width()) for bar in time.patches[:3]] == [(0, 60), (60, 5), (65, 2.5)]
        assert [bar.get_width() for bar in parameters.patches] == [100, 50, 0, 0]
        assert [bar.get_width() for bar in memory.patches] == [2500, 0]
        shown = texts(to_svg(figure))
        assert {"1 min 08 s", "0.0 s", "150", "2.5 kB", "0 bytes"} <= set(shown)
        assert {"training", "evaluation", "the method itself", "films", "saving"} <= set(shown)


def test_mean_curves_have_a_line_and_a_band_for_each_method() -> None:
    steps, mean = np.array([0.0, 500, 1000]), np.array([0.0, 0.5, 1.0])
    band = Band(steps, mean, mean - 0.1, mean + 0.1)
    nothing = Band(*(np.empty(0) for _ in range(4)))
    methods = {"ewc": [band, nothing], "_hidden $x$": [Band(steps, mean / 2, mean * np.nan, mean * np.nan), band]}
    figure = mean_curves_figure(methods, ["reach", "push"], [500, 1000])
    reach, push = figure.axes
    np.testing.assert_array_equal(reach.lines[-2].get_xydata(), np.column_stack([steps, mean]))
    np.testing.assert_array_equal(reach.lines[-1].get_ydata(), mean / 2)
    assert push.lines[-2].get_xydata().size == 0
    assert len({line.get_linestyle() for line in reach.lines[-2:]}) == 2
    assert {"ewc", "_hidden $x$", "reach", "push"} <= set(texts(to_svg(figure)))


def test_a_page_s_colours_are_its_own() -> None:
    svg = to_svg(curves_figure(SCORES, ["fill: #4d4d4d", "push"], [1000]))
    assert "fill: var(--quiet, #4d4d4d)" in svg
    assert "stroke: var(--series-1, #0072b2)" in svg
    assert "fill: #4d4d4d" in texts(svg)
    assert "<!--" not in svg
    for painted in re.findall(r"<[^<>]*>", svg):  # a dot has both: its edge and its middle
        assert not re.search(r"(fill|stroke): (#0072b2|#d55e00|#4d4d4d)", painted), painted


def test_no_two_of_many_lines_are_alike() -> None:
    assert len({line_style(n) for n in range(36)}) == 36
    band = Band(*(np.array([0.0, 1.0]) for _ in range(4)))
    figure = mean_curves_figure({f"method {n}": [band] for n in range(16)}, ["reach"], [1])
    assert len({(line.get_color(), line._unscaled_dash_pattern) for line in figure.axes[0].lines[-16:]}) == 16  # type: ignore[attr-defined]
    estimates = [Estimate(0.5, None, None, 1, 0)]
    dots = transfer_by_task_figure({f"method {n}": estimates for n in range(16)}, ["reach"], ()).axes[0].lines
    assert len({(dot.get_markerfacecolor(), dot.get_marker()) for dot in dots if dot.get_marker() != "None"}) == 16


def test_ids_are_shared_by_no_two_figures_of_a_page() -> None:
    figure = curves_figure(SCORES, ["reach", "push"], [1000])
    first, second = (set(re.findall(r'id="([^"]+)"', to_svg(figure, salt))) for salt in ("run-1", "run-2"))
    assert first
    assert not first & second


@pytest.mark.parametrize("name", ["reach", "<b>$\\frac{", "推す"])
def test_figures_are_saved_for_print(name: str, tmp_path: Path) -> None:
    for suffix in ("svg", "png"):
        for copy in "ab":
            save(curves_figure(SCORES, [name, "push"], [1000]), tmp_path / f"{copy}.{suffix}")
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    svg = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert name in texts(svg)
    assert "var(" not in svg
    picture = Image.open(tmp_path / "a.png")
    assert picture.width == 7.2 * 300
    assert picture.getpixel((0, 0))[:3] == (255, 255, 255)
