"""Runs, agents and comparisons show themselves in a notebook, and no name in them is markup."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from support.made_up_runs import made_up_run
from support.published import published

import clrobot
from clrobot.comparison.comparison import compare
from clrobot.comparison.readme import published_comparison
from clrobot.notebook import html_table
from clrobot.published.results import runs_of
from clrobot.runs.folder import RunFolder

MATRIX = [[0.0, 0.0, 0.0], [0.9, 0.0, 0.1], [0.5, 0.8, 0.2], [0.25, 0.75, 1.0]]
HOSTILE = "<img src=x onerror=alert(1)>\"'&"


class Cells(HTMLParser):
    """The rows of a table as text, and every tag that there is."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.caption = ""
        self._within = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        self._within = tag
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self._within == "caption":
            self.caption += data
        else:
            self.rows[-1][-1] += data


def test_a_run_shows_each_skill_then_and_now(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "mine", MATRIX, method="ewc", seed=3)
    shown = Cells(run._repr_html_())
    assert shown.caption == "mine, quick, ewc, seed 3, average success 0.67, forgetting 0.35"
    assert shown.rows == [
        ["task", "after its stage", "now"],
        ["reach", "0.90", "0.25"],
        ["button-press", "0.80", "0.75"],
        ["drawer-open", "1.00", "1.00"],
    ]


def test_an_unfinished_run_says_how_far_it_is(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "half", MATRIX[:3])
    assert "2 of 3 stages" in Cells(run._repr_html_()).caption
    (run.path / "metrics.json").unlink()
    shown = Cells(run._repr_html_())
    assert shown.caption.endswith("not measured yet")
    assert shown.rows[1] == ["reach", "–", "–"]


def test_a_damaged_run_is_a_sentence(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / HOSTILE.replace("/", ""), MATRIX)
    (run.path / "metrics.json").write_text("{}")
    shown = Cells(run._repr_html_())
    assert "metrics.json" in shown.caption
    assert shown.tags == {"table", "caption"}


def test_published_rows_say_how_many_seeds_they_are_of() -> None:
    rows = [row for seed in (10, 11, 12) for row in published(seed=seed)]
    shown = Cells(published_comparison(runs_of(rows))._repr_html_())
    assert shown.rows[1][:2] == ["ewc", "3"]


def test_a_folder_s_name_is_text(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / HOSTILE, MATRIX)
    shown = Cells(run._repr_html_())
    assert shown.caption.startswith(HOSTILE)
    assert shown.tags == {"table", "caption", "tr", "th", "td"}


def test_a_comparison_shows_its_rows(tmp_path: Path) -> None:
    runs = [
        made_up_run(tmp_path / f"{m}-{seed}", MATRIX, method=m, seed=seed) for m in ("ewc", "si") for seed in (0, 1)
    ]
    shown = Cells(compare(runs)._repr_html_())
    head, *rows = shown.rows
    assert head[:4] == ["method", "seeds", "average success", "forgetting"]
    assert [row[:4] for row in rows] == [["ewc", "2", "0.67", "0.35"], ["si", "2", "0.67", "0.35"]]
    one = Cells(compare(runs, metrics=["seconds.total"])._repr_html_())
    assert one.rows[0] == ["method", "seeds", "seconds"]


def test_an_agent_shows_what_it_was_trained_on(tiny_run: Path) -> None:
    shown = Cells(clrobot.load(tiny_run, stage=2)._repr_html_())
    assert shown.caption.startswith("agent after stage 2 of quick, ")
    assert shown.rows == [["task", "trained"], ["reach", "yes"], ["button-press", "yes"], ["drawer-open", "no"]]


def test_what_is_long_is_cut() -> None:
    shown = Cells(html_table("x" * 10_000, ("name", "n"), [("y" * 10_000, "1")] * 1000))
    assert len(shown.caption) <= 200
    assert len(shown.rows) == 52
    assert shown.rows[-1] == ["… 950 more", ""]


def test_a_folder_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    shown = Cells(RunFolder(tmp_path / "gone")._repr_html_())
    assert "config.yaml" in shown.caption
    assert shown.tags == {"table", "caption"}
