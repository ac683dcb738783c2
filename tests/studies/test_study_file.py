"""A study's file: what it stands for, and the line of whatever is wrong in it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from clrobot.errors import UserError
from clrobot.experiment.config import make_config
from clrobot.experiment.curricula import CURRICULA
from clrobot.experiment.curriculum import Curriculum
from clrobot.imports import import_words
from clrobot.studies.grid import Choice
from clrobot.studies.plan import Plan, in_order, plan_study, run_name
from clrobot.studies.record import check_place, no_longer_planned, read_record, write_record
from clrobot.studies.study import Study
from clrobot.studies.study_file import read_study

ISSUE = """\
name: lambda-study
curricula: [cr4, my-curriculum.yaml]
methods:
  finetune: {}
  ewc: {strength: [0.01, 0.1, 1.0]}      # a list is a grid; names are the method's own settings
  ewc+replay: {ewc.strength: 0.05}
algorithms: [ppo]
seeds: 10..14                            # or a list
orders: [0, 1]                           # 0: as written; others: seeded shuffles of the stages
settings: {ppo.learning_rate: [1e-3, 2e-3]}
"""
MINE = """\
name: mine
stages: [{task: reach, steps: 64}, {task: push, steps: 64}, {task: button-press, steps: 64}]
"""


def plans_of(text: str, folder: Path, out: Path = Path("out")) -> list[Plan]:
    folder.mkdir(exist_ok=True)
    (folder / "study.yaml").write_text(text)
    (folder / "my-curriculum.yaml").write_text(MINE)
    return read_study(folder / "study.yaml", out).plans


def test_the_issue_s_file_is_the_product_of_its_parts(tmp_path: Path) -> None:
    plans = plans_of(ISSUE, tmp_path / "elsewhere")  # its curriculum lies beside it, and not here
    assert len(plans) == 2 * 2 * (1 + 3 + 1) * 2 * 5
    first, last = plans[0], plans[-1]
    assert first.folder == Path("out/cr4-finetune-ppo.learning_rate=0.001-10")
    assert last.folder == Path("out/mine-order-1-ewc+replay-ewc.strength=0.05-ppo.learning_rate=0.002-14")
    assert (last.config.ewc.strength, last.config.ppo.learning_rate, last.config.seed) == (0.05, 0.002, 14)
    assert first.config.curriculum == CURRICULA["cr4"]
    grid = {(p.config.ewc.strength, p.config.ppo.learning_rate) for p in plans if p.config.method == "ewc"}
    assert grid == set(itertools.product((0.01, 0.1, 1.0), (0.001, 0.002)))
    assert {p.config.ewc.strength for p in plans if p.config.method == "finetune"} == {make_config().ewc.strength}


def test_only_three_keys_are_needed(tmp_path: Path) -> None:
    (only,) = plans_of("name: a\ncurricula: [quick]\nmethods: {ewc: }\n", tmp_path)
    assert only == Plan(Path("out/quick-ewc-0"), make_config(curriculum="quick", method="ewc"))
    assert read_study(tmp_path / "study.yaml").out == Path("runs/a")


def test_an_order_is_a_shuffle_that_its_name_tells() -> None:
    written = CURRICULA["cr10"]
    assert in_order(written, 0) is written
    shuffled = [in_order(written, order) for order in (1, 2)]
    for order, found in enumerate(shuffled, 1):
        assert found.name == f"cr10-order-{order}"
        assert sorted(map(str, found.stages)) == sorted(map(str, written.stages))
        assert found == in_order(written, order)
    assert len({found.stages for found in [written, *shuffled]}) == 3


def test_settings_of_an_algorithm_or_a_method_concern_the_runs_that_use_it(tmp_path: Path) -> None:
    text = "name: a\ncurricula: [quick]\nmethods: [finetune, ewc]\nalgorithms: [ppo, sac]\n"
    plans = plans_of(text + "settings: {sac.gamma: [0.9, 0.95], ewc: {strength: [1, 2]}, steps: 1e3}\n", tmp_path)
    assert [p.folder.name for p in plans] == [
        "quick-finetune-0",
        "quick-ewc-ewc.strength=1-0",
        "quick-ewc-ewc.strength=2-0",
        "quick-finetune-sac-sac.gamma=0.9-0",
        "quick-finetune-sac-sac.gamma=0.95-0",
        *(f"quick-ewc-sac-sac.gamma={g}-ewc.strength={s}-0" for g in (0.9, 0.95) for s in (1, 2)),
    ]
    assert {stage.steps for p in plans for stage in p.config.curriculum.stages} == {1000}


def test_a_list_is_a_value_in_a_list_of_lists(tmp_path: Path) -> None:
    text = "name: a\ncurricula: [quick]\nmethods: [ewc]\nsettings: {network.widths: %s}\n"
    assert [p.config.network.widths for p in plans_of(text % "[[8, 16], 32]", tmp_path)] == [(8, 16), (32, 32)]
    with pytest.raises(
        UserError, match=r"line 4: `network.widths` has the value 64 twice; for one value that is a l"
    ):
        plans_of(text % "[64, 64]", tmp_path)


HEAD = "name: a\ncurricula: [quick]\n"
EWC = HEAD + "methods:\n  ewc:\n"
WRONG = {
    "no mapping": ("- a\n", "line 1: list; expected a mapping with `name`, `curricula` and `methods`"),
    "not YAML": ("name: a\nmethods: [\n", "line 3: "),
    "a missing key": ("name: a\nmethods: [ewc]\n", "line 1: `curricula` is missing"),
    "an unknown key": (HEAD + "methods: [ewc]\nseed: 3\n", "line 4: `seed` is not a known key; did you mean seeds"),
    "a name with a slash": ("name: a/b\ncurricula: [quick]\nmethods: [ewc]\n", "line 1: `name`: 'a/b' cannot name"),
    "an unknown curriculum": ("name: a\ncurricula:\n- quick\n- qick\nmethods: [ewc]\n", "line 4: unknown curriculum"),
    "a curriculum's missing file": ("name: a\ncurricula: [b.yaml]\nmethods: [ewc]\n", "line 2: curriculum file "),
    "a curriculum that is wrong": (
        "name: a\ncurricula:\n- name: b\n  stages:\n  - task: reach\n    steps: -1\nmethods: [ewc]\n",
        "line 6: `curricula.1.stages.1.steps` is -1",
    ),
    "curricula of one name": (
        "name: a\nmethods: [ewc]\ncurricula:\n"
        "- my-curriculum.yaml\n- {name: Mine, stages: [{task: push, steps: 9}]}\n",
        "line 5: two curricula are called 'Mine'; rename one of them",
    ),
    "no method": (HEAD + "methods: {}\n", "line 3: `methods` is {}"),
    "an unknown method": (HEAD + "methods:\n  ewc:\n  ewx:\n", "line 5: unknown method 'ewx'; did you mean"),
    "methods that do not go together": (HEAD + "methods:\n  ewc+mas:\n", "line 4: method 'ewc+mas'"),
    "a method's unknown setting": (
        EWC + "    strenth: 1\n",
        "line 5: ewc has no setting 'strenth'; did you mean stren",
    ),
    "a method without settings": (
        HEAD + "methods:\n  finetune:\n    rate: 1\n",
        "line 5: finetune has no setting 'r",
    ),
    "whose setting": (
        HEAD + "methods:\n  ewc+replay:\n    strength: 1\n",
        "line 5: `strength`: ewc+replay has two parts; say whose setting it is; did you mean ewc.strength",
    ),
    "an empty grid": (EWC + "    strength: []\n", "line 5: `ewc.strength` is an empty list; a list is a grid"),
    "a value twice": (EWC + "    strength:\n    - 1\n    - 1.0\n", "line 7: `ewc.strength` has the value 1.0 twice"),
    "a value that cannot be": (EWC + "    strength:\n    - 1\n    - -1\n", "line 7: `ewc.strength` is -1"),
    "an unknown algorithm": (HEAD + "methods: [ewc]\nalgorithms: [pppo]\n", "line 4: unknown algorithm 'pppo'"),
    "a method and an algorithm": (
        "name: a\ncurricula: [quick]\nmethods: [ewc]\nsettings:\n  ppo.gamma: 2\n",
        "line 5: `ppo.gamma` is 2",
    ),
    "seeds that fall": (HEAD + "methods: [ewc]\nseeds: 4..1\n", "line 4: `seeds`: '4..1'; expected FIRST..LAST"),
    "seeds that are words": (
        HEAD + "methods: [ewc]\nseeds: few\n",
        "line 4: `seeds`: 'few'; expected a list of whole",
    ),
    "a seed twice": (HEAD + "methods: [ewc]\nseeds: [1, 2, 1]\n", "line 4: `seeds`: 1 is given twice"),
    "a seed below zero": (HEAD + "methods: [ewc]\nseeds:\n- 1\n- -1\n", "line 6: `seeds.2` is -1"),
    "no seed": (HEAD + "methods: [ewc]\nseeds: []\n", "line 4: `seeds` is []"),
    "one order as two": (
        "name: a\ncurricula:\n- name: b\n  stages: [{task: reach, steps: 9}]\nmethods: [ewc]\norders: [0, 1]\n",
        "line 6: orders 0 and 1 of curriculum 1, b, are the same sequence",
    ),
    "an order beside one by seed": (
        "name: a\ncurricula:\n- name: b\n  order: seed\n  stages: [{task: reach, steps: 9}, {task: push, steps: 9}]\n"
        "methods: [ewc]\norders: [0, 1]\n",
        "line 7: b has an order drawn from each run's seed",
    ),
    "an unknown setting": (
        HEAD + "methods: [ewc]\nsettings:\n  ppo.gama: 1\n",
        "line 5: there is no setting 'ppo.gama'",
    ),
    "what a study gives elsewhere": (
        HEAD + "methods: [ewc]\nsettings: {seed: 1}\n",
        "line 4: `seed`: a study gives this as `seeds`",
    ),
    "a setting that nobody uses": (
        HEAD + "methods: [finetune]\nsettings: {ewc.strength: 1}\n",
        "line 4: `ewc.strength`: no run of this study uses ewc",
    ),
    "a setting in two places": (
        EWC + "    strength: 1\nsettings: {ewc.strength: 2}\n",
        "line 5: `ewc.strength` stands under `settings` too",
    ),
    "two runs in one folder": (
        HEAD + "methods: [ewc]\nsettings:\n  threads: [1, 2]\n",
        "line 4: two runs would have the folder quick-ewc-0: they differ in nothing that changes a score",
    ),
    "too many": (
        HEAD
        + "methods: [ewc]\nseeds: 0..9999\nsettings: {ppo.learning_rate: ["
        + ", ".join(f"1e-{n}" for n in range(2, 14))
        + "]}\n",
        "line 1: a study of 120,000 runs or more; expected 100,000 at most",
    ),
    "a module that is not there": (
        HEAD + "methods: [ewc]\nimports: [no.such]\n",
        "line 4: --import no.such: there is no such",
    ),
    "imports that are no list": (
        HEAD + "methods: [ewc]\nimports: os\n",
        "line 4: `imports` is 'os'; expected a list",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_told_with_its_line_before_anything_is_made(what: str, cli: Any, tmp_path: Path) -> None:
    text, sentence = WRONG[what]
    (tmp_path / "study.yaml").write_text(text)
    (tmp_path / "my-curriculum.yaml").write_text(MINE)
    refused = cli("study", "study.yaml", "--out", "out")
    assert refused.code == 2
    assert refused.err.startswith("clrobot: study study.yaml, ")
    assert sentence in refused.err
    assert refused.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_there(cli: Any, tmp_path: Path) -> None:
    assert cli("study", "none.yaml").err.startswith("clrobot: study none.yaml: No such file")
    assert cli("study", ".").err.startswith("clrobot: study .: Is a directory")
    assert cli("study", "none.yaml", "--jobs", "0").err.startswith("clrobot: --jobs 0; expected 1 or more")
    assert "clrobot: --on 'slum'" in cli("study", "none.yaml", "--on", "slum").err


def test_modules_are_imported_from_beside_the_file_and_by_every_process(
    own_registries: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clrobot.imports._given", [])
    (tmp_path / "my_curricula.py").write_text(
        "import clrobot\nstage = clrobot.Stage(task='reach', steps=64)\n"
        "clrobot.register_curriculum(clrobot.Curriculum(name='own', stages=(stage,)))\n"
    )
    text = "name: a\ncurricula: [own]\nmethods: [ewc]\nimports: [./my_curricula.py]\n"
    (only,) = plans_of(text, tmp_path)
    assert only.config.curriculum.name == "own"
    assert import_words() == ["--import", str(tmp_path / "my_curricula.py")]


# Names -------------------------------------------------------------------------------------------------------


@given(st.text(min_size=1, max_size=300), st.floats(allow_nan=False), st.integers(0, 2**31 - 1))
def test_a_name_can_be_that_of_a_folder_whatever_it_is_made_of(curriculum: str, value: float, seed: int) -> None:
    name = run_name(curriculum, "ewc", "ppo", seed, [Choice("ewc.strength", value, (), "ewc", True)])
    assert len(f"{name}.yaml".encode()) < 255
    assert not set(name) & set('/\\\0<>:"|?*\n')
    assert name[0] not in " .-"
    assert name.endswith(f"-{seed}")


def test_other_runs_have_other_names() -> None:
    values = [0.1, 0.1000001, 1.0, 10.0, 1e-12, [8, 16], [81, 6], True, None, "a", "b/c", "b:c", "x" * 200, "x" * 201]
    names = {run_name("c", "ewc", "ppo", 0, [Choice("a.b", value, (), None, True)]) for value in values}
    assert len(names) == len(values)


# What its folder says ----------------------------------------------------------------------------------------


def study_of(text: str, folder: Path) -> tuple[Study, list[Plan]]:
    (folder / "study.yaml").write_text(text)
    found = read_study(folder / "study.yaml", folder / "out")
    return found.study, found.plans


def test_a_study_is_kept_as_it_ran_and_can_be_run_from_there(tmp_path: Path) -> None:
    (tmp_path / "my-curriculum.yaml").write_text(MINE)
    study, plans = study_of(ISSUE, tmp_path)
    write_record(study, plans, tmp_path / "out")
    (tmp_path / "my-curriculum.yaml").unlink()  # it needs no other file
    again = read_study(tmp_path / "out" / "study.yaml", tmp_path / "out")
    assert (again.study, again.plans) == (study, plans)
    name, runs = read_record(tmp_path / "out")
    assert name == "lambda-study"
    assert [run.folder for run in runs] == [plan.folder.name for plan in plans]
    assert (runs[-1].slots, runs[-1].steps) == (list(plans[-1].config.curriculum.slots), [64, 64, 64])


def test_a_folder_holds_one_study_that_may_change(tmp_path: Path) -> None:
    out = tmp_path / "out"
    study, plans = study_of(HEAD + "methods: [ewc, mas]\n", tmp_path)
    check_place(study, out)
    write_record(study, plans, out)
    (out / "quick-mas-0").mkdir()
    (out / "quick-mas-0" / "config.yaml").write_text("")
    changed, fewer = study_of(HEAD + "methods: [ewc]\nseeds: [0, 1]\n", tmp_path)
    check_place(changed, out)
    assert no_longer_planned(fewer, out) == ["quick-mas-0"]
    other, _ = study_of("name: b\ncurricula: [cr4]\nmethods: [ewc, mas]\n", tmp_path)
    with pytest.raises(
        UserError, match="out holds the study 'a' and not 'b'; they differ in name, curricula: give an"
    ):
        check_place(other, out)
    with pytest.raises(UserError, match="quick-mas-0 is a run; give another --out"):
        check_place(study, out / "quick-mas-0")


@pytest.mark.parametrize("content", ["{", "[]", '{"study": "a"}', '{"study": "a", "runs": [{"folder": "../b"}]}'])
def test_a_damaged_record_is_one_sentence(content: str, cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "study-runs.json").write_text(content)
    refused = cli("study-status", ".")
    assert refused.code == 2
    assert refused.err.startswith("clrobot: study-runs.json is damaged: ")
    assert "holds no study" in cli("study-status", "none").err


def test_a_study_in_memory_is_written_as_data() -> None:
    curriculum = Curriculum.model_validate(yaml.safe_load(MINE))
    study = Study(name="a", curricula=(curriculum,), methods={"ewc": {}}, seeds=(3,))
    assert Study.model_validate(study.to_data()) == study
    assert [plan.folder.name for plan in plan_study(study, Path("out"))] == ["mine-ewc-3"]
