"""What a command's words may be wrong in, each said in one sentence; tyro's own words would stand in a frame."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import Any

import pytest

REFUSED = {
    "train --nonsense 3": "clrobot train has no --nonsense; see clrobot train --help",
    "train --nonsense=3": "clrobot train has no --nonsense; see clrobot train --help",
    "bench --foo --bar": "clrobot bench has no --foo and no --bar; see clrobot bench --help",
    "tasks --seed 3 --fooo 4": "clrobot tasks has no --seed and no --fooo; see clrobot tasks --help",
    "train --curiculum cr4": "clrobot train has no --curiculum; did you mean --curriculum?",
    "train --method ewc --ewc.strenght 3": "clrobot train has no --ewc.strenght; did you mean --ewc.strength?",
    "train --warm-start.choos test": "clrobot train has no --warm-start.choos; did you mean --warm-start.choose?",
    "train --no-video.enabled": "clrobot train has no --no-video.enabled; did you mean --video.enabled?",
    "compare runs --episodes": "clrobot compare has no --episodes; see clrobot compare --help",
    "--nonsense": "clrobot has no --nonsense; see clrobot --help",
    "extend runs --tsak push --steps 3": "clrobot extend has no --tsak; did you mean --task?",
    "evaluate --epsodes 3 runs": "clrobot evaluate has no --epsodes; did you mean --episodes?",
    "evaluate runs more": "clrobot evaluate takes no 'more' there; see clrobot evaluate --help",
    "evaluate runs a,b(c)": "clrobot evaluate takes no 'a,b(c)' there; see clrobot evaluate --help",
    "train --video.enabled yes": "clrobot train takes no 'yes' there; see clrobot train --help",
    "evaluate": "clrobot evaluate needs RUN (the run's folder); see clrobot evaluate --help",
    "extend runs": "clrobot extend needs --task STR and --steps INT; see clrobot extend --help",
    "evaluate --episodes": "--episodes needs a value; see clrobot evaluate --help",
    "evaluate runs --episodes x": "--episodes 'x'; expected INT",
    "evaluate runs --stage=[1]": "--stage '[1]'; expected INT",
    "sweep --seed 1 b": "--seed '1' 'b'; expected INT [INT ...]",
    "extend runs --task push --steps 3 --overrides a b": "--overrides 'a' 'b'; expected STR FLOAT [STR FLOAT ...]",
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


def test_a_word_may_be_empty(cli: Any) -> None:
    """As a shell's variable that is not set."""
    assert (
        cli("evaluate", "runs", "").err
        == "clrobot: clrobot evaluate takes no '' there; see clrobot evaluate --help\n"
    )


@pytest.mark.parametrize("words", ["train --curiculum cr4", "extend runs"])
def test_so_it_is_on_a_terminal_without_frames(words: str) -> None:
    command = [sys.executable, "-m", "clrobot", *words.split()]
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "COLUMNS": "80"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"clrobot: {REFUSED[words]}\n")


@pytest.mark.parametrize("words", ["train --curiculum cr4", "evaluate", "compare --format foo runs"])
def test_and_on_one_with_colours(words: str) -> None:
    keyboard, screen = pty.openpty()
    try:
        command = [sys.executable, "-m", "clrobot", *words.split()]
        environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "80"}
        done = subprocess.run(command, env=environment, stdout=screen, stderr=screen, timeout=60, check=False)
        assert done.returncode == 2
        assert os.read(keyboard, 10_000).decode() == f"clrobot: {REFUSED[words]}\r\n"
    finally:
        os.close(keyboard)
        os.close(screen)
