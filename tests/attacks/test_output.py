"""Where a command prints: any encoding, a reader that leaves, a full disk. A further verb is one more line here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clrobot.runs.folder import RunFolder

TRAIN = """
    train --method finetune --out OUT --network.widths 8 --ppo.num-envs 4 --ppo.n-steps 16 --ppo.batch-size 32
    --ppo.n-epochs 1 --steps 64 --evaluation.episodes 2 --evaluation.curve-points 0 --video.no-enabled
"""
VERBS = {
    "help": ["--help"],
    "curricula": ["curricula"],
    "compare": ["compare", "RUN"],
    "evaluate": ["evaluate", "RUN", "--episodes", "2"],
    "train": TRAIN.split(),
    "an error": ["evaluate", "no such rün ─ ✓"],
}


def run(verb: str, folder: Path, **how: Any) -> subprocess.CompletedProcess[bytes]:
    words = [word.replace("RUN", str(folder)).replace("OUT", "run") for word in VERBS[verb]]
    how = {"stdout": subprocess.PIPE} | how
    command = [sys.executable, "-m", "clrobot", *words]
    done = subprocess.run(command, stderr=subprocess.PIPE, check=False, timeout=120, **how)
    assert b"Traceback" not in done.stderr, done.stderr
    assert b"Exception ignored" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp437", "utf-8:strict"])
@pytest.mark.parametrize("verb", ["compare", "an error"])
def test_a_terminal_of_any_encoding_shows_what_it_can(verb: str, encoding: str, tiny_run: Path) -> None:
    done = run(verb, tiny_run, env=os.environ | {"PYTHONIOENCODING": encoding})
    assert done.returncode == (2 if verb == "an error" else 0), done.stderr
    assert done.stderr.count(b"\n") == (verb == "an error")
    assert verb == "an error" or b"forgetting" in done.stdout


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "an error"])
def test_a_reader_that_leaves_is_no_mistake(verb: str, tiny_run: Path, tmp_path: Path) -> None:
    """As `| head -1` does; a training goes on to its end."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run(verb, tiny_run, stdout=writing, cwd=tmp_path)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
    assert verb != "train" or RunFolder.open(tmp_path / "run").finished


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "an error"])
def test_a_full_disk_is_one_sentence(verb: str, tiny_run: Path, tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = run(verb, tiny_run, stdout=full, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        b"clrobot: what it prints cannot be written (No space left on device); give it another place\n"
    )
    assert verb != "train" or RunFolder.open(tmp_path / "run").finished
