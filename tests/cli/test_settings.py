"""What `clrobot train` makes of a file, a curriculum and flags given together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clrobot.cli.settings
from clrobot.errors import UserError
from clrobot.experiment.config import RunConfig, make_config

Cli = Callable[..., Any]


@pytest.fixture
def asked(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunConfig]:
    """What `clrobot train` with these words would train."""
    found: list[RunConfig] = []

    def keep(config: RunConfig, out: Path, console: object) -> None:
        found.append(config)
        raise UserError("enough")

    monkeypatch.setattr(clrobot.cli.settings, "train_run", keep)

    def ask(*words: object) -> RunConfig:
        assert "enough" in cli("train", *words).err
        return found[-1]

    return ask


def test_a_curriculum_beside_a_file_is_as_in_the_file(asked: Callable[..., RunConfig], tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("curriculum: pusher2\nsteps: 5000\nseed: 4\n")
    (tmp_path / "b.yaml").write_text("curriculum: pusher2\nppo: {gamma: 0.5}\n")
    for words in (("--curriculum", "quick", "--config", "a.yaml"), ("--config=a.yaml", "--curriculum=quick")):
        found = asked(*words)
        assert found == make_config(curriculum="quick", steps=5000, seed=4)
        assert {stage.steps for stage in found.curriculum.stages} == {5000}
    assert asked("--config", "a.yaml", "--curriculum", "quick", "--steps", "64").curriculum.stages[0].steps == 64
    assert asked("--config", "a.yaml") == make_config(curriculum="pusher2", steps=5000, seed=4)
    # What pusher2 asks for is not quick's; what the file says stays.
    assert asked("--config", "b.yaml", "--curriculum", "quick") == make_config(curriculum="quick", ppo={"gamma": 0.5})


def test_of_a_flag_given_twice_the_last_counts(asked: Callable[..., RunConfig], tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("seed: 4\n")
    (tmp_path / "b.yaml").write_text("seed: 5\n")
    assert asked("--curriculum", "pusher2", "--curriculum", "quick") == make_config(curriculum="quick")
    assert asked("--curriculum=quick", "--curriculum=pusher2") == make_config(curriculum="pusher2")
    assert asked("--config", "a.yaml", "--config", "b.yaml") == make_config(seed=5)
