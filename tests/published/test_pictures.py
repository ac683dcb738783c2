"""Pictures of a page, drawn from published data into the files that its blocks name."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
from support.published import published

from clrobot.published.references import FILE, Reference
from clrobot.published.results import WHAT, Result
from clrobot.published.rows import add_rows, read_rows
from clrobot.report.pictures import pictures

README = Path(__file__).parents[2] / "README.md"
PAGE = "# Page\n\n<!-- figure: quick transfer -->\n\n![What came over](pictures/q.svg)\n\n<!-- end -->\n"


def data_file(path: Path, reference: float) -> Path:
    """Write a run of ewc whose areas are .5, beside references of this area."""
    runs = [
        row.model_copy(update={"value": reference}) if row.metric == "auc_reference" else row
        for row in published(seed=10, method="ewc")
    ]
    add_rows(path, runs, Result, WHAT)
    return path


def test_the_readme_s_pictures_are_of_the_data(ships: Callable[..., None]) -> None:
    ships(*read_rows(FILE, Reference, "references"))
    found = pictures(README, README.read_text(encoding="utf-8"))
    assert found
    for picture in found:
        assert picture.is_drawn, f"the README's figure {picture.name} is of other data: clrobot tables draws it"


def test_a_picture_is_drawn_into_its_file_and_then_found_to_be_of_the_data(cli: Callable, tmp_path: Path) -> None:
    data, other = data_file(tmp_path / "a.csv", 0.25), data_file(tmp_path / "b.csv", 0.75)
    page, picture = Path("page.md"), Path("pictures/q.svg")
    page.write_text(PAGE)
    outcome = cli("tables", page, "--results", data, "--check")
    assert (outcome.code, outcome.out) == (1, "differs  quick transfer (figure)\n")
    assert not picture.exists()
    assert cli("tables", page, "--results", data).code == 0
    drawn = picture.read_bytes()
    words = {"".join(node.itertext()) for node in ET.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")}
    assert {"button-press", "drawer-open", "ewc"} <= words
    assert "reach" not in words, "the first task has nothing to transfer from"
    assert cli("tables", page, "--results", data, "--check").code == 0
    assert cli("tables", page, "--results", other, "--check").code == 1
    assert picture.read_bytes() == drawn
    assert page.read_text() == PAGE
    assert cli("tables", page, "--results", other).code == 0
    assert picture.read_bytes() != drawn


def test_rows_are_chosen_and_named(cli: Callable, tmp_path: Path) -> None:
    data = data_file(tmp_path / "a.csv", 0.25)
    add_rows(data, list(published(seed=10, method="finetune", auc_reference=None)), Result, WHAT)
    page, picture = Path("page.md"), Path("pictures/q.svg")
    page.write_text(PAGE.replace("quick transfer", "quick transfer: ewc as a <penalty> & no more"))
    assert cli("tables", page, "--results", data).code == 0
    words = {"".join(node.itertext()) for node in ET.parse(picture).iter("{http://www.w3.org/2000/svg}text")}
    assert "a <penalty> & no more" in words
    assert "ewc" not in words
    page.write_text(PAGE.replace("quick transfer", "quick transfer: ewcs"))
    outcome = cli("tables", page, "--results", data)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "figure 'quick transfer': there is no row 'ewcs'; did you mean ewc?" in outcome.err


REFUSED = {
    PAGE.replace("quick", "quack"): "nothing is published for it; did you mean quick?",
    PAGE.replace("transfer", "transfers"): "after the curriculum; did you mean transfer?",
    PAGE.replace("<!-- end -->", ""): "holds no ![picture](file.svg) and <!-- end --> after it",
    PAGE.replace("q.svg", "q.png"): "holds no ![picture](file.svg)",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_wrong_block_is_one_sentence(cli: Callable, tmp_path: Path, text: str) -> None:
    data = data_file(tmp_path / "a.csv", 0.25)
    Path("page.md").write_text(text)
    outcome = cli("tables", "page.md", "--results", data)
    assert outcome.code == 2
    assert REFUSED[text] in outcome.err
    assert outcome.err.count("\n") == 1


def test_nothing_to_draw_is_one_sentence(cli: Callable, tmp_path: Path) -> None:
    add_rows(tmp_path / "a.csv", published(seed=10, method="ewc"), Result, WHAT)  # without references
    Path("page.md").write_text(PAGE)
    outcome = cli("tables", "page.md", "--results", tmp_path / "a.csv")
    assert outcome.code == 2
    assert "figure 'quick transfer': no forward transfer is published for it" in outcome.err
