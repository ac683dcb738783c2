"""How soon each task is learned: what one training records, and the medians over seeds."""

from __future__ import annotations

from typing import Any

import pytest
from support.trainings import TINY

from clrobot.benchmarks.learning import Learning, learn, learn_all, medians
from clrobot.errors import UserError
from clrobot.experiment.config import make_config


def row(task: str, seed: int, half: int | None, learned: int | None, seconds: float = 1.0) -> Learning:
    success = 0.95 if learned else 0.1
    return Learning(
        task=task,
        seed=seed,
        label="",
        steps=100,
        success=success,
        half=half,
        learned=learned,
        seconds=seconds,
        curve=[],
    )


def test_medians_count_a_seed_that_did_not_get_there_as_infinite() -> None:
    rows = [row("push", 0, 10, 40, 4.0), row("push", 1, 20, None, 9.0), row("push", 2, 30, 60, 6.0)]
    rows += [row("stack", 0, 10, None), row("stack", 1, None, None), row("stack", 2, 30, 50)]
    push, stack = medians(rows)
    assert (push.half, push.learned, push.seconds, push.reached, push.seeds) == (20, 60, 6.0, 2, 3)
    assert (stack.half, stack.learned, stack.seconds, stack.reached) == (30, None, None, 1)


def test_a_training_records_its_curve_and_repeats() -> None:
    def once() -> dict[str, Any]:
        return learn(make_config(**TINY), "reach", 3, steps=256, every=100).model_dump(exclude={"seconds"})

    found = once()
    assert [step for step, _ in found["curve"]] == [128, 256]  # whole iterations of 4 × 16 steps
    assert found["steps"] == 256
    assert learn(make_config(**TINY), "reach", 3, steps=70, every=8192).steps == 128
    assert found["success"] == found["curve"][-1][1]
    assert once() == found


def test_rows_that_the_file_has_are_not_trained_again(tmp_path) -> None:
    path = tmp_path / "learning.jsonl"
    told: list[str] = []

    def run(seeds: tuple[int, ...], steps: int = 128) -> list[Learning]:
        return learn_all(make_config(**TINY), ("reach",), seeds, steps, 128, "tiny", path, told.append)

    first = run((0,))
    assert [r.seed for r in run((0, 1))] == [0, 1]
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert Learning.model_validate_json(lines[0]) == first[0]  # its seconds too: it did not run twice
    assert len(told) == 3
    assert run((0,), steps=256)[0].steps == 256  # it had given up sooner
    assert run((0,), steps=128)[0].steps == 256


def test_rows_of_other_settings_are_refused(tmp_path) -> None:
    """They would stand in the table as if of these."""
    path = tmp_path / "learning.jsonl"
    learn_all(make_config(**TINY), ("reach",), (0,), 128, 128, "", path, print)
    other = make_config(**TINY | {"network": {"widths": [4]}})
    for config, every in ((other, 128), (make_config(**TINY), 64)):
        with pytest.raises(
            UserError, match="has reach, seed 0 with other settings; give another --label, or another"
        ):
            learn_all(config, ("reach",), (0,), 128, every, "", path, print)
    assert len(learn_all(other, ("reach",), (0,), 128, 128, "wide", path, print)) == 1
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2


def test_a_success_that_came_after_the_last_step_does_not_count() -> None:
    found = Learning.of("push", 0, "", [(100, 0.6), (200, 0.95)], 1.0)
    assert (found.within(200).learned, found.within(199).learned, found.within(199).half) == (200, None, 100)


def test_a_seed_that_is_named_twice_is_refused(cli) -> None:
    outcome = cli("learning", "--task", "reach", "--seed", "0", "0")
    assert (outcome.code, outcome.err) == (2, "clrobot: --seed 0 0 names one twice; name each once\n")


def test_a_file_of_something_else_is_refused(tmp_path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a row\n", encoding="utf-8")
    with pytest.raises(UserError, match="holds something else"):
        learn_all(make_config(**TINY), ("reach",), (0,), 128, 128, "", path, print)
    assert path.read_text(encoding="utf-8") == "not a row\n"


def test_the_method_of_a_configuration_plays_no_part(tmp_path) -> None:
    config = make_config(**TINY | {"method": "progressive", "seed": 4})
    found, plain = (learn(c, "reach", 3, steps=128, every=128).curve for c in (config, make_config(**TINY)))
    assert found == plain
    with pytest.raises(UserError, match="seed"):
        learn(config, "reach", -1, steps=128, every=128)


def test_a_device_that_is_not_there_is_told_before_any_training(tmp_path) -> None:
    with pytest.raises(UserError, match="device 'nowhere' cannot be used"):
        learn(make_config(**TINY | {"device": "nowhere"}), "reach", 0, steps=128, every=128)
