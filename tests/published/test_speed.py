"""What the bench measured: shipped as it wrote it, drawn into pages, and refused where it is something else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.published import speed

from clrobot.benchmarks.envpool_learning import SEARCH_TASK, STEPS
from clrobot.benchmarks.learning import LEARNED
from clrobot.comparison.readme import blocks
from clrobot.comparison.speed_tables import TABLES, speed_tables
from clrobot.envs.scene.arm import TIME_STEP
from clrobot.errors import UserError
from clrobot.published.speed import read_speed

Cli = Callable[..., Any]
README = Path(__file__).resolve().parent.parent.parent / "README.md"


def page(*names: str) -> str:
    return "".join(f"<!-- table: {name} -->\n<!-- end -->\n" for name in names)


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    path = tmp_path / "speed.json"
    path.write_text(json.dumps(speed()))
    return path


def test_a_page_s_blocks_are_what_was_measured(measured: Path) -> None:
    beside, skills, tasks = (
        block.drawn.strip().splitlines()
        for block in blocks(page("speed", "speed skills", "speed tasks"), speed=measured)
    )
    assert beside == [
        "| clrobot | steps a second | EnvPool | steps a second | ratio | of simulated time |",
        "|---|---:|---|---:|---:|---:|",
        "| reach | 30,000 | MetaWorld/Reach-v3 | 6,000 | 5.0 | 16.0 |",
    ]
    assert skills[2:] == [
        "| reach | 2.0 | 3 of 3 | 40 | 3 of 3 | 20.0 |",
        "| drawer-open | 5.0 | 3 of 3 | – | 1 of 3 | – |",
    ]
    assert tasks[2:] == ["| reach | 30,000 | 32,000 | 94 % |"]


def test_the_command_draws_them(measured: Path, tmp_path: Path, cli: Cli) -> None:
    text = tmp_path / "PAGE.md"
    text.write_text(page("speed"))
    assert cli("tables", text, "--speed", measured, "--check").code == 1
    assert cli("tables", text, "--speed", measured).code == 0
    assert "| 6,000 | 5.0 | 16.0 |" in text.read_text()
    assert cli("tables", text, "--speed", measured, "--check").code == 0


def test_what_was_not_measured_is_refused(measured: Path) -> None:
    measured.write_text(json.dumps(speed(skills=False)))
    with pytest.raises(UserError, match="'speed skills': it was not measured; clrobot bench --help says how it is"):
        blocks(page("speed skills"), speed=measured)
    with pytest.raises(UserError, match="'speed skils': after speed"):
        blocks(page("speed skils"), speed=measured)


def forged(task: str, **sides: Any) -> str:
    """The bench's figures with other ones of a skill."""
    found = speed()
    found["envpool"]["learning"]["tasks"][task] = sides
    return json.dumps(found)


_LEARNED = {"seeds": 3, "reached": 3, "seconds": 1.0}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"machine": 3}',
        "\xff",
        json.dumps(speed() | {"ppo": None}),
        forged("reach", clrobot=_LEARNED),
        forged("reach", clrobot=_LEARNED | {"seconds": 0.0}, envpool=_LEARNED),
    ],
)
def test_something_else_is_refused(text: str, measured: Path) -> None:
    measured.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"is none that clrobot bench --json wrote .*; measure it again"):
        read_speed(measured)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file or directory; give a file that clrobot bench --json wrote"):
        read_speed(tmp_path / "nowhere.json")


def test_what_is_shipped_can_be_drawn() -> None:
    shipped = read_speed()
    for kind in TABLES if shipped is not None else ():
        assert speed_tables(kind, shipped)


def test_what_the_readme_says_of_its_speeds_is_so() -> None:
    text, shipped = " ".join(README.read_text(encoding="utf-8").split()), read_speed()
    assert shipped is not None
    beside = shipped.envpool
    assert beside is not None
    steps = {pair.envpool_task.partition("/")[0]: f"{1000 * pair.envpool_control_step:g} ms" for pair in beside.pairs}
    assert {pair.threads for pair in beside.pairs} == {2}
    assert f"Two cores, {beside.num_envs} simulations of each" in text
    assert (
        f"a control step is {1000 * beside.control_step:g} ms here, {steps['MetaWorld']} in Meta-World and "
        f"{steps['PandaPickCube-v1']} in Panda: a physics step {1000 * TIME_STEP:g} ms here, and 2.5 ms in "
        "Meta-World:"
    ) in text
    assert beside.learning is not None
    assert {side.seeds for sides in beside.learning.tasks.values() for side in (sides.clrobot, sides.envpool)} == {3}
    assert f"a success of {f'{LEARNED:g}'.lstrip('0')}, medians of three seeds" in text
    assert f"a short search on {SEARCH_TASK} (such" in text
    assert STEPS == 1_000_000
    assert "gave up, after a million steps" in text
