"""The page of a run: the numbers of its files, nothing from elsewhere, nothing executed."""

import base64
import dataclasses
import html.parser
import json
import pathlib
import re
from typing import Any

import pytest
import yaml

from clrobot.errors import UserError
from clrobot.metrics import Score, run_metrics
from clrobot.report import write_report

NAMES = ["reach", "push"]
HOSTILE = "<script>alert(1)</script>"


def make_run(run: pathlib.Path, names: list[str] = NAMES, stages_done: int = 2) -> pathlib.Path:
    """A run of two stages, as training leaves it."""
    rows = [(0, 0, (0.0, 0.125)), (1, 100, (0.875, 0.25)), (2, 300, (0.375, 1.0))][: stages_done + 1]
    scores = [
        Score(stage, step, slot, 8, success, success / 2, 1.0)
        for stage, step, row in rows
        for slot, success in enumerate(row, start=1)
    ]
    metrics = run_metrics(
        scores,
        names,
        [100, 300][:stages_done],
        parameters={"trainable": 1234, "total": 5678},
        memory_bytes=2500,
        seconds={"train": 75.0, "evaluate": 2.5, "method": 0.25},
    )
    config = {
        "curriculum": {"name": "two skills", "stages": [{"task": name, "steps": 100} for name in names]},
        "method": "ewc",
        "seed": 7,
        "strength": 400.0,
    }
    run.mkdir(exist_ok=True)
    (run / "scores.jsonl").write_text("".join(json.dumps(dataclasses.asdict(s)) + "\n" for s in scores))
    (run / "metrics.json").write_text(json.dumps(metrics))
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (run / "environment.json").write_text(json.dumps({"python": "3.11", "packages": {"torch": "2.9"}}))
    return run


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
    run = make_run(tmp_path / "run")
    page = Page(write_report(run))
    metrics = json.loads((run / "metrics.json").read_text())
    shown = [float(str(value)) for value in page.all("data", "value")]
    headline = ["average_success", "forgetting", "retention", "backward_transfer", "zero_shot_transfer"]
    assert shown[:5] == [metrics[name] for name in headline]
    matrices = leaves(metrics["success_matrix"]) + leaves(metrics["success_matrix_final"])
    assert shown[5 : 5 + 12] == matrices
    keys = ["learned", "final", "forgetting", "retention", "auc", "forward_transfer"]
    tasks = [task[key] for task in metrics["per_task"] for key in keys if task[key] is not None]
    assert shown[17:18] == [metrics["isolated_forgetting"][1][0]] == [0.5]
    assert shown[18 : 18 + len(tasks)] == tasks
    assert shown[18 + len(tasks) :] == [75.0, 2.5, 0.25, 300, 5678, 1234, 2500]
    for text in (
        "0.69",
        "0.50",
        "−0.50",
        "1 min 15 s",
        "2.5 kB",
        "two skills",
        "packages.torch",
        "strength: 400.0",
    ):
        assert text in page.text


def test_cells_link_to_the_videos_that_exist(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path / "run")
    add_video(run, 1, "reach")
    add_video(run, 2, "reach")
    links = [link for link in Page(write_report(run)).links() if link]
    assert set(links) == {"videos/stage_01/reach.mp4", "videos/stage_02/reach.mp4"}
    assert all((run / link).is_file() for link in links)


def test_without_videos_there_are_no_links(tmp_path: pathlib.Path) -> None:
    assert Page(write_report(make_run(tmp_path / "run"))).links() == []


def test_an_odd_name_is_quoted_and_none_leaves_the_folder(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path / "run", ["what? 100%#1", "../../secret"])
    add_video(run, 1, "what? 100%#1")
    (run / "secret.mp4").touch()
    assert set(Page(write_report(run)).links()) == {"videos/stage_01/what%3F%20100%25%231.mp4"}


def test_everything_from_the_run_is_escaped(tmp_path: pathlib.Path) -> None:
    plain = Page(write_report(make_run(tmp_path / "run")))
    run = make_run(tmp_path / '"><img src=x>', [HOSTILE, "push' onclick='alert(1)"])
    (run / "environment.json").write_text(json.dumps({HOSTILE: HOSTILE, "nested": {"list": [HOSTILE]}}))
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["curriculum"]["name"] = config["method"] = HOSTILE
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    page = Page(write_report(run))
    assert HOSTILE not in page.source
    assert HOSTILE in page.text
    assert len(page.all("img", "src")) == 0
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    for tag in ("script", "style", "dialog"):
        assert len([t for t, _ in page.tags if t == tag]) == len([t for t, _ in plain.tags if t == tag])


def test_the_page_loads_nothing(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path / "run")
    add_video(run, 1, "reach")
    page = Page(write_report(run))
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\"'\s)]*", page.source)) <= namespaces
    assert page.all("script", "src") == page.all("img", "src") == page.all("iframe", "src") == []
    assert page.all("link", "href") == ["data:,"]
    assert not re.search(r"@import|url\((?!#)", page.source)
    assert str(tmp_path) not in page.source


def test_it_can_be_read_without_seeing(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path / "run")
    add_video(run, 2, "reach")
    page = Page(write_report(run))
    assert "reach after stage 2, push: success 0.38, play the video" in page.all("a", "aria-label")
    (curves,) = [attrs["aria-label"] for _, attrs in page.tags if attrs.get("class") == "drawn"]
    assert curves is not None
    assert "reach reached 0.88 in its own stage and ended at 0.38" in curves
    assert len([tag for tag, _ in page.tags if tag == "caption"]) == 4


@pytest.mark.parametrize("stages_done", [0, 1])
def test_an_unfinished_run(tmp_path: pathlib.Path, stages_done: int) -> None:
    page = Page(write_report(make_run(tmp_path / "run", stages_done=stages_done)))
    assert f"Unfinished: {stages_done} of 2 stages" in page.text
    assert "–" in page.text
    assert "nan" not in page.text
    assert "None" not in page.text


def test_a_finished_run_does_not_say_unfinished(tmp_path: pathlib.Path) -> None:
    assert "Unfinished" not in Page(write_report(make_run(tmp_path / "run"))).text


def test_the_page_is_replaced_whole(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path / "run")
    before = sorted(path.name for path in run.iterdir())
    first = write_report(run).read_text(encoding="utf-8")
    assert write_report(run) == run / "report.html"
    assert (run / "report.html").read_text(encoding="utf-8") == first
    assert sorted(path.name for path in run.iterdir()) == sorted([*before, "report.html"])


@pytest.mark.parametrize("name", ["metrics.json", "scores.jsonl", "config.yaml", "environment.json"])
@pytest.mark.parametrize("content", [None, "[1, {", "[]", '"text"', b"\xff\xfe"])
def test_a_missing_or_malformed_file_is_named(tmp_path: pathlib.Path, name: str, content: str | bytes | None) -> None:
    run = make_run(tmp_path / "run")
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())
    with pytest.raises(UserError, match=re.escape(name)):
        write_report(run)
    assert not (run / "report.html").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"success_matrix": [[0.0, 0.0]]}, "success_matrix must have 3 rows of 2"),
        ({"average_success": "high"}, "average_success: Input should be a valid number"),
        ({"per_task": []}, "per_task"),
        ({"stages_done": 1}, "stages_done = 1"),
        ({"seconds": {}}, r"seconds\.train: Field required"),
    ],
)
def test_metrics_that_do_not_fit_are_named(tmp_path: pathlib.Path, change: dict[str, Any], message: str) -> None:
    run = make_run(tmp_path / "run")
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps(metrics | change))
    with pytest.raises(UserError, match=message):
        write_report(run)


def test_scores_of_another_run_are_refused(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path / "run")
    line = dataclasses.asdict(Score(3, 400, 3, 8, 0.5, 0.5, 1.0))
    with (run / "scores.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    with pytest.raises(UserError, match=r"scores\.jsonl.*not of the 2 stages"):
        write_report(run)
