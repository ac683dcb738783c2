"""The contact sheet of the tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clrobot.envs.simulation.simulation import Simulation
from clrobot.envs.tasks import TASKS, TASKS_BY_ID
from clrobot.films.sheet import draw_pair, play, write_sheet

SIZE = 24  # pixels


@pytest.mark.parametrize("task", ["reach", "push", "stack"])
def test_a_pair_is_a_start_and_a_success(task: str) -> None:
    sim = Simulation(TASKS_BY_ID[task](), 1, threads=1)
    pair = play(sim, 7)
    assert sim.solved_now[0]
    np.testing.assert_array_equal(pair.solved, sim.batch.state[0])
    fresh = Simulation(TASKS_BY_ID[task](), 1, threads=1)
    fresh.seed([7])
    fresh.reset()
    np.testing.assert_array_equal(pair.start, fresh.batch.state[0])


def test_a_task_without_an_expert_shows_its_start_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLROBOT_RENDER", "raycast")
    solved = draw_pair(TASKS_BY_ID["push"], SIZE, 0)
    monkeypatch.setattr(TASKS_BY_ID["push"], "expert", None)
    unsolved = draw_pair(TASKS_BY_ID["push"], SIZE, 0)
    np.testing.assert_array_equal(unsolved[:, :SIZE], solved[:, :SIZE])
    assert np.ptp(unsolved[:, SIZE:].reshape(-1, 3), axis=0).max() == 0


@pytest.mark.parametrize("render", ["raycast", "auto"])
def test_a_pair_shows_two_pictures(render: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLROBOT_RENDER", render)
    picture = draw_pair(TASKS_BY_ID["push"], SIZE, 0)
    assert picture.shape == (SIZE, 2 * SIZE, 3)
    assert picture.std() > 10
    assert (picture[:, :SIZE] != picture[:, SIZE:]).any()


def test_the_sheet_has_a_place_for_every_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLROBOT_RENDER", "raycast")
    path = tmp_path / "new" / "sheet.png"
    three = [TASKS_BY_ID[name] for name in ("reach", "push", "stack")]
    write_sheet(path, three, size=SIZE, columns=2, seed=0)
    with Image.open(path) as image:
        sheet = np.asarray(image.convert("RGB")).astype(int)
    assert list(path.parent.iterdir()) == [path]
    across = 2 * SIZE + 1
    assert sheet.shape[1] == 1 + 2 * across
    down = (sheet.shape[0] - 1) // 2
    for place, task in enumerate(three):
        x, y = 1 + place % 2 * across, 1 + place // 2 * down
        expected = draw_pair(task, SIZE, 0).astype(int)
        assert np.abs(sheet[y : y + SIZE, x : x + 2 * SIZE] - expected).mean() < 8  # few colours
        below = sheet[y + SIZE : y + down - 1, x : x + 2 * SIZE]
        assert below.max() > 150  # its name, in light letters on the dark ground
    empty = sheet[1 + down :, 1 + across :]
    assert np.ptp(empty.reshape(-1, 3), axis=0).max() == 0


def test_the_command_draws_all_tasks(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLROBOT_RENDER", "raycast")
    outcome = cli("sheet", "--size", "16", "--out", "all.png", "--columns", "2")
    assert outcome.code == 0
    assert "all.png" in outcome.out
    with Image.open(tmp_path / "all.png") as image:
        rows = -(-len(TASKS) // 2)
        assert image.height > rows * 16
    assert (tmp_path / "all.png").stat().st_size < 300_000


@pytest.mark.parametrize(
    ("words", "named"), [(["--size", "3"], "--size 3"), (["--columns", "0"], "--columns 0"), (["--seed", "-1"], "-1")]
)
def test_the_command_refuses(words: list[str], named: str, cli: Callable[..., Any], tmp_path: Path) -> None:
    outcome = cli("sheet", *words)
    assert outcome.code == 2
    assert named in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "videos").exists()
