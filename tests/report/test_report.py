"""The page of a run: the numbers of its files, nothing from elsewhere, nothing executed."""

import base64
import csv
import html.parser
import json
import pathlib
import re
import urllib.parse
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import yaml
from markupsafe import Markup
from support.made_up_runs import made_up_run, page_run, score
from support.models import forge_manifest

import clrobot.report.comparison_page
import clrobot.report.figures.files
import clrobot.report.run_section
from clrobot.comparison.comparison import compare
from clrobot.errors import UserError
from clrobot.report.comparison_page import write_comparison
from clrobot.report.contents import read_run
from clrobot.report.figures.files import write_all_figures
from clrobot.report.figures.of_comparison import band, comparison_figures, costs
from clrobot.report.figures.style import WIDE
from clrobot.report.html import Drawn
from clrobot.report.page import write_report
from clrobot.results.catalogue import COST_SECTIONS, HEADLINES, LEARNING_SECTIONS, TASK_METRICS
from clrobot.results.stage_record import Seconds
from clrobot.results.statistics import Estimate
from clrobot.runs.folder import RunFolder

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw the curves of the same scores once: most tests make a page of the same run, and look at its words."""
    draw = clrobot.report.run_section.draw_curves

    def curves(*args: Any) -> Drawn:
        key = repr(args)
        if key not in _DRAWN:
            _DRAWN[key] = draw(*args)
        return _DRAWN[key]

    monkeypatch.setattr(clrobot.report.run_section, "draw_curves", curves)


_DRAWN: dict[str, Drawn] = {}


def add_video(run: pathlib.Path, stage: int, name: str) -> None:
    path = run / "videos" / f"stage_{stage:02d}" / f"{name}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


class Page(html.parser.HTMLParser):
    """The elements and the text of a page, as a browser would see them."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def links(self) -> list[str | None]:
        """Where links lead, without those to files that the page itself holds."""
        return [attrs["href"] for tag, attrs in self.tags if tag == "a" and "download" not in attrs]

    def downloads(self) -> dict[str | None, str]:
        """The files that the page holds, by name."""
        held = [attrs for tag, attrs in self.tags if tag == "a" and "download" in attrs]
        return {a["download"]: base64.b64decode(str(a["href"]).partition("base64,")[2]).decode() for a in held}

    def all(self, tag: str, attribute: str) -> list[str | None]:
        return [attrs[attribute] for name, attrs in self.tags if name == tag and attribute in attrs]


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for item in value for leaf in leaves(item)] if isinstance(value, list) else [value]


def test_numbers_are_those_of_the_run(tmp_path: pathlib.Path) -> None:
    run = page_run(tmp_path / "run")
    page = Page(write_report(run))
    metrics = json.loads((run / "metrics.json").read_text())
    shown = [float(str(value)) for value in page.all("data", "value")]
    headline = [metrics[metric.name] for metric in HEADLINES if metrics[metric.name] is not None]
    matrices = leaves(metrics["success_matrix"]) + leaves(metrics["success_matrix_final"])
    assert metrics["isolated_forgetting"][1][0] == 0.5
    keys = [metric.name for metric in TASK_METRICS]
    tasks = [task[key] for task in metrics["per_task"] for key in keys if task[key] is not None]
    cost = [75.0, 2.5, 0.25, 1.5, 0.75, 300, 30, 5, 12, 7, 5678, 1234, 2500]
    stage = [120, 100, 0, 75.0, 0.25]
    layer = [0.0, 0.125, 0.25, 7]
    assert shown == [*headline, *matrices, 0.5, *tasks, *cost, *stage * 2, *layer * 4]
    assert len(headline) == 7
    assert {"steps_to_success", "forgetting_steps", "relative_return", "forgetting_return"} <= {*keys}
    for text in (
        "0.69",
        "50.0",
        "7 of 8",
        "0.50",
        "−0.50",
        "1 min 15 s",
        "2.5 kB",
        "two skills",
        "stable-baselines3",
        "strength: 400.0",
    ):
        assert text in page.text


def test_cells_link_to_the_videos_that_exist(tmp_path: pathlib.Path) -> None:
    run = page_run(tmp_path / "run")
    add_video(run, 1, "reach")
    add_video(run, 2, "reach")
    links = [link for link in Page(write_report(run)).links() if link]
    assert set(links) == {"videos/stage_01/reach.mp4", "videos/stage_02/reach.mp4"}
    assert all((run / link).is_file() for link in links)


def test_without_videos_there_are_no_links(tmp_path: pathlib.Path) -> None:
    assert Page(write_report(page_run(tmp_path / "run"))).links() == []


def test_an_odd_name_is_quoted_and_none_leaves_the_folder(tmp_path: pathlib.Path) -> None:
    run = page_run(tmp_path / "run", ["what? 100%#1", "../../secret"])
    add_video(run, 1, "what? 100%#1")
    (run / "secret.mp4").touch()
    assert set(Page(write_report(run)).links()) == {"videos/stage_01/what%3F%20100%25%231.mp4"}


def test_everything_from_the_run_is_escaped(tmp_path: pathlib.Path) -> None:
    plain = Page(write_report(page_run(tmp_path / "run")))
    run = page_run(tmp_path / '"><img src=x>', [HOSTILE, "push' onclick='alert(1)"])
    (run / "environment.json").write_text(json.dumps({HOSTILE: HOSTILE, "nested": {"list": [HOSTILE]}}))
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["curriculum"]["name"] = "<img src=x>"
    (run / "config.yaml").write_text(f"{yaml.safe_dump(config)}# {HOSTILE}\n")
    forge_manifest(run)
    page = Page(write_report(run))
    assert HOSTILE not in page.source
    assert page.text.count(HOSTILE) > 4
    assert "<img src=x>" in page.text
    assert len(page.all("img", "src")) == 0
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    for tag in ("script", "style", "dialog"):
        assert len([t for t, _ in page.tags if t == tag]) == len([t for t, _ in plain.tags if t == tag])


def test_the_page_loads_nothing(tmp_path: pathlib.Path) -> None:
    run = page_run(tmp_path / "run")
    add_video(run, 1, "reach")
    page = Page(write_report(run))
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\"'\s)]*", page.source)) <= namespaces
    assert page.all("script", "src") == page.all("img", "src") == page.all("iframe", "src") == []
    assert page.all("link", "href") == ["data:,"]
    assert not re.search(r"@import|url\((?!#)", page.source)
    assert str(tmp_path) not in page.source


def test_it_can_be_read_without_seeing(tmp_path: pathlib.Path) -> None:
    run = page_run(tmp_path / "run")
    add_video(run, 2, "reach")
    page = Page(write_report(run))
    assert "reach after stage 2, push: success 0.38, play the video" in page.all("a", "aria-label")
    (curves,) = [attrs["aria-label"] for _, attrs in page.tags if attrs.get("class") == "drawn"]
    assert curves is not None
    assert "reach reached 0.88 in its own stage and ended at 0.38" in curves
    assert len([tag for tag, _ in page.tags if tag == "caption"]) == 6


@pytest.mark.parametrize("stages_done", [0, 1])
def test_an_unfinished_run(tmp_path: pathlib.Path, stages_done: int) -> None:
    page = Page(write_report(page_run(tmp_path / "run", stages_done=stages_done)))
    assert f"Unfinished: {stages_done} of 2 stages" in page.text
    assert "–" in page.text
    assert "nan" not in page.text
    assert "None" not in page.text


@pytest.mark.parametrize(("method", "together"), [("multitask", True), ("ewc", False)])
def test_what_is_trained_in_every_stage_is_not_said_to_be_untrained(
    method: str, together: bool, tmp_path: pathlib.Path
) -> None:
    rows = [[0.0, 0.0, 0.0], [0.5, 0.25, 0.25], [0.75, 0.5, 0.5], [1.0, 1.0, 1.0]]
    page = write_report(made_up_run(tmp_path / "run", rows, method=method).path)
    text = page.read_text(encoding="utf-8")
    assert ("what stands above it was never trained" in text) != together
    assert ("Every stage trains every task." in text) == together


def test_a_finished_run_does_not_say_unfinished(tmp_path: pathlib.Path) -> None:
    assert "Unfinished" not in Page(write_report(page_run(tmp_path / "run"))).text


def test_the_page_is_replaced_whole(tmp_path: pathlib.Path) -> None:
    run = page_run(tmp_path / "run")
    before = sorted(path.name for path in run.iterdir())
    first = write_report(run).read_text(encoding="utf-8")
    assert write_report(run) == run / "report.html"
    assert (run / "report.html").read_text(encoding="utf-8") == first
    assert sorted(path.name for path in run.iterdir()) == sorted([*before, "report.html"])


@pytest.mark.parametrize("name", ["metrics.json", "scores.jsonl", "config.yaml", "environment.json"])
@pytest.mark.parametrize("content", [None, "[1, {", "[]", '"text"', b"\xff\xfe"])
def test_a_missing_or_malformed_file_is_named(tmp_path: pathlib.Path, name: str, content: str | bytes | None) -> None:
    run = page_run(tmp_path / "run")
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())
    with pytest.raises(UserError, match=re.escape(name)):
        write_report(run)
    assert not (run / "report.html").exists()


def test_scores_of_another_run_are_refused(tmp_path: pathlib.Path) -> None:
    run = page_run(tmp_path / "run")
    with (run / "scores.jsonl").open("a") as file:
        file.write(score(3, 400, 2, 0.5).to_line())
    forge_manifest(run)
    with pytest.raises(UserError, match=r"scores\.jsonl.*not of the 2 stages"):
        write_report(run)


def test_a_column_that_no_task_has_is_left_out(tmp_path: pathlib.Path) -> None:
    run = page_run(tmp_path / "run")
    first = Page(write_report(run)).text
    assert not [text for text in ("Plasticity", "Final, sampled actions") if text in first]
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["per_task"][0]["plasticity"] = 0.125
    (run / "metrics.json").write_text(json.dumps(metrics))
    forge_manifest(run)
    page = Page(write_report(run))
    assert "Plasticity" in page.text
    assert "Final, sampled actions" not in page.text
    assert "0.125" in page.all("data", "value")


def test_the_numbers_can_be_taken_away(tmp_path: pathlib.Path) -> None:
    run = page_run(tmp_path / "run", ["reach", "=HYPERLINK(1)"])
    files = Page(write_report(run)).downloads()
    for name in ("metrics.json", "scores.jsonl"):
        assert files[name] == (run / name).read_text()
    matrix = [line.split(",") for line in files["success_matrix.csv"].splitlines()]
    assert matrix[0] == ["stage", "task trained", "reach", "'=HYPERLINK(1)"]  # no formula
    assert matrix[1:] == [
        ["0", "before training", "0.0", "0.125"],
        ["1", "reach", "0.875", "0.25"],
        ["2", "'=HYPERLINK(1)", "0.375", "1.0"],
    ]
    scores = list(csv.DictReader(files["scores.csv"].splitlines()))
    assert (scores[4]["step"], scores[4]["task"], scores[4]["success_any"]) == ("100", "reach", "0.875")
    assert (scores[4]["slot"], scores[5]["slot"]) == ("1", "2")
    assert scores[5]["task"] == "'=HYPERLINK(1)"


@pytest.mark.parametrize("name", ["metrics.json", "config.yaml", "environment.json"])
def test_text_that_no_page_can_hold_is_refused(tmp_path: pathlib.Path, name: str) -> None:
    run = page_run(tmp_path / "run")
    text = (run / name).read_text()
    damaged = re.sub(r"reach|two skills|3.11", r'"\\ud800"' if name == "config.yaml" else r"\\ud800", text)
    assert damaged != text
    (run / name).write_text(damaged)
    with pytest.raises(UserError, match=re.escape(name)):
        write_report(run)


# Films -----------------------------------------------------------------------------------------------------


def test_films_can_be_part_of_the_page(tmp_path: pathlib.Path) -> None:
    run = page_run(tmp_path / "run")
    for stage, content in ((1, b"first film"), (2, b"second film")):
        add_video(run, stage, "reach")
        (run / "videos" / f"stage_0{stage}" / "reach.mp4").write_bytes(content)
    page = Page(write_report(run, tmp_path / "given away.html", "embed"))
    links = page.links()
    assert links == ["#film-1", "#film-2"] * 2  # in each matrix
    films = {attrs["id"]: attrs["src"] for tag, attrs in page.tags if tag == "video" and "src" in attrs}
    assert list(films) == ["film-1", "film-2"]
    shown = [base64.b64decode(str(src).removeprefix("data:video/mp4;base64,")) for src in films.values()]
    assert shown == [b"first film", b"second film"]


def test_links_lead_from_where_the_page_is(tmp_path: pathlib.Path) -> None:
    run = page_run(tmp_path / "a:b run")
    add_video(run, 1, "reach")
    (tmp_path / "pages").mkdir()
    page = Page(write_report(run, tmp_path / "pages" / "page.html"))
    assert set(page.links()) == {"../a%3Ab%20run/videos/stage_01/reach.mp4"}
    beside = Page(write_report(run, tmp_path / "page.html"))
    assert set(beside.links()) == {"a%3Ab%20run/videos/stage_01/reach.mp4"}  # no scheme "a:"


def test_a_link_in_place_of_a_film_is_not_followed(tmp_path: pathlib.Path) -> None:
    run = page_run(tmp_path / "run")
    (tmp_path / "secret").write_bytes(b"secret")
    (run / "videos" / "stage_01").mkdir(parents=True)
    (run / "videos" / "stage_01" / "reach.mp4").symlink_to(tmp_path / "secret")
    assert Page(write_report(run, videos="embed")).links() == []


def test_a_page_of_ten_stages_with_films_beside_it_is_small(tmp_path: pathlib.Path) -> None:
    stages = 10
    tasks = [{"task": task, "steps": 64} for task in ["reach", "button-press"] * (stages // 2)]
    matrix = [[0.5] * stages for _ in range(stages + 1)]
    runs = []
    for seed in range(2):
        curriculum = {"name": "ten", "stages": tasks}
        runs.append(made_up_run(tmp_path / f"run-{seed}", matrix, curriculum=curriculum, seed=seed))
        slots = runs[-1].config.curriculum.slots
        for stage in range(1, stages + 1):
            for name in slots[:stage]:
                path = runs[-1].videos / f"stage_{stage:02d}" / f"{name}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(bytes(400_000))
    page = write_comparison(runs, tmp_path / "report.html")
    assert page.stat().st_size < 3e6
    links = {link for link in Page(page).links() if link}
    assert len(links) == 2 * 55
    assert all((tmp_path / urllib.parse.unquote(link)).is_file() for link in links)


# Several runs ----------------------------------------------------------------------------------------------

EWC = (
    [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.8, 0.0], [0.9, 0.8, 1.0]],
    [[0.0] * 3, [0.8] * 3, [0.8] * 3, [0.7] * 3],
)
FINETUNE = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.9, 0.0], [0.1, 0.2, 0.9]]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing, which takes most of the time, where the test is of something else."""
    nothing = Drawn(Markup("<svg></svg>"), Markup("<svg></svg>"))
    for page in (clrobot.report.run_section, clrobot.report.comparison_page):
        monkeypatch.setattr(page, "drawn", lambda draw, salt: nothing)
    monkeypatch.setattr(clrobot.report.figures.files, "save", lambda figure, path: path.touch())


@pytest.fixture
def three(tmp_path: pathlib.Path) -> list[RunFolder]:
    """Two seeds of one method and one of another, with references for forward transfer."""
    ewc = [made_up_run(tmp_path / f"ewc-{s}", EWC[s], method="ewc", seed=s, reference=[0.5] * 3) for s in range(2)]
    return [*ewc, made_up_run(tmp_path / "finetune", FINETUNE, method="finetune", seed=0)]


def test_the_comparison_holds_what_compare_says(
    three: list[RunFolder], undrawn: None, tmp_path: pathlib.Path
) -> None:
    page = Page(write_comparison(three, tmp_path / "report.html"))
    compared = compare(three)
    shown = [attrs["data-sort"] for tag, attrs in page.tags if tag == "td" and "data-sort" in attrs]
    (difference,) = compared.differences
    expected = []
    for section in (*LEARNING_SECTIONS.values(), *COST_SECTIONS.values()):
        names = [m.name for m in section if m in compared.metrics]
        rows = [(len(group.runs), group.estimates) for group in compared.groups]
        if section in LEARNING_SECTIONS.values():
            rows.append((len(difference.seeds), difference.estimates))
        expected += [_row(runs, [estimates[name] for name in names]) for runs, estimates in rows]
        if section is list(LEARNING_SECTIONS.values())[-1]:
            expected.append(_row(len(difference.seeds), list(difference.final_success.values())))
            for name in ("steps_to_success", "relative_return", "forward_transfer"):
                first = name == "forward_transfer"  # nothing can be transferred to the first
                expected += [_row(len(g.runs), list(g.tasks[name].values())[first:]) for g in compared.groups]
    assert shown == [word for row in expected for word in row]
    sections = {*LEARNING_SECTIONS.values(), *COST_SECTIONS.values()}
    assert {m for section in sections for m in section} >= {*compared.metrics}
    for text in (
        *compared.notes,
        "0.80",
        "0.00 to 1.00",
        "less finetune, by seed",
        "Student’s t",
        "quick: 2 methods compared",
        "ewc (seeds 0, 1)",
    ):
        assert text in page.text
    assert len([attrs for tag, attrs in page.tags if attrs.get("class") == "run"]) == 3


def test_of_many_runs_each_has_a_line_and_a_link_to_its_own_page(
    three: list[RunFolder], undrawn: None, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clrobot.report.comparison_page, "MOST_WHOLE", 2)
    (three[0].path / "report.html").touch()
    (three[1].path / "report.html").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "pages").mkdir()
    page = Page(write_comparison(three, tmp_path / "pages" / "report.html"))
    assert page.links() == ["../ewc-0/report.html"]
    assert all(name in page.text for name in ("ewc-0", "ewc-1", "finetune"))
    assert not [attrs for tag, attrs in page.tags if attrs.get("class") == "run"]


def _row(runs: int, estimates: list[Estimate]) -> list[str]:
    return [str(runs), *("" if e.value is None else str(e.value) for e in estimates)]


def test_ids_are_unique_and_labels_find_them(three: list[RunFolder], tmp_path: pathlib.Path) -> None:
    page = Page(write_comparison(three, tmp_path / "report.html"))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    # A figure repeats the id of a shape that it draws twice, with the same content.
    own = [name for name in ids if not re.fullmatch(r"[A-Za-z]\w{10}", str(name))]
    assert len(own) == len(set(own))
    labelled = {attrs["aria-labelledby"] for _, attrs in page.tags if "aria-labelledby" in attrs}
    assert labelled <= set(own)
    headers = [attrs for tag, attrs in page.tags if tag == "th"]
    assert all(attrs.get("scope") in ("row", "col") for attrs in headers)


def test_runs_of_one_name_are_told_apart(undrawn: None, tmp_path: pathlib.Path) -> None:
    runs = []
    for seed, parent in enumerate(("monday", "tuesday")):
        (tmp_path / parent).mkdir()
        runs.append(made_up_run(tmp_path / parent / "run", FINETUNE, seed=seed))
    text = Page(write_comparison(runs, tmp_path / "report.html")).text
    assert "monday-run" in text
    assert "tuesday-run" in text
    written = write_all_figures(runs, tmp_path / "figures", ("svg",))
    assert {path.parent.name for path in written} == {"figures", "monday-run", "tuesday-run"}


def test_unfinished_runs_and_other_curricula_are_shown_with_a_note(undrawn: None, tmp_path: pathlib.Path) -> None:
    runs = [
        made_up_run(tmp_path / "whole", FINETUNE, method="finetune"),
        made_up_run(tmp_path / "half", FINETUNE[:2], method="ewc"),
        made_up_run(tmp_path / "longer", FINETUNE, method="finetune", steps=128),
        made_up_run(tmp_path / "begun", FINETUNE[:1], method="ewc", seed=1),
    ]
    page = Page(write_comparison(runs, tmp_path / "report.html"))
    assert "half is unfinished (1 of 3 stages)" in page.text
    assert "begun has no finished stage and is left out" in page.text
    assert "nan" not in page.text
    assert len([attrs for tag, attrs in page.tags if attrs.get("class") == "run"]) == 3
    assert page.text.count("Learning curves: quick") == 2  # one for each budget


def test_a_damaged_run_among_several_is_named(three: list[RunFolder], tmp_path: pathlib.Path) -> None:
    (three[1].path / "metrics.json").write_text("{")
    with pytest.raises(UserError, match=r"ewc-1.metrics\.json"):
        write_comparison(three, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_band_is_the_mean_of_the_seeds_and_spans_them(three: list[RunFolder]) -> None:
    first, second = (read_run(run.path) for run in three[:2])
    steps, mean, low, high = band([first, second], 0, "mean")
    np.testing.assert_array_equal(steps, [0, 32, 64, 128, 192])
    np.testing.assert_allclose(mean, [0.0, 0.45, 0.9, 0.9, 0.8])
    # Student's t of two seeds is 12.7 times half their distance, and success ends at 0 and 1.
    np.testing.assert_allclose(low, [0.0, 0.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(high, [0.0, 1.0, 1.0, 1.0, 1.0])
    alone = band([first], 0, "mean")
    np.testing.assert_allclose(alone.mean, [0.0, 0.5, 1.0, 1.0, 0.9])
    assert np.isnan(alone.low).all()


def test_costs_are_means_over_runs(tmp_path: pathlib.Path) -> None:
    spent = [Seconds(train=train, evaluate=1.0, method=0.5, record=0.0, save=0.25) for train in (10.0, 20.0)]
    runs = [
        made_up_run(tmp_path / str(seed), FINETUNE, method="ewc", seed=seed, costing={"seconds": seconds})
        for seed, seconds in enumerate(spent)
    ]
    (ewc,) = costs(compare(runs), {run.path: read_run(run.path) for run in runs})
    assert ewc.seconds == {"train": 15.0, "evaluate": 1.0, "method": 0.5, "record": 0.0, "save": 0.25}
    assert (ewc.trainable, ewc.total, ewc.memory) == (100, 120, 0)


def test_the_panels_are_those_that_some_method_defines(three: list[RunFolder]) -> None:
    contents = {run.path: read_run(run.path) for run in three}
    drawn = comparison_figures(compare(three), contents)["comparison"](WIDE)
    assert [axes.get_title(loc="left") for axes in drawn.axes] == [
        "average success",
        "forgetting",
        "forward transfer",
    ]
    alone = comparison_figures(compare(three[2:]), contents)
    assert len(alone["comparison"](WIDE).axes) == 2  # no reference: no forward transfer
    assert "differences" not in alone  # nor anything to differ from


def test_how_well_tasks_are_done_and_what_differs_are_drawn_too(three: list[RunFolder]) -> None:
    drawn = comparison_figures(compare(three), {run.path: read_run(run.path) for run in three})
    found = {name: drawn[name](WIDE).axes for name in ("skill", "differences")}
    titles = {name: [panel.get_title(loc="left") for panel in axes] for name, axes in found.items()}
    assert titles == {
        "skill": ["steps to success", "forgetting of steps", "relative return"],
        "differences": ["average success", "forgetting"],
    }
    success, forgetting = found["differences"]
    # Seed 0 alone is in both: 2.7 / 3 - 1.2 / 3 of success, and of what was lost 0.05 - 0.8.
    assert [patch.get_width() for patch in success.patches] == pytest.approx([0.5])
    assert [patch.get_width() for patch in forgetting.patches] == pytest.approx([-0.75])
    assert success.get_xlim()[0] == -success.get_xlim()[1]


# The command line ------------------------------------------------------------------------------------------


def test_the_verbs_on_one_run_and_on_a_folder_of_runs(
    three: list[RunFolder], undrawn: None, cli: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    add_video(three[0].path, 3, "reach")
    assert cli("report", "ewc-0").out == "ewc-0/report.html\n"
    assert cli("report", tmp_path).out == f"{tmp_path}/report.html\n"
    assert cli("report", "ewc-0", "finetune").out == f"{tmp_path}/report.html\n"
    assert cli("report", "ewc-0", "ewc-1", "--out", "two.html", "--videos", "embed").code == 0
    assert "data:video/mp4" in (tmp_path / "two.html").read_text()
    assert "is a folder" in cli("report", "ewc-0", "--out", ".").err
    assert cli("report").code == 2
    assert cli("plot", "ewc-0", "--format", "svg").code == 0
    names = {path.name for path in (tmp_path / "figures" / "ewc-0").iterdir()}
    whole = {
        "success_matrix",
        "success_matrix_final_step",
        "learning_curves",
        "forgetting",
        "cost",
        "stage_costs",
    }
    assert names == {f"{name}.svg" for name in whole}
    outcome = cli("plot", "ewc-0", "finetune", "--out", "both", "--format", "svg")
    assert len(outcome.out.splitlines()) == 8 + 2 * len(whole)
    assert (tmp_path / "both" / "comparison.svg").is_file()
    (tmp_path / "file").touch()
    failed = cli("plot", "ewc-0", "--out", "file")
    assert failed.code == 2
    assert failed.err.startswith("clrobot: --out file: ")
