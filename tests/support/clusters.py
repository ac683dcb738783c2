"""A small study for a cluster to train, and the same runs trained one after another in this process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clrobot.files import at_home
from clrobot.studies.plan import Plan
from clrobot.studies.study_file import read_study
from clrobot.training.training import train
from support.outcomes import outcome

STUDY = """
name: small
curricula: [two.yaml]
methods: METHODS
seeds: [0, 1]
settings:
  network.widths: [[8, 8]]
  ppo.num_envs: 4
  ppo.n_steps: 16
  ppo.batch_size: 32
  ppo.n_epochs: 2
  evaluation.episodes: 2
  evaluation.curve_points: 2
  evaluation.curve_episodes: 2
  video.enabled: false
  checkpoint.seconds: 0.0
"""
METHODS = "{finetune: {}, ewc: {states: 150}, replay: {memory: 200}}"
CURRICULUM = "name: two\nstages: [{task: reach, steps: 1536}, {task: push, steps: 1536}]\n"


def write_study(folder: Path, methods: str = METHODS) -> Path:
    """Write the study's file; return its path."""
    (folder / "two.yaml").write_text(CURRICULUM)
    (folder / "study.yaml").write_text(STUDY.replace("METHODS", methods))
    return folder / "study.yaml"


def one_after_another(file: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """Train the runs of a study here; return what must be the same, by the runs' names."""
    found = {}
    for planned in plans(file, folder):
        run = train(planned.config.model_copy(update={"threads": 1}), folder / planned.folder.name)
        found[planned.folder.name] = outcome(run.path)
    return found


def plans(file: Path, out: Path) -> list[Plan]:
    return read_study(file, at_home(out)).plans


@contextmanager
def studying(file: Path, out: Path, *words: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `clrobot study` in a process of its own, which is not left behind."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "clrobot",
        "study",
        str(file),
        "--out",
        str(out),
        "--no-references",
        *words,
    ]
    with (
        log.open("wb") as output,
        subprocess.Popen([*command, *words], stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def begun(out: Path) -> set[str]:
    """The names of the runs that a snapshot was taken of, and which are not finished."""
    return {path.parent.name for path in out.glob("*/resume") if any(path.iterdir())}


def snapshots(out: Path) -> set[Path]:
    """Those that the runs have now."""
    return set(out.glob("*/resume/step_*"))


def wait_until(there: Callable[[], object], process: subprocess.Popen[bytes], seconds: float = 240.0) -> None:
    """Wait for something that a study does, as long as it runs."""
    end = time.monotonic() + seconds
    while not there():
        assert process.poll() is None, "the study ended before that"
        assert time.monotonic() < end
        time.sleep(0.05)
