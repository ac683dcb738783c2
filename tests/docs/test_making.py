"""The pages that are made say what the code and the published data say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from making import benchmarks, concepts, methods, published, tasks
from making.markdown import prose
from support.published import MADE, speed, trial
from support.published import published as made

from clrobot.agents.methods import METHODS_BY_NAME
from clrobot.envs.tasks import TASKS, TASKS_BY_ID
from clrobot.errors import UserError
from clrobot.experiment.config import make_config
from clrobot.published import references
from clrobot.published.literature import read_literature
from clrobot.published.references import Reference, learner_settings
from clrobot.published.results import Result, stages_text
from clrobot.published.rows import read_rows, rows_text, settings_text
from clrobot.published.tuning import Trial
from clrobot.results.catalogue import RUN_METRICS
from clrobot.runs.transfer_file import TransferRow, transfer_text

DOCS = Path(concepts.__file__).parent.parent


def test_a_docstring_becomes_a_page() -> None:
    text = """Keep *all* of x_i.

        y = a_i
          + b

    Then `as_it_is` | more.

    Args:
        x: never shown.
    """
    assert prose(text) == "Keep \\*all\\* of x\\_i.\n\n```text\ny = a_i\n  + b\n```\n\nThen `as_it_is` \\| more."


def test_costs_are_counted_from_networks() -> None:
    plain = methods.costs(METHODS_BY_NAME["finetune"])
    # Two layers of 64 on 23 numbers: actor and critic; a head of 4 and 1, and 4 log_std.
    trunk = (23 + 1) * 64 + (64 + 1) * 64
    assert plain[0].parameters == 2 * trunk + 65 * 4 + 65 + 4
    assert [cost.parameters - plain[0].parameters for cost in plain] == [n * (65 * 4 + 65 + 4) for n in (0, 3, 9)]
    copies = methods.costs(METHODS_BY_NAME["frozen-copies"])
    assert copies[0] == plain[0]
    assert copies[2].kept > copies[1].kept > copies[0].kept


def test_a_method_s_page_has_its_equation_settings_and_partners() -> None:
    page = methods.method_page(METHODS_BY_NAME["online-ewc"])
    assert "F ← γ F + F_k" in page
    assert "½ λ Σ_j F_j (θ_j - θ*_j)²" in page
    assert "| `online-ewc.strength` |" in page
    assert "[replay](replay.md)" in page
    assert "[ewc](ewc.md)" not in page.partition("goes with")[2].partition("\n")[0]


@pytest.mark.parametrize(
    "method", [m for m in methods.METHODS if m.family != "bound"], ids=lambda method: method.name
)
def test_a_method_that_protects_shows_its_equation(method: Any) -> None:
    assert "```text\n" in methods.method_page(method)


def test_a_task_s_page_says_what_is_zeros() -> None:
    page = tasks.task_page(TASKS_BY_ID["reach"])
    assert "| 10–12 | other object position | 0.2 | zeros: the task has none |" in page
    assert "| 0–2 | hand position | 0.2 |  |" in page
    hammer = tasks.task_page(TASKS_BY_ID["hammer"])
    assert "zeros" not in hammer
    assert "Only the hammer moves the nail" in hammer


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_a_task_has_a_small_picture(task: Any) -> None:
    picture = DOCS / "pictures" / "tasks" / f"{task.id}.webp"
    assert 1_000 < picture.stat().st_size < 30_000


def test_the_concepts_are_filled_from_a_real_run() -> None:
    page = concepts.filled((DOCS / "concepts.md").read_text(encoding="utf-8"))
    assert "{{" not in page
    assert page.count("<svg") == 8  # for a desktop and for a phone
    assert f"here {concepts.run().metrics.average_success:.2f}." in page
    for metric in RUN_METRICS:
        assert f"`{metric.name}`" in page
    with pytest.raises(UserError, match=r"unknown metric 'no\.such'"):
        concepts.filled("{{ value no.such }}")
    with pytest.raises(KeyError):
        concepts.filled("{{ picture forgetting }}")


def test_the_run_s_numbers_are_those_that_it_was_trained_to() -> None:
    seen = 0
    for metric in RUN_METRICS:
        there: Any = concepts.told().model_dump()
        for part in metric.name.split("."):
            there = there.get(part) if isinstance(there, dict) else None
        if there is not None:
            seen += 1
            assert concepts.run().metrics.value(metric.name) == pytest.approx(there, abs=1e-12), metric.name
    assert seen > 5


# Published data --------------------------------------------------------------------------------------------

Publish = Callable[..., None]


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Publish:
    """Puts made-up rows in the place of what clrobot ships; without any, empty files."""
    found = {
        "results": (published, "RESULTS", Result),
        "references": (published, "REFERENCES", Reference),
        "tries": (benchmarks, "TUNING", Trial),
    }

    def put(what: str, *rows: Any) -> None:
        module, name, kind = found[what]
        file = tmp_path / f"{what}-{len(list(tmp_path.iterdir()))}.csv"
        file.write_text(rows_text(rows, kind), encoding="utf-8")
        monkeypatch.setattr(module, name, file)

    for what in found:
        put(what)
    (tmp_path / "transfer.csv").write_text(transfer_text([]), encoding="utf-8")
    monkeypatch.setattr(benchmarks, "TRANSFER", tmp_path / "transfer.csv")
    monkeypatch.setattr(benchmarks, "SPEED", tmp_path / "speed.json")
    return put


def curve(points: str, seed: int = 0, task: str = "push", world: str = "", algo: str = "ppo") -> Reference:
    """A training of a task alone."""
    learner = settings_text(learner_settings(make_config(algo=algo)))
    which = {"task": task, "world": world, "settings": learner, "seed": seed, "curve": points, "steps": 65_536}
    return Reference(**which, evaluation_seed=2_000_000, episodes=20, **MADE)


def test_what_is_not_published_is_not_measured(publish: Publish) -> None:
    assert published.result("ewc") == published.NOT_MEASURED
    assert published.steps_to("reach", 0.9) == published.NOT_MEASURED
    page = benchmarks.benchmarks()
    assert published.NOT_MEASURED in page
    headings = [line for line in page.splitlines() if line.startswith("#")]
    assert headings == ["# Benchmarks", "## Make your own"]


def test_steps_are_the_median_over_seeds_of_the_default_learner(publish: Publish) -> None:
    publish(
        "references",
        curve("0:0 8192:0.5 16384:1", 0),
        curve("0:0 8192:0.95 16384:1", 1),
        curve("0:0 8192:0 16384:0.2 24576:0.9", 2),
        curve("0:1", 3, world="overrides.object.friction=0.3"),
        curve("0:1", 4, algo="sac"),
    )
    assert published.steps_to("push", 0.9) == "16,384 control steps (median of 3 seeds)"
    assert published.steps_to("push", 0.97) == "reached by 2 of 3 seeds"
    assert published.steps_to("reach", 0.9) == published.NOT_MEASURED
    page = benchmarks.benchmarks()
    assert "| [push](tasks/push.md) | 8,192 control steps (median of 3 seeds) | 16,384 " in page
    assert "tasks/reach.md" not in page


def test_the_shipped_references_are_found() -> None:
    shipped = {row.task for row in read_rows(references.FILE, Reference, references.WHAT) if not row.world}
    assert shipped
    for task in TASKS:
        assert (published.steps_to(task.id, 0.5) != published.NOT_MEASURED) == (task.id in shipped)


def test_results_of_every_curriculum_are_drawn(publish: Publish) -> None:
    rows = [made(seed, method, average_success=success) for seed, method, success in FOUR]
    sac = made(10, "ewc", settings="ewc.strength=0.5")
    other = made(10, "ewc", curriculum="theirs", stages=stages_text(make_config(curriculum="quick")))
    publish("results", *(row for run in [*rows, sac, other] for row in run))
    page = benchmarks.benchmarks()
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings == ["## How it is measured", "## quick", "## theirs", "## Make your own"]
    assert "| [finetune](methods/finetune.md) | 2 | 0.60 [0.00, 1.00] |" in page
    assert "| [ewc](methods/ewc.md) (ewc.strength=0.5) | 1 | 0.90 |" in page
    assert "seeds 10–11;" in page
    assert "less finetune, by seed" in page
    assert "| memory |" in page
    assert "Reach for 40,000 steps, then" in page
    assert page.count('aria-label="methods on') == page.count('aria-label="success on each task') == 4  # two sizes
    assert page.count("<svg") == 8
    assert published.NOT_MEASURED not in page
    lines = published.result("ewc").splitlines()
    assert [line for line in lines if line.startswith("On ")] == [
        "On [quick](../benchmarks.md#quick):",
        "On [theirs](../benchmarks.md#theirs):",
    ]
    assert "| [ewc](ewc.md) | 2 | 0.85 [0.21, 1.00] |" in "\n".join(lines)
    assert "finetune" not in published.result("ewc")
    assert published.result("si") == published.NOT_MEASURED


FOUR = ((10, "finetune", 0.5), (11, "finetune", 0.7), (10, "ewc", 0.8), (11, "ewc", 0.9))


def test_tries_are_shown_and_kept_apart_from_what_is_reported(publish: Publish) -> None:
    apart = "None of these seeds was among the tries"
    publish(
        "results", *(row for seed, method, success in FOUR for row in made(seed, method, average_success=success))
    )
    publish("tries", trial(curriculum="quick", seed=100), trial(seed=100), trial(seed=101))
    page = benchmarks.benchmarks()
    assert apart in page
    assert "Tries on quick, val5, seeds 100–101;" in page
    assert "| val5 | ewc | ewc.strength | 0.05 | 2 |" in page
    publish("tries", trial(curriculum="quick", seed=11))
    assert apart not in benchmarks.benchmarks()


def test_the_transfer_matrix_is_shown_when_there_is_one(publish: Publish) -> None:
    assert "## What helps what" not in benchmarks.benchmarks()
    rest = {
        "area": 0.5,
        "area_alone": 0.4,
        "trained_alone": 10,
        "final": 1,
        "steps": 9,
        "steps_before": 9,
        "budget": 60_000,
        "version": "1",
    }
    pairs = (("push", "reach", -0.1), ("stack", "reach", 0.25), ("reach", "push", 0.5))
    rows = [TransferRow(source=i, target=j, ft=ft, seed=seed, **rest) for i, j, ft in pairs for seed in (0, 1)]
    benchmarks.TRANSFER.write_text(transfer_text(rows), encoding="utf-8")
    page = benchmarks.benchmarks()
    assert "seeds 0–1, over 60,000 control steps" in page
    assert "A cell is a training for each seed, beside the task alone: the mean of 10 references." in page
    lines = page.partition("## What helps what")[2].splitlines()
    assert [line for line in lines if line.startswith("| ")][1:] == [
        "| push | reach | +0.50 |",
        "| reach | stack | +0.25 |",
    ]
    assert page.count("<svg") == 2


def test_the_page_shows_the_speed_that_was_measured(publish: Publish) -> None:
    assert "## Speed" not in benchmarks.benchmarks()
    benchmarks.SPEED.write_text(json.dumps(speed()), encoding="utf-8")
    page = benchmarks.benchmarks().partition("## Speed")[2]
    assert "a machine of 2 cores (x86_64), the simulations on all of them; clrobot at `0123456789abcdef`" in page
    assert "physics 1, mujoco 4.0.0." in page
    assert "| reach | 30,000 | 32,000 | 94 % |" in page
    assert "PPO on pick-place, 128 simulations: 9,000 control steps a second (physics 40 %, rest 60 %)" in page
    assert "takes 2.50 ms, 1.25 times its matrix products and tanh alone (2.00 ms)" in page
    assert "40 ms here, 12.5 ms in MetaWorld/Reach-v3." in page
    assert "| reach | 30,000 | MetaWorld/Reach-v3 | 6,000 | 5.0 | 16.0 |" in page
    assert "| reach | 2.0 | 3 of 3 | 40 | 3 of 3 | 20.0 |" in page
    assert "| drawer-open | 5.0 | 3 of 3 | – | 1 of 3 | – |" in page
    benchmarks.SPEED.write_text(json.dumps(speed(skills=False)), encoding="utf-8")
    assert "A step is not a skill" not in benchmarks.benchmarks()


def test_what_others_published_stands_beside_it(publish: Publish) -> None:
    publish("results", *made(curriculum="cw10", method="distillation", average_success=0.75))
    assert "## cw20" not in benchmarks.benchmarks(), "of a curriculum that nothing is published of, nor is theirs"
    section = benchmarks.benchmarks().partition("### Published elsewhere")[2].partition("## Make your own")[0]
    assert "learned by SAC" in section
    assert "| EWC | 0.64 | 0.06 | 0.04 | Wołczyk et al. 2022 |" in section
    assert section.count("Wołczyk") == 9


def test_their_figures_are_where_success_less_forgetting_can_be() -> None:
    """P is what was learned less what was forgotten, so P + F is at most 1."""
    figures = [figure for name in ("cw10", "cw20") for figure in read_literature(name)]
    assert len(figures) == 18
    assert all(figure.average_success + (figure.forgetting or 0.0) <= 1.0 for figure in figures)
    assert read_literature("cr4") == []
