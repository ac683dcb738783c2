"""Curricula: their slots and their algebra, and files that are right and wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from clrobot.envs.tasks import TASKS_BY_ID
from clrobot.errors import UserError, nearest
from clrobot.experiment.curricula import CURRICULA
from clrobot.experiment.curriculum import Curriculum, Stage
from clrobot.experiment.yaml_file import load_curriculum


def curriculum(*tasks: str, name: str = "mine", steps: int = 10) -> Curriculum:
    return Curriculum(name=name, stages=tuple(Stage(task=task, steps=steps) for task in tasks))


def refusal(path: Path) -> str:
    """Return the sentence with which the file is refused: one line, that names the file."""
    with pytest.raises(UserError) as caught:
        load_curriculum(path)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    return sentence.replace(str(path), "FILE")


# Slots and algebra -----------------------------------------------------------------------------------------


def test_slots_number_a_task_from_its_second_appearance():
    assert curriculum("reach", "pick-place", "reach", "reach").slots == ("reach", "pick-place", "reach-2", "reach-3")


def test_slots_are_as_many_as_stages_and_all_different():
    twice = 2 * CURRICULA["cr4"]
    assert len(set(twice.slots)) == len(twice.slots) == len(twice.stages) == 8


def test_times_repeats_the_stages():
    quick = CURRICULA["quick"]
    assert (3 * quick).stages == quick.stages * 3
    assert (1 * quick).stages == quick.stages


def test_plus_appends_the_stages():
    first, second = curriculum("reach", name="a"), curriculum("drawer-open", name="b")
    assert (first + second).stages == first.stages + second.stages
    assert (first + second).name == "a+b"


def test_twice_is_the_sum_with_itself():
    quick = CURRICULA["quick"]
    assert (2 * quick).stages == (quick + quick).stages


def test_zero_times_a_curriculum_is_refused():
    with pytest.raises(ValueError, match="stages"):
        0 * CURRICULA["quick"]


def test_with_steps_changes_every_stage_and_nothing_else():
    quick = CURRICULA["quick"]
    short = quick.with_steps(7)
    assert [stage.steps for stage in short.stages] == [7] * len(quick.stages)
    assert short.slots == quick.slots
    assert short.name == quick.name
    assert quick == CURRICULA["quick"], "the original is untouched"


def test_a_curriculum_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        CURRICULA["quick"].name = "slow"


@pytest.mark.parametrize("name", CURRICULA)
def test_a_name_loads_the_curriculum_of_that_name(name: str):
    assert load_curriculum(name) is CURRICULA[name]
    assert {stage.task for stage in CURRICULA[name].stages if stage.native} <= set(TASKS_BY_ID)


@pytest.mark.parametrize("name", CURRICULA)
def test_ours_are_what_their_own_check_makes_of_them(name: str):
    ours = CURRICULA[name]
    checked = Curriculum.model_validate(ours.model_dump())
    assert checked == ours
    assert [list(stage.overrides.items()) for stage in checked.stages] == [
        list(stage.overrides.items()) for stage in ours.stages
    ]


def test_nearest_names_what_is_close_or_everything():
    assert nearest("drawer-opn", ["reach", "drawer-open"]) == "; did you mean drawer-open?"
    assert nearest("zzz", ["a1", "b2"]) == "; expected one of a1, b2"


# Files -----------------------------------------------------------------------------------------------------


def test_a_file_may_group_the_digits_of_its_numbers(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nstages:\n  - {task: reach, steps: 50_000}\n  - {task: drawer-open, steps: 1.0e+3}\n")
    loaded = load_curriculum(file)
    assert [(stage.task, stage.steps) for stage in loaded.stages] == [("reach", 50_000), ("drawer-open", 1000)]
    assert all(type(stage.steps) is int for stage in loaded.stages)
    assert load_curriculum(str(file)) == loaded


def test_a_file_may_write_a_thousand_as_1e3(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nstages: [{task: reach, steps: 1e3}]\n")
    assert load_curriculum(file).stages[0].steps == 1000


def test_a_file_is_found_by_its_bare_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "mine").write_text("name: mine\nstages: [{task: reach, steps: 5}]\n")
    monkeypatch.chdir(tmp_path)
    assert load_curriculum("mine") == curriculum("reach", steps=5)


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"\xef\xbb\xbfname: mine\nstages: [{task: reach, steps: 5}]\n")
    assert load_curriculum(file) == curriculum("reach", steps=5)


STAGES = "name: mine\nstages:\n  - task: reach\n    steps: 64\n  - "  # its last line is line 5

MALFORMED = {
    # name: (content, line, what the sentence says)
    "bad syntax": ("name: a\nstages:\n  - {task: reach, steps: 64\n  - {task: reach}\n", 4, "expected ',' or '}'"),
    "a tab": ("name: a\n\tstages: x\n", 2, "'\\t'"),
    "an open quote": ('"a\n', 2, "unexpected end of stream"),
    "two documents": ("name: a\nstages: []\n---\nname: b\n", 3, "another document"),
    "a Python tag": ('name: a\nstages:\n  - !!python/object/apply:os.abort [""]\n', 3, "python/object/apply"),
    "a list as a key": ("name: a\n? [x]\n: 1\n", 2, "unhashable key"),
    "empty": ("", 1, "expected a mapping with `name` and `stages`"),
    "only a comment": ("# nothing\n", 1, "expected a mapping with `name` and `stages`"),
    "a list": ("- reach\n- drawer-open\n", 1, "list; expected a mapping"),
    "a word": ("reach\n", 1, "str; expected a mapping"),
    "no name": ("\nstages:\n  - {task: reach, steps: 64}\n", 2, "`name` is missing"),
    "an empty name": ("name: ''\nstages:\n  - {task: reach, steps: 64}\n", 1, "`name`"),
    "a number as name": ("stages:\n  - {task: reach, steps: 64}\nname: 5\n", 3, "`name` is 5"),
    "no stages": ("name: a\n", 1, "`stages` is missing"),
    "stages empty": ("name: a\nstages: []\n", 2, "`stages` is []"),
    "stages a word": ("name: a\nstages: reach\n", 2, "`stages` is 'reach'"),
    "stages a mapping": ("name: a\nstages: {reach: 64}\n", 2, "`stages` is {'reach': 64}"),
    "stages itself": ("name: a\nstages: &s\n  - *s\n", 3, "*s stands inside what it stands for"),
    "an unknown key": ("name: a\nnaem: b\nstages:\n  - {task: reach, steps: 64}\n", 2, "`naem` is not a known key"),
    "an unknown key in a stage": (
        STAGES + "task: reach\n    steps: 64\n    stepz: 1\n",
        7,
        "`stages.2.stepz` is not a known key",
    ),
    "an unknown task": (STAGES + "task: drawer-opn\n    steps: 1\n", 5, "did you mean drawer-open"),
    "a task of another world": (STAGES + "task: juggle\n    steps: 1\n", 5, ", ".join(TASKS_BY_ID)),
    "no task": (STAGES + "steps: 64\n", 5, "`stages.2.task` is missing"),
    "a task that is nothing": (STAGES + "task:\n    steps: 64\n", 5, "`stages.2.task` is None"),
    "a stage that is a word": (STAGES + "reach\n", 5, "`stages.2` is 'reach'"),
    "no steps": (STAGES + "task: reach\n", 5, "`stages.2.steps` is missing"),
    "zero steps": (STAGES + "task: reach\n    steps: 0\n", 6, "`stages.2.steps` is 0"),
    "negative steps": (STAGES + "task: reach\n    steps: -5\n", 6, "`stages.2.steps` is -5"),
    "half a step": (STAGES + "task: reach\n    steps: 1.5\n", 6, "`stages.2.steps` is 1.5"),
    "steps in words": (STAGES + "task: reach\n    steps: many\n", 6, "`stages.2.steps` is 'many'"),
    "infinite steps": (STAGES + "task: reach\n    steps: .inf\n", 6, "`stages.2.steps` is inf"),
    "steps not a number": (STAGES + "task: reach\n    steps: .nan\n", 6, "`stages.2.steps` is nan"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_file_is_refused_with_its_line(case: str, tmp_path: Path):
    content, line, clause = MALFORMED[case]
    file = tmp_path / "mine.yaml"
    file.write_text(content, encoding="utf-8")
    sentence = refusal(file)
    assert sentence.startswith(f"curriculum file FILE, line {line}: ")
    assert clause in sentence


def test_a_misspelt_key_is_named_rather_than_the_one_it_should_be(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text(STAGES + "task: reach\n    stepz: 64\n")
    sentence = refusal(file)
    assert "line 6" in sentence
    assert "`stages.2.stepz` is not a known key" in sentence


def test_steps_are_not_true(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text(STAGES + "task: reach\n    steps: true\n")
    assert "line 6" in refusal(file)


def test_more_steps_than_a_counter_holds_are_refused(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text(STAGES + "task: reach\n    steps: 99999999999999999999999999\n")
    assert "line 6" in refusal(file)


def test_a_number_of_thousands_of_digits_is_refused(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text(STAGES + f"task: reach\n    steps: {'9' * 5000}\n")
    assert "4300 digits" in refusal(file)


def test_a_date_that_does_not_exist_is_refused(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("name: 2024-13-45\nstages: []\n")
    assert "month" in refusal(file)


def test_a_file_that_nests_too_deep_is_refused(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("[" * 1500)
    assert "line 1: more than 20 levels" in refusal(file)


def test_a_file_whose_aliases_multiply_gets_a_short_sentence(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    levels = [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcd", "bcde", strict=True)]
    file.write_text("\n".join(["a: &a [x]", *levels, "name: a", "stages: *e", ""]))
    assert len(refusal(file)) < 500


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("name: a\nstages:\n- {task: reach, steps: 64}\n- {task: push, steps: 64, steps: 6}\n", 4, "steps"),
        ("name: a\nstages: [{task: reach, steps: 64}]\nname: b\n", 3, "name"),
        ("name: a\nstages: [{task: reach, steps: 64}]\n? [x, {y: 1, y: 2}]\n: 1\n", 3, "y"),
    ],
)
def test_a_key_that_stands_twice_is_refused(text: str, line: int, key: str, tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert f"line {line}: '{key}' stands there twice; give it once" in refusal(file)


def test_what_an_alias_repeats_stands_once(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("name: a\nstages:\n- &one {task: reach, steps: 64}\n- *one\n- *one\n")
    assert len(load_curriculum(file).stages) == 3


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"name: caf\xe9\n")
    assert "not UTF-8" in refusal(file)


def test_a_zero_byte_is_refused(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"name: a\x00b\n")
    assert "#x0000" in refusal(file)


def test_a_folder_is_refused(tmp_path: Path):
    folder = tmp_path / "mine.yaml"
    folder.mkdir()
    assert "Is a directory" in refusal(folder)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    assert "No such file" in refusal(tmp_path / "mine.yaml")


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="unknown curriculum 'quik'; did you mean quick"):
        load_curriculum("quik")
    with pytest.raises(UserError, match="expected one of quick, first3, cr4"):
        load_curriculum("zzzzzz")


def test_a_name_longer_than_a_file_name_can_be_is_refused():
    with pytest.raises(UserError, match="unknown curriculum"):
        load_curriculum("x" * 300)


@pytest.mark.parametrize("name", ["../../evil", "a/b", ".."])
def test_a_name_cannot_lead_out_of_a_folder(name: str, tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text(f"name: {name}\nstages: [{{task: reach, steps: 5}}]\n")
    assert "line 1" in refusal(file)


def test_what_settings_are_chosen_on_shares_nearly_no_task_with_what_is_reported():
    """Reach alone, with the first looks; nothing with cr10, cr20 and shift5."""
    tasks = {name: {stage.task for stage in CURRICULA[name].stages} for name in CURRICULA.ours}
    for name in ("cr10", "cr20", "shift5", "first3"):
        assert tasks["val5"] & tasks[name] == set()
    for name in ("quick", "cr4"):
        assert tasks["val5"] & tasks[name] == {"reach"}


def test_the_demo_s_curriculum_has_the_steps_of_the_quick_one():
    assert sum(stage.steps for stage in CURRICULA["first3"].stages) == 160_000
    assert sum(stage.steps for stage in CURRICULA["quick"].stages) == 160_000
