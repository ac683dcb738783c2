"""A page's tables are drawn from the published data, and a page that says something else is found out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from support.published import published, trial

from clrobot.comparison.readme import blocks, published_comparison, tuning_table
from clrobot.errors import UserError
from clrobot.experiment.config import make_config, start_of
from clrobot.experiment.curricula import CURRICULA
from clrobot.published.references import FILE, Reference, curve_of
from clrobot.published.results import WHAT, Result, fingerprint, read_results, runs_of
from clrobot.published.rows import add_rows, read_rows
from clrobot.published.tuning import FILE as TUNING_FILE
from clrobot.published.tuning import Trial
from clrobot.results.statistics import Estimate, estimate

Cli = Callable[..., Any]
README = Path(__file__).resolve().parent.parent.parent / "README.md"
PAGE = (
    "# Page\n\n<!-- table: quick -->\n<!-- end -->\n\nText.\n\n<!-- table: quick differences -->\nold\n<!-- end -->\n"
)


@pytest.fixture(scope="module")
def rows() -> list[Result]:
    """Three seeds of finetune and ewc, one of frozen-copies."""
    found = []
    for seed, success, forgot in ((10, 0.5, 0.5), (11, 0.625, 0.25), (12, 0.75, 0.375)):
        found += published(seed=seed, method="finetune", average_success=success, forgetting=forgot)
        found += published(seed=seed, method="ewc", average_success=0.875, forgetting=0.0)
    return found + published(seed=10, method="frozen-copies", average_success=1.0, forgetting=0.0)


@pytest.fixture
def data(rows: list[Result], tmp_path: Path) -> Path:
    add_rows(tmp_path / "data.csv", rows, Result, WHAT)
    return tmp_path / "data.csv"


def table(text: str, name: str) -> list[list[str]]:
    inside = text.split(f"<!-- table: {name} -->")[1].split("<!-- end -->", maxsplit=1)[0]
    lines = [line for line in inside.splitlines() if line.startswith("|")]
    return [[word.strip() for word in line.strip("|").split("|")] for line in lines]


def test_the_readme_s_tables_are_those_of_the_data(ships: Callable[..., None]) -> None:
    ships(*read_rows(FILE, Reference, "references"))  # forward transfer's intervals go by those that are shipped
    found = blocks(README.read_text(encoding="utf-8"))
    assert len(found) >= 4
    for block in found:
        assert block.there == block.drawn, f"the README's table {block.name} differs: clrobot tables draws it"


def test_what_the_readme_says_of_its_table_is_so(ships: Callable[..., None]) -> None:
    """The sentences below the table: what was lost, what was kept, and how long it took."""
    ships(*read_rows(FILE, Reference, "references"))
    runs = [run for run in read_results() if run.first.curriculum == "first3"]
    assert all(run.tasks[:2] == ("push", "drawer-open") and run.first.seed in range(15, 20) for run in runs)
    lost = [run for run in runs if run.first.method == "finetune"]
    assert len(lost) == 5
    assert [run.task_value(0, "final") for run in lost] == [0.0] * 5, "fine-tuning loses pushing wholly"
    drawer = [run.task_value(1, "final") for run in lost]
    assert min(drawer) < 0.9 < max(drawer), "and with some seeds a part of the drawer"
    seconds = [run.value("seconds.total") for run in runs]
    assert 20 < np.median(seconds) < 40, "half a minute each"
    tried = {trial.seed for trial in read_rows(TUNING_FILE, Trial, "tries") if trial.curriculum == "first3"}
    assert tried
    assert not tried & {run.first.seed for run in runs}, "seeds on which no method was tuned"
    comparison = published_comparison(runs)
    for group in comparison.groups:
        assert start_of(group.config, 2).choose == "clear"
        drawer, button = (group.tasks["forward_transfer"][name] for name in ("drawer-open", "button-press"))
        assert button.low > 0, "the button is learned faster than from scratch"
        assert drawer.low < 0 < drawer.high, "the drawer as fast, as far as five seeds tell"
        if group.method != "finetune":
            assert group.estimates["forgetting"].value < 0.03, "what protects keeps all but some hundredths"
    cost = {group.method: group.numbers[0] for group in comparison.groups}
    assert round(cost["finetune"].value("parameters.total") * 4 / 1000) == 50, "a network of 50 kB"
    kept = {name: round(cost[name].value("memory_bytes") / 1e6, 2) for name in cost}
    assert kept["ewc"] == kept["frozen-copies"] == 0.05
    assert (round(kept["distillation"], 1), round(kept["replay"], 1)) == (3.9, 3.1)
    # What choosing takes every method takes, and it comes off the stage.
    taken = {name: cost[name].value("environment_steps.method") for name in cost}
    further = {name: steps - taken["finetune"] for name, steps in taken.items()}
    assert (further["distillation"], further["replay"]) == (24_000, 54_000)
    for difference in comparison.differences:
        if difference.baseline.method == "finetune":
            transfer = difference.estimates["forward_transfer_from_2"]
            assert transfer.low < 0 < transfer.high or transfer.low == transfer.high == 0, (
                "no method is told from fine-tuning in that"
            )


def test_what_the_readme_says_of_ten_skills_is_so(ships: Callable[..., None]) -> None:
    """The sentences around its figure."""
    ships(*read_rows(FILE, Reference, "references"))
    runs = [run for run in read_results() if run.first.curriculum == "cr10"]
    groups = {group.label: group for group in published_comparison(runs).groups}
    warm, anew = groups["distillation"], groups['distillation (warm_start.choose="none")']
    assert warm.seeds == anew.seeds == tuple(range(15, 20))
    tried = {trial.seed for trial in read_rows(TUNING_FILE, Trial, "tries") if trial.curriculum == "cr10"}
    assert tried == {*range(10, 15)}, "on which nothing was chosen: it was on five others"
    for group in (warm, anew):
        assert group.estimates["average_success"].value > 0.97, "keeps all ten"
        assert group.estimates["forgetting"].value < 0.01, "keeps all ten"
    assert 315 < warm.estimates["seconds.total"].value < 345, "five and a half minutes"
    for name in ("hammer", "lever-pull", "shelf-place", "peg-unplug"):
        assert warm.tasks["forward_transfer"][name].low > 0, f"{name} is learned faster than from scratch"
    theirs, ours = (group.by_seed("forward_transfer_from_2") for group in (anew, warm))
    apart = estimate([ours[seed] - theirs[seed] for seed in warm.seeds])
    page = " ".join(README.read_text(encoding="utf-8").split())
    told = [group.estimates["forward_transfer_from_2"] for group in (warm, anew)]
    a, b, more = (f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]" for e in (*told, apart))
    assert f"a forward transfer of {a}, and of {b} where they begin anew: by seed {more} more." in page


def told_from_zero(found: Estimate) -> bool:
    assert found.low is not None
    assert found.high is not None
    return not found.low <= 0 <= found.high


def test_what_the_readme_says_of_transfer_elsewhere_is_so(ships: Callable[..., None]) -> None:
    ships(*read_rows(FILE, Reference, "references"))
    of = {name: [run for run in read_results() if run.first.curriculum == name] for name in ("cr10", "cr4")}
    cr10 = {group.label: group for group in published_comparison(of["cr10"]).groups}
    for method in ("ewc", "replay"):
        assert len(cr10[method].seeds) == 3
        assert not told_from_zero(cr10[method].estimates["forward_transfer_from_2"])
    cr4 = {g.label: g.estimates["forward_transfer_from_2"] for g in published_comparison(of["cr4"]).groups}
    below = [label for label, estimate in cr4.items() if estimate.n > 1 and told_from_zero(estimate)]
    assert below == ["l2"]
    assert cr4["l2"].value < 0


def test_first3_is_of_the_tried_sequences_the_one_on_which_fine_tuning_forgets_most() -> None:
    forgot: dict[str, list[float]] = {}
    for tried in read_rows(TUNING_FILE, Trial, "tries"):
        if tried.method == "finetune" and tried.curriculum.startswith("f") and tried.forgetting is not None:
            forgot.setdefault(tried.curriculum, []).append(tried.forgetting)
    assert len(forgot) == 6, "six such sequences"
    assert max(forgot, key=lambda name: sum(forgot[name]) / len(forgot[name])) == "first3"


def test_what_the_readme_says_of_budgets_too_short_for_scratch_is_so() -> None:
    short = 0
    for stage in CURRICULA["reuse8"].stages:
        rows = [row for row in read_rows(FILE, Reference, "r") if (row.task, row.world) == (stage.task, "")]
        curves = [zip(*curve_of(row.curve), strict=True) for row in rows]
        firsts = [next((step for step, success in curve if success >= 0.9), math.inf) for curve in curves]
        short += np.median(firsts) > stage.steps
    assert short == 6, "six of eight budgets end before the references' median is at .9"
    runs = [run for run in read_results() if run.first.curriculum == "reuse8"]
    groups = {group.label: group for group in published_comparison(runs).groups}
    assert {group.seeds for group in groups.values()} == {tuple(range(10, 15))}, "five seeds"
    told = {name: group.estimates["average_success"] for name, group in groups.items()}
    scratch, finetune, copies, replay = (
        f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]"
        for e in (told[name] for name in ("scratch", "finetune", "frozen-copies", "replay"))
    )
    page = " ".join(README.read_text(encoding="utf-8").split())
    assert (
        f"scratch ends with an average success of {scratch}, fine-tuning with {finetune}, "
        f"frozen copies with {copies}, replay with {replay}. These two are not told apart."
    ) in page
    by_seed = [groups[name].by_seed("average_success") for name in ("replay", "frozen-copies")]
    assert not told_from_zero(estimate([by_seed[0][seed] - by_seed[1][seed] for seed in range(10, 15)]))


def test_what_the_readme_says_of_continual_world_is_so() -> None:
    runs = [run for run in read_results() if run.first.curriculum == "cw10"]
    groups = {group.label: group for group in published_comparison(runs).groups}
    distilled = groups["distillation"]
    assert len(distilled.seeds) == 3
    assert abs(distilled.estimates["forgetting"].value) < 0.005, "forgets nothing"
    assert round(distilled.estimates["seconds.total"].value / 60) == 81
    end = {name: group.estimates["average_success"] for name, group in groups.items()}
    assert {len(groups[name].seeds) for name in ("finetune", "frozen-copies", "scratch")} == {1}
    one, copies, scratch = (f"{end[name].value:.2f}" for name in ("finetune", "frozen-copies", "scratch"))
    e = end["distillation"]
    page = " ".join(README.read_text(encoding="utf-8").split())
    assert f"an average success of {e.value:.2f} [{e.low:.2f}, {e.high:.2f}] over three seeds" in page
    assert f"fine-tuning ends with {one}, frozen copies with {copies} and scratch with {scratch}, one seed" in page


def test_tables_are_drawn_and_then_found_to_be_as_the_data_has_them(cli: Cli, data: Path) -> None:
    Path("page.md").write_text(PAGE)
    words = ("tables", "page.md", "--results", data)
    outcome = cli(*words, "--check")
    assert (outcome.code, outcome.out) == (1, "differs  quick\ndiffers  quick differences\n")
    assert Path("page.md").read_text() == PAGE
    assert cli(*words).code == 0
    drawn = Path("page.md").read_text()
    assert cli(*words, "--check").code == 0
    assert cli(*words).code == 0
    assert Path("page.md").read_text() == drawn
    assert drawn.startswith("# Page\n\n<!-- table: quick -->\n\n| method |")
    assert "\n\nText.\n\n" in drawn


def test_a_number_that_was_typed_is_found(cli: Cli, data: Path) -> None:
    Path("page.md").write_text(PAGE)
    cli("tables", "page.md", "--results", data)
    text = Path("page.md").read_text()
    Path("page.md").write_text(text.replace("0.62", "0.63", 1))
    outcome = cli("tables", "page.md", "--results", data, "--check")
    assert (outcome.code, outcome.out) == (1, "differs  quick\n")


def test_a_table_has_means_intervals_and_how_many_seeds(cli: Cli, data: Path) -> None:
    Path("page.md").write_text(PAGE)
    cli("tables", "page.md", "--results", data)
    heading, _, *lines = table(Path("page.md").read_text(), "quick")
    assert heading == ["method", "seeds", "average success", "forgetting", "forward transfer, tasks ≥ 2"]
    assert [line[0] for line in lines] == ["finetune", "frozen-copies", "ewc"]
    assert lines[1][1:] == ["1", "1.00", "0.00", "–"]  # of one seed there is no interval
    assert lines[2][1:] == ["3", "0.88 [all equal]", "0.00 [all equal]", "–"]
    success = np.array([0.5, 0.625, 0.75])
    half = stats.t.ppf(0.975, 2) * success.std(ddof=1) / np.sqrt(3)
    assert lines[0][1:3] == ["3", f"0.62 [{0.625 - half:.2f}, {0.625 + half:.2f}]"]


def test_differences_are_paired_by_seed(cli: Cli, data: Path) -> None:
    Path("page.md").write_text(PAGE)
    cli("tables", "page.md", "--results", data)
    lines = table(Path("page.md").read_text(), "quick differences")
    assert lines[0][0] == "less finetune, by seed"
    (ewc,) = [line for line in lines[:4] if line[0] == "ewc"]
    differences = np.array([0.375, 0.25, 0.125])
    half = stats.t.ppf(0.975, 2) * differences.std(ddof=1) / np.sqrt(3)
    assert ewc[1:3] == ["3", f"+0.25 [{0.25 - half:+.2f}, {0.25 + half:+.2f}]".replace("-", "−")]
    (copies,) = [line for line in lines[:4] if line[0] == "frozen-copies"]
    assert copies[1:3] == ["1", "+0.50"]
    assert any(line[0] == "less frozen-copies, by seed" for line in lines)


def test_forward_transfer_to_each_task_is_a_table_too(tmp_path: Path) -> None:
    runs = [*published(seed=10, method="ewc"), *published(seed=10, method="finetune")]
    of = {"ewc": 0.25, "finetune": 0.75}  # the areas are .5
    runs = [
        row.model_copy(update={"value": of[row.method]}) if row.metric == "auc_reference" else row for row in runs
    ]
    add_rows(tmp_path / "data.csv", runs, Result, WHAT)
    (block,) = blocks("<!-- table: quick transfer -->\n<!-- end -->\n", tmp_path / "data.csv")
    lines = [line.strip("| ").split(" | ") for line in block.drawn.strip().splitlines()]
    assert lines[0] == ["forward transfer to", "finetune (1)", "ewc (1)"]
    assert lines[2:] == [[task, "−1.00", "+0.33"] for task in ("button-press", "drawer-open")]


def test_costs_are_a_table_too(rows: list[Result], data: Path) -> None:
    (block,) = blocks("<!-- table: quick costs -->\n<!-- end -->\n", data)
    assert "environment steps (method)" in block.drawn
    assert "1.2 kB" in block.drawn


def test_rows_of_other_defaults_or_physics_say_so(tmp_path: Path) -> None:
    old = [
        *published(seed=10, method="ewc", fingerprint="0" * 12),
        *published(seed=10, method="finetune", physics=0),
        *published(seed=10, method="ewc", settings="ewc.strength=0.5"),
    ]
    add_rows(tmp_path / "old.csv", old, Result, WHAT)
    (block,) = blocks("<!-- table: quick -->\n<!-- end -->\n", tmp_path / "old.csv")
    labels = re.findall(r"^\| ([^|]*?) \| 1", block.drawn, re.MULTILINE)
    assert labels == ["finetune (physics 0)", "ewc (ewc.strength=0.5)", "ewc (older defaults)"]


def test_a_number_says_of_how_many_seeds_it_is_where_some_do_not_define_it(tmp_path: Path) -> None:
    runs = []
    for seed, forgot in ((10, 0.5), (11, None), (12, 0.25)):
        runs += published(seed=seed, method="finetune", forgetting=0.75)
        runs += published(seed=seed, method="ewc", forgetting=forgot)
    add_rows(tmp_path / "data.csv", runs, Result, WHAT)
    for name, value in (("quick", "0.38 ["), ("quick differences", "−0.38 [")):
        (block,) = blocks(f"<!-- table: {name} -->\n<!-- end -->\n", tmp_path / "data.csv")
        (ewc,) = [line.split(" | ") for line in block.drawn.splitlines() if line.startswith("| ewc")]
        assert ewc[1] == "3"
        assert ewc[3].startswith(value)
        assert ewc[3].endswith("] (2 of 3)")


def test_rows_of_other_start_states_say_so(tmp_path: Path) -> None:
    runs = []
    for seed in (1, 2):
        config = make_config(curriculum="quick", method="ewc", evaluation={"seed": seed})
        runs += published(method="ewc", evaluation_seed=seed, fingerprint=fingerprint(config))
    add_rows(tmp_path / "data.csv", runs, Result, WHAT)
    (block,) = blocks("<!-- table: quick -->\n<!-- end -->\n", tmp_path / "data.csv")
    labels = re.findall(r"^\| ([^|]*?) \| 1", block.drawn, re.MULTILINE)
    assert labels == ["ewc (evaluation seed 1)", "ewc (evaluation seed 2)"]


def test_runs_of_other_stages_under_one_of_our_names_are_none_of_its_rows(tmp_path: Path) -> None:
    runs = [*published(method="ewc"), *published(method="ewc", stages="reach 64 + push 64 + hammer 64")]
    runs += published(method="ewc", curriculum="mine", stages="reach 64 + push 64 + hammer 64")
    add_rows(tmp_path / "data.csv", runs, Result, WHAT)
    for name in ("quick", "mine"):
        (block,) = blocks(f"<!-- table: {name} -->\n<!-- end -->\n", tmp_path / "data.csv")
        assert block.drawn.count("| ewc") == 1
    runs += published(method="ewc", curriculum="mine", stages="reach 64 + push 128 + hammer 64")
    add_rows(tmp_path / "more.csv", runs, Result, WHAT)
    with pytest.raises(UserError, match="2 curricula of that name are published"):
        blocks("<!-- table: mine -->\n<!-- end -->\n", tmp_path / "more.csv")


def test_no_row_is_set_against_a_baseline_of_another_physics() -> None:
    runs = [*published(method="finetune", physics=0), *published(method="ewc")]
    for pairs in ([], ["ewc", "ewc (physics 0)"]):
        found = published_comparison(runs_of(runs)).differences
        assert [d.group.label for d in found] == pairs
        runs += [*published(method="finetune"), *published(method="ewc", physics=0)]


def test_the_tries_are_a_table(tmp_path: Path) -> None:
    rows = [trial(tried=value, seed=seed) for value in (0.5, 0.05) for seed in (100, 101)]
    add_rows(tmp_path / "t.csv", [*rows, trial(method="finetune", setting="", tried=None)], Trial, "tries")
    (block,) = blocks("<!-- table: tuning -->\n<!-- end -->\n", None, tmp_path / "t.csv")
    assert "| val5 | ewc | ewc.strength | 0.05 | 2 | 0.90 | 0.05 | – | 0.60 |" in block.drawn
    assert "| val5 | finetune | – | – | 1 |" in block.drawn


def test_tries_with_another_setting_beside_the_main_one_stay_apart(tmp_path: Path) -> None:
    rows = [
        trial(seed=100, tried=0.2, settings="ewc.strength=0.2"),
        trial(seed=100, settings='warm_start.choose="none"', average_success=0.5),
        trial(seed=100, settings='ewc.strength=0.2 warm_start.choose="none"', tried=0.2, average_success=0.25),
    ]
    add_rows(tmp_path / "t.csv", rows, Trial, "tries")
    (block,) = blocks("<!-- table: tuning -->\n<!-- end -->\n", None, tmp_path / "t.csv")
    lines = [line.strip("| ").split(" | ") for line in block.drawn.strip().splitlines()[2:]]
    none = 'ewc (warm_start.choose="none")'
    expected = {("ewc", "0.2", "0.90"), (none, "0.05", "0.50"), (none, "0.2", "0.25")}
    assert {(line[1], line[3], line[5]) for line in lines} == expected


def test_tries_on_several_curricula_stay_apart(tmp_path: Path) -> None:
    rows = [trial(seed=100), trial(curriculum="first3", seed=100, average_success=0.5)]
    add_rows(tmp_path / "t.csv", rows, Trial, "tries")
    (block,) = blocks("<!-- table: tuning -->\n<!-- end -->\n", None, tmp_path / "t.csv")
    assert [line.split(" | ")[:5:4] for line in block.drawn.strip().splitlines()[2:]] == [
        ["| first3", "1"],
        ["| val5", "1"],
    ]
    assert "| first3 | ewc | ewc.strength | 0.05 | 1 | 0.50 |" in block.drawn


REFUSED = {
    "<!-- table: quack -->\n<!-- end -->\n": "nothing is published for it; did you mean quick?",
    "<!-- table: quick prices -->\n<!-- end -->\n": "expected one of differences, costs, transfer",
    "<!-- table: quick -->\n": "has no end",
    "<!-- table: quick -->\n<!-- table: quick -->\n<!-- end -->\n": "has no end",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_wrong_block_is_one_sentence(cli: Cli, data: Path, text: str) -> None:
    Path("page.md").write_text(text)
    outcome = cli("tables", "page.md", "--results", data)
    assert outcome.code == 2
    assert REFUSED[text] in outcome.err
    assert outcome.err.count("\n") == 1
    assert Path("page.md").read_text() == text


def test_a_page_without_a_block_or_no_page_at_all(cli: Cli, data: Path) -> None:
    Path("page.md").write_text("nothing")
    assert "page.md has no block for a table" in cli("tables", "page.md").out
    assert "none.md: No such file or directory; give a Markdown file" in cli("tables", "none.md").err


def test_damaged_data_is_one_sentence(cli: Cli, data: Path) -> None:
    Path("page.md").write_text(PAGE)
    data.write_text(data.read_text().replace(",0.875,", ",much,", 1))
    outcome = cli("tables", "page.md", "--results", data)
    assert outcome.code == 2
    assert "is damaged: `value` is 'much'" in outcome.err
    data.write_text("a,b\n")
    assert "has other columns than published results" in cli("tables", "page.md", "--results", data).err


def test_published_runs_have_their_own_settings(rows: list[Result]) -> None:
    runs = runs_of(rows)
    assert len(runs) == 7
    with pytest.raises(UserError, match="unknown method"):
        _ = runs_of(published(method="nothing"))[0].config


def test_a_line_of_tries_is_over_the_same_start_states() -> None:
    """One seed measured on two sets of them is not two seeds."""
    apart = [trial(curriculum="first3", evaluation_seed=seed) for seed in (1_000_000, 2_000_000)]
    lines = tuning_table([*apart, trial(), trial(seed=101)]).splitlines()[2:]
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == [
        "first3, start states of 1,000,000, physics 1",
        "first3, start states of 2,000,000, physics 1",
        "val5",
    ]
    assert [line.split(" | ")[4] for line in lines] == ["1", "1", "2"]
