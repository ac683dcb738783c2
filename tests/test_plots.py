"""Figures that hold what they are given, whatever the names."""

import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from clrobot.metrics import Score
from clrobot.plots import curves_figure, matrix_figure, to_svg

R = np.array([[0.0, 0.25], [0.75, 0.5], [np.nan, np.nan]])
SCORES = [
    Score(0, 0, 1, 10, 0.0, 0.0, 0.0),
    Score(0, 0, 2, 10, 0.2, 0.1, 0.0),
    Score(1, 500, 1, 10, 0.5, 0.4, 0.0),
    Score(1, 1000, 1, 10, 0.9, 0.8, 0.0),
    Score(1, 1000, 2, 10, 0.3, 0.2, 0.0),
    Score(2, 1600, 2, 10, 0.6, 0.5, 0.0),
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


def test_matrix_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        matrix_figure(R[:2], ["reach", "push"])


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
    assert "assemble-the-…" in shown
    shown = texts(to_svg(curves_figure(SCORES, [name, "push"], [1000])))
    assert "assemble-the-whole-drawer-t…" in shown


def test_no_pyplot() -> None:
    code = "import sys, clrobot.plots; assert not {'matplotlib.pyplot', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
