"""Figures are drawn from matplotlib's own defaults, and what its user has set stays as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest
from support.made_up_runs import score

from clrobot.report.figures.curves import curves_figure
from clrobot.report.figures.matrices import matrix_figure
from clrobot.report.figures.style import save, to_svg

SETTINGS = """
text.usetex: True
lines.linewidth: 20
font.size: 30
axes.facecolor: red
savefig.bbox: tight
svg.fonttype: path
"""

# Draws a figure, and then says what matplotlib's user finds.
DRAW = """
import sys
from clrobot.report.figures.matrices import matrix_figure
from clrobot.report.figures.style import to_svg
print(to_svg(matrix_figure([[0.0, 0.25], [0.75, 0.5], [0.5, 1.0]], ["reach", "push"])))
import matplotlib
print("\\nlines", matplotlib.rcParams["lines.linewidth"], matplotlib.rcParamsOrig["lines.linewidth"], file=sys.stderr)
"""


def draw(folder: Path, code: str = DRAW, **environment: str) -> subprocess.CompletedProcess[str]:
    """Draw in a process of its own, in a folder; one that waits for a pipe fails."""
    variables = {name: value for name, value in os.environ.items() if name != "MATPLOTLIBRC"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=variables | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The figure where there are no settings."""
    drawn = draw(tmp_path_factory.mktemp("empty"))
    assert "lines 1.5 1.5" in drawn.stderr
    return drawn.stdout


@pytest.mark.parametrize(
    "where", ["the current folder", "the variable", "the variable's folder", "the user's folder"]
)
def test_the_user_s_file_changes_no_figure_and_is_still_the_user_s(where: str, plain: str, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    file = (here if where == "the current folder" else there) / "matplotlibrc"
    file.write_text(SETTINGS)
    variables = {
        "the current folder": {},
        "the variable": {"MATPLOTLIBRC": str(file)},
        "the variable's folder": {"MATPLOTLIBRC": str(there)},
        "the user's folder": {"MPLCONFIGDIR": str(there)},
    }
    drawn = draw(here, **variables[where])
    assert drawn.stdout == plain
    assert "lines 20.0 20.0" in drawn.stderr, "for what the user draws"


@pytest.mark.parametrize("where", ["the current folder", "the variable"])
def test_a_pipe_in_its_place_is_not_waited_for(where: str, plain: str, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    file = (here if where == "the current folder" else there) / "matplotlibrc"
    os.mkfifo(file)
    drawn = draw(here, **({"MATPLOTLIBRC": str(file)} if where == "the variable" else {}))
    assert drawn.stdout == plain


@pytest.mark.parametrize("content", [b"\xff\xfe no text", b"lines.linewidth: thick\nnonsense\n"])
def test_a_file_that_is_none_is_no_matter_of_ours(content: bytes, plain: str, tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_bytes(content)
    drawn = draw(tmp_path)
    assert drawn.stdout == plain
    assert drawn.stderr.strip() == "lines 1.5 1.5"


def test_nothing_is_read_where_films_are_captioned(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "matplotlibrc")
    code = "import sys; from clrobot.films.pen import font; font(True, 9); print('matplotlib' in sys.modules)"
    assert draw(tmp_path, code).stdout == "False\n"


def test_settings_made_in_this_process_change_no_figure_and_stay(tmp_path: Path) -> None:
    scores = [score(0, 0, 0, 0.1), score(1, 64, 0, 0.5)]

    def figures() -> list[bytes]:
        save(curves_figure(scores, ["reach"], [64]), tmp_path / "figure.png")
        drawn = (curves_figure(scores, ["reach"], [64]), matrix_figure([[0.0], [1.0]], ["reach"]))
        return [(tmp_path / "figure.png").read_bytes(), *(to_svg(figure).encode() for figure in drawn)]

    before = figures()
    own = {"text.usetex": True, "lines.linewidth": 20, "axes.facecolor": "red", "savefig.bbox": "tight"}
    with mpl.rc_context(own):
        assert figures() == before
        assert {name: mpl.rcParams[name] for name in own} == own
