"""`clrobot bench --envpool`: what both sides are asked to do, on a stand-in for EnvPool and on EnvPool itself."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from clrobot.benchmarks import bench
from clrobot.benchmarks.against_envpool import PAIRS, check_envpool, envpool_simulations, envpool_speed, show_speed
from clrobot.envs.scene.arm import CONTROL_STEP
from clrobot.envs.simulation import state
from clrobot.envs.tasks.reach import Reach
from clrobot.errors import UserError
from clrobot.terminal import LiteralConsole


def printed(result: Mapping[str, Any]) -> list[str]:
    out = io.StringIO()
    show_speed(result, LiteralConsole(out, width=80))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    return lines


def test_both_sides_step_as_many_simulations_and_time_is_simulated_time(envpool_python: Path) -> None:
    result = envpool_speed(envpool_python, 4, 0.01)
    assert result["versions"] == {"envpool": "1.2.5"}
    assert [(pair["task"], pair["envpool_task"]) for pair in result["pairs"]] == [tuple(pair) for pair in PAIRS]
    for pair in result["pairs"]:
        panda = "Panda" in pair["envpool_task"]
        assert pair["envpool_control_step"] == pytest.approx(0.02 if panda else 0.0125)
        assert pair["envpool_horizon"] == (150 if panda else 500)
        assert pair["threads"] == min(state.usable_cores(), 4)
        own, other = pair["env_steps_per_second"], pair["envpool_steps_per_second"]
        assert pair["ratio"] == pytest.approx(own / other, abs=0.01)
        assert pair["env_simulated_per_second"] == pytest.approx(own * CONTROL_STEP, abs=0.1)
        assert pair["simulated_ratio"] == pytest.approx(
            own * CONTROL_STEP / (other * pair["envpool_control_step"]), abs=0.01, rel=0.01
        )
    lines = printed(result)
    assert sum("PandaPickCube-v1" in line for line in lines) == 1


def test_resets_are_no_control_steps(envpool_python: Path) -> None:
    with envpool_simulations(envpool_python) as neighbour:
        opened = neighbour.ask(open="MetaWorld/Reach-v3", num_envs=3, threads=1)
        whole = neighbour.ask(calls=opened["horizon"])
        assert whole["steps"] == 3 * opened["horizon"]
        assert neighbour.ask(calls=1)["steps"] == 0
        assert neighbour.ask(calls=2)["steps"] == 6
        assert whole["seconds"] > 0


@pytest.mark.parametrize("old", ["1.1.1", "0.8.4", "1.1"])
def test_an_envpool_without_the_tasks_is_refused(old: str, envpool_python: Path) -> None:
    (envpool_python.parent / "site" / "VERSION").write_text(old)
    with pytest.raises(UserError, match=f"its EnvPool is {old}, .* expected 1.2 or later"):
        check_envpool(envpool_python)


@pytest.mark.parametrize("version", ["1.2.7", "1.10.0", "2.0rc1"])
def test_a_later_envpool_is_taken(version: str, envpool_python: Path) -> None:
    (envpool_python.parent / "site" / "VERSION").write_text(version)
    assert check_envpool(envpool_python) == version


def test_a_python_without_envpool_is_one_sentence(envpool_python: Path, cli: Callable[..., Any]) -> None:
    (envpool_python.parent / "site" / "envpool.py").write_text("import no_module_of_this_name\n")
    for python, reason in (
        (Path("nowhere"), "No such file or directory"),
        (envpool_python.parent, "Permission denied"),
        (envpool_python, "ModuleNotFoundError: No module named 'no_module_of_this_name'"),
    ):
        outcome = cli("bench", "--envpool", python)
        assert outcome.code == 2
        assert outcome.out == ""
        wanted = "give a Python that can import envpool 1.2 or later"
        assert outcome.err == f"clrobot: --envpool {python}: {reason}; {wanted}\n"


def test_bench_writes_it_into_its_json(envpool_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "TASKS_BY_ID", {"reach": Reach})
    monkeypatch.setattr(bench, "_ROUNDS", 1)
    path = tmp_path / "bench.json"
    found = bench.run_bench(4, 0.01, "reach", None, path, LiteralConsole(io.StringIO()), envpool=envpool_python)
    assert json.loads(path.read_text()) == found
    assert len(found["envpool"]["pairs"]) == len(PAIRS)


@pytest.mark.envpool
def test_envpool_itself() -> None:
    """In the Python that CLROBOT_ENVPOOL names, by default this one."""
    python = Path(os.environ.get("CLROBOT_ENVPOOL", sys.executable))
    for pair in envpool_speed(python, 4, 0.01)["pairs"]:
        panda = "Panda" in pair["envpool_task"]
        assert pair["envpool_control_step"] == pytest.approx(0.02 if panda else 0.0125)
        assert pair["envpool_horizon"] == (150 if panda else 500)
        assert min(pair["env_steps_per_second"], pair["envpool_steps_per_second"]) > 0
    with envpool_simulations(python) as neighbour:
        neighbour.ask(open="MetaWorld/Reach-v3", num_envs=3, threads=1)
        assert neighbour.ask(calls=500)["steps"] == 1500
        assert neighbour.ask(calls=1)["steps"] == 0
