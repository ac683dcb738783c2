"""The pages that are made say what the code and the published data say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from making import concepts, methods, published, tasks
from making.markdown import prose, table

from clrobot.agents.methods import METHODS_BY_NAME
from clrobot.envs.tasks import TASKS, TASKS_BY_ID
from clrobot.errors import UserError
from clrobot.results.catalogue import RUN_METRICS

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
    assert page.count("<svg") == 4
    assert f"here {concepts.run().metrics.average_success:.2f}." in page
    for metric in RUN_METRICS:
        assert f"`{metric.name}`" in page
    with pytest.raises(UserError, match=r"unknown metric 'no\.such'"):
        concepts.filled("{{ value no.such }}")
    with pytest.raises(KeyError):
        concepts.filled("{{ picture forgetting }}")


def test_the_run_s_numbers_are_those_that_it_was_trained_to() -> None:
    for metric in RUN_METRICS:
        there: Any = concepts.told()
        for part in metric.name.split("."):
            there = there.get(part) if isinstance(there, dict) else None
        if there is not None:
            assert concepts.run().metrics.value(metric.name) == pytest.approx(there, abs=1e-12), metric.name


# Published data --------------------------------------------------------------------------------------------


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, str]]]:
    """Published tables, made up; none at first."""
    found: dict[str, list[dict[str, str]]] = {}
    monkeypatch.setattr(published, "rows", lambda name: found.get(name, []))
    return found


def test_what_is_not_published_is_not_measured(data: dict[str, list[dict[str, str]]]) -> None:
    assert published.result("ewc") == published.NOT_MEASURED
    assert published.steps_to("reach", 0.9) == published.NOT_MEASURED
    assert published.NOT_MEASURED in published.benchmarks()


def test_steps_are_the_median_over_seeds(data: dict[str, list[dict[str, str]]]) -> None:
    def row(curve: str, world: str = "", settings: str = "algo=ppo ppo.gamma=0.95") -> dict[str, str]:
        return {"task": "push", "world": world, "settings": settings, "curve": curve}

    data["references.csv"] = [
        row("0:0 8192:0.5 16384:1"),
        row("0:0 8192:0.95 16384:1"),
        row("0:0 8192:0 16384:0.2 24576:0.9"),
        row("0:1", world="object.friction=0.3"),
        row("0:1", settings="algo=sac"),
    ]
    assert published.steps_to("push", 0.9) == "16,384 control steps (median of 3 seeds)"
    assert published.steps_to("push", 0.97) == "reached by 2 of 3 seeds"
    assert published.steps_to("reach", 0.9) == published.NOT_MEASURED


def test_results_are_means_over_seeds_with_what_differs(data: dict[str, list[dict[str, str]]]) -> None:
    def row(metric: str, value: str, seed: int, **others: str) -> dict[str, str]:
        usual = {"curriculum": "cr4", "method": "ewc", "algo": "ppo", "settings": "", "stage": "", "task": ""}
        return usual | {"metric": metric, "value": value, "seed": str(seed)} | others

    data["results.csv"] = [
        *(row("average_success", value, seed) for seed, value in enumerate(("0.5", "0.7"))),
        row("forgetting", "", 0),  # undefined
        row("learned", "0.125", 0, stage="1", task="reach"),  # of one task
        row("average_success", "0.25", 0, settings="ewc.strength=0.5", algo="sac"),
        row("average_success", "1", 0, method="theirs"),
    ]
    lines = published.result("ewc").splitlines()[2:]
    assert lines == [
        "| cr4 | default | 2 | 0.60 [0.00, 1.00] | – | – | – | – |",
        "| cr4 | `algo=sac ewc.strength=0.5` | 1 | 0.25 | – | – | – | – |",
    ]
    page = published.benchmarks()
    assert published.NOT_MEASURED not in page
    assert "[ewc](methods/ewc.md)" in page
    assert "| theirs | default | 1 | 1.00 |" in page
    assert page.count("<svg") == 1
    assert published.result("si") == published.NOT_MEASURED


def test_a_table_aligns_numbers() -> None:
    assert table(("a", "b"), [("x", "1")], numbers=(1,)) == "| a | b |\n| --- | ---: |\n| x | 1 |"
