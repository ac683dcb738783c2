"""What the page on EnvPool shows to be read elsewhere is run where EnvPool is."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from making.blocks import blocks

from clrobot.envs.worlds import envpool_kind

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "howto" / "envpool.md"
SHORT = {"bench": ("--seconds", "0.01")}


@pytest.mark.envpool
@pytest.mark.usefixtures("quick_training")
def test_its_commands_work(
    cli: Callable[..., Any], tiny_flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(envpool_kind, "STEPS", 200)
    (block,) = [block for block in blocks(PAGE.read_text(encoding="utf-8")) if block.language == "text"]
    lines = [shlex.split(line) for line in block.text.splitlines()]
    assert lines[0] == shlex.split(envpool_kind.INSTALL)
    for program, verb, *words in lines[1:]:
        assert program == "clrobot"
        assert {"cw10", "envpool:MetaWorld/Reach-v3"} & set(words)
        fewer = ["mw4" if word == "cw10" else word for word in words]
        done = cli(verb, *fewer, *(tiny_flags if verb == "train" else SHORT[verb]))
        assert done.code == 0, done
        assert ("EnvPool's simulations were made anew" in done.out) == (verb == "train")
