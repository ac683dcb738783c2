"""Checkpoints that somebody made by hand, with checksums that agree: "damaged", in one sentence of every verb.

A reader adds an attack by one line in FORGERIES.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.forging import Forgery, Tensors, doubles, fields, filled, lacking, misshapen, tensors, without_one
from support.models import forge_manifest

import clrobot.manifests
from clrobot.errors import UserError
from clrobot.manifests import checksum
from clrobot.runs.checkpoint import load_agent
from clrobot.runs.folder import RunFolder

Cli = Callable[..., Any]
WEIGHTS, INFO = "weights.safetensors", "checkpoint.json"


def cast_to_whole_numbers(held: Tensors) -> None:
    for name in held:
        held[name] = held[name].long()


FORGERIES: dict[str, Forgery] = {
    "weights: one is missing": tensors(WEIGHTS, without_one),
    "weights: one more": tensors(WEIGHTS, lambda held: held.update(more=held[min(held)].clone())),
    "weights: other shapes": tensors(WEIGHTS, misshapen),
    "weights: none": tensors(WEIGHTS, dict.clear),
    "weights: doubles": tensors(WEIGHTS, doubles),
    "weights: whole numbers": tensors(WEIGHTS, cast_to_whole_numbers),
    "weights: 3e38": tensors(WEIGHTS, filled(3e38)),
    "weights: infinite": tensors(WEIGHTS, filled(-math.inf)),
    "weights: not a number": tensors(WEIGHTS, filled(math.nan)),
    "step: 10^30": fields(INFO, step=10**30),
    "step: 10^400": fields(INFO, step=10**400),
    "step: below zero": fields(INFO, step=-1),
    "step: text": fields(INFO, step="1"),
    "step: missing": lacking(INFO, "step"),
    "updates: none": fields(INFO, updates=None),
    "slots: 10^30": fields(INFO, slots=10**30),
    "slots: one less": fields(INFO, slots=2),
    "observations: of two numbers": fields(INFO, observation_size=2),
    "observations: 10^12": fields(INFO, observation_size=10**12),
    "actions: 10^9": fields(INFO, action_size=10**9),
    "configuration: a number": fields(INFO, config=1),
}

VERBS = {
    "evaluate": ["evaluate", "RUN", "--stage", "3", "--episodes", "1"],
    "record": ["record", "RUN", "--stage", "3", "--episodes", "1"],
    "a grid": ["record", "RUN", "--grid", "--task", "reach", "--stage", "3"],
    "export": ["export", "RUN", "--stage", "3"],
    "export sb3": ["export", "RUN", "--stage", "3", "--format", "sb3", "--task", "reach"],
    "extend": ["extend", "RUN", "--task", "push", "--steps", "64"],
}


def forged(attack: str, run: Path, stage: int = 3) -> Path:
    folder = run / f"stage_{stage:02d}"
    FORGERIES[attack](folder)
    forge_manifest(folder)
    return run


@pytest.mark.parametrize("attack", FORGERIES)
def test_a_forged_checkpoint_is_damaged_in_one_sentence(attack: str, tiny_copy: Path, cli: Cli) -> None:
    forged(attack, tiny_copy)
    before = sorted(tiny_copy.parent.rglob("*"))
    for verb, words in VERBS.items():
        done = cli(*(str(tiny_copy) if word == "RUN" else word for word in words))
        assert done.code == 2, (verb, done)
        assert done.err.startswith("clrobot: ")
        assert done.err.count("\n") == 1
        assert "damaged" in done.err, (verb, done)
        assert "stage_03" in done.err
    assert sorted(tiny_copy.parent.rglob("*")) == before


@pytest.mark.parametrize("attack", FORGERIES)
def test_the_last_whole_one_is_used_in_its_place(attack: str, tiny_copy: Path) -> None:
    warnings: list[str] = []
    agent = load_agent(RunFolder.open(forged(attack, tiny_copy)), warn=warnings.append)
    assert agent.stage == 2
    assert len(warnings) == 1
    assert warnings[0].isprintable()


@pytest.mark.parametrize("name", ["weights.safetensors", "method.safetensors", "checkpoint.json", "more"])
def test_twenty_gigabytes_of_nothing_are_not_hashed(
    name: str, tiny_copy: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sparse file takes no place on the disk, and its checksum, which anybody may know, takes a minute."""
    (tiny_copy / "stage_03" / name).touch()
    forge_manifest(tiny_copy / "stage_03")
    os.truncate(tiny_copy / "stage_03" / name, 20 * 2**30)
    hashed: list[int] = []

    def noted(path: Path) -> str:
        hashed.append(path.stat().st_size)
        return checksum(path)

    monkeypatch.setattr(clrobot.manifests, "checksum", noted)
    done = cli("evaluate", tiny_copy, "--stage", "3", "--episodes", "1")
    assert (done.code, done.err.count("\n")) == (2, 1), done
    assert f"{name} is damaged (it has 21,474,836,480 bytes" in done.err
    assert max(hashed, default=0) < 2**20


def test_a_manifest_lists_no_thousand_files(tiny_copy: Path, cli: Cli) -> None:
    for n in range(200):
        (tiny_copy / "stage_03" / f"more-{n}").touch()
    forge_manifest(tiny_copy / "stage_03")
    assert "it lists 203 files" in cli("evaluate", tiny_copy, "--stage", "3", "--episodes", "1").err


def test_a_memory_that_is_none_stops_only_who_needs_it(tiny_copy: Path, cli: Cli) -> None:
    tensors("method.safetensors", misshapen)(tiny_copy / "stage_03")
    forge_manifest(tiny_copy / "stage_03")
    assert cli("evaluate", tiny_copy, "--episodes", "1", "--task", "reach").code == 0
    done = cli("extend", tiny_copy, "--task", "push", "--steps", "64", "--out", "longer")
    assert (done.code, done.err.count("\n")) == (2, 1), done
    assert "damaged" in done.err


def test_weights_that_only_some_observations_make_infinite_are_a_sentence(tiny_copy: Path, cli: Cli) -> None:
    """Found when it acts; here every weight is of one size, and half of them cancel in what is tried first."""
    run = RunFolder.open(tiny_copy)
    agent = load_agent(run)

    def act(*_: Any, **__: Any) -> Any:
        raise ValueError("Expected parameter loc to satisfy the constraint Real()")

    agent.policy._predict = act  # type: ignore[method-assign]
    with pytest.raises(UserError, match="the agent's actions are no numbers"):
        agent.evaluate("reach", 1)


def test_an_agent_of_another_robot_is_a_sentence(tiny_copy: Path) -> None:
    agent = load_agent(RunFolder.open(tiny_copy))
    agent.policy.observation_space = type(agent.policy.observation_space)(-1, 1, (7,))  # type: ignore[call-arg]
    with pytest.raises(UserError, match="the agent's sizes are"):
        agent.evaluate("reach", 1)


def test_what_builds_a_network_is_believed_only_as_far_as_its_weights_go(tiny_copy: Path, cli: Cli) -> None:
    """32 layers of as many units as there are weights in all would fill gigabytes."""
    folder = tiny_copy / "stage_03"
    text = (tiny_copy / "config.yaml").read_text()
    assert "  - 8\n" in text
    (tiny_copy / "config.yaml").write_text(text.replace("  - 8\n", "  - 2000\n" * 32))
    fields(INFO, config=checksum(tiny_copy / "config.yaml"))(folder)
    tensors(WEIGHTS, lambda held: held.update(more=held[min(held)].new_zeros(3000)))(folder)
    shutil.rmtree(tiny_copy / "stage_02")
    shutil.rmtree(tiny_copy / "stage_01")
    forge_manifest(folder)
    forge_manifest(tiny_copy)
    done = cli("evaluate", tiny_copy, "--stage", "3", "--episodes", "1")
    assert done.code == 2
    assert "sizes that its weights do not have" in done.err
