"""What a command's words may be wrong in, each said in one sentence; tyro's own words would stand in a frame."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

REFUSED = {
    "train --nonsense 3": "clrobot train has no --nonsense; see clrobot train --help",
    "bench --foo --bar": "clrobot bench has no --foo and no --bar; see clrobot bench --help",
    "train --curiculum cr4": "clrobot train has no --curiculum; did you mean --curriculum?",
    "train --method ewc --ewc.strenght 3": "clrobot train has no --ewc.strenght; did you mean --ewc.strength?",
    "compare runs --episodes": "clrobot compare has no --episodes; see clrobot compare --help",
    "--nonsense": "clrobot has no --nonsense; see clrobot --help",
    "evaluate runs more": "clrobot evaluate takes no 'more' there; see clrobot evaluate --help",
    "train --video.enabled yes": "clrobot train takes no 'yes' there; see clrobot train --help",
    "evaluate": "clrobot evaluate needs RUN (the run's folder); see clrobot evaluate --help",
    "extend runs": "clrobot extend needs --task STR and --steps INT; see clrobot extend --help",
    "evaluate --episodes": "--episodes needs a value; see clrobot evaluate --help",
    "evaluate runs --stage x": "--stage 'x'; expected INT",
    "sweep --seed a": "--seed 'a'; expected INT [INT ...]",
    "compare --format foo runs": "--format 'foo'; expected one of table, markdown, csv, latex, json",
}


@pytest.mark.parametrize("columns", ["40", "80", "200"])
@pytest.mark.parametrize("words", REFUSED)
def test_what_is_wrong_with_the_words_is_one_sentence(
    words: str, columns: str, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    outcome = cli(*words.split())
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"clrobot: {REFUSED[words]}\n")


def test_of_two_flags_both_are_named_where_either_may_be_meant(cli: Any) -> None:
    assert "--video.no-enabled" in cli("train", "--no-video.enabled").err


@pytest.mark.parametrize("words", ["train --curiculum cr4", "extend runs"])
def test_so_it_is_on_a_terminal_without_frames(words: str) -> None:
    command = [sys.executable, "-m", "clrobot", *words.split()]
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "COLUMNS": "80"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"clrobot: {REFUSED[words]}\n")
