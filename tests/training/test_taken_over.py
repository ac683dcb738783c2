"""A training that was paused for long, on a disk without locks, and finds that another has its run."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest
from support.trainings import TINY

import clrobot.training.after_stage
import clrobot.training.training
from clrobot.experiment.config import make_config
from clrobot.experiment.config_file import dump_config
from clrobot.runs.lock import LOCK
from clrobot.runs.score_book import ScoreBook
from clrobot.training.saver import Saver

PLACES = [
    (Saver, "save"),
    (ScoreBook, "append"),
    (clrobot.training.after_stage, "save_checkpoint"),
    (clrobot.training.training, "write_metrics"),
]


@pytest.mark.parametrize(("where", "name"), PLACES, ids=[name for _, name in PLACES])
def test_it_ends_in_one_sentence_and_writes_nothing_more(
    where: Any, name: str, cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    run, act = tmp_path / "run", getattr(where, name)
    before: dict[Path, bytes] = {}

    def taken_over_while_paused(*arguments: Any) -> Any:
        if not before:
            theirs = json.loads((run / LOCK).read_text()) | {"host": "node7", "boot": "another", "pid": 41}
            (run / LOCK).write_text(json.dumps(theirs))
            before.update(content())
        return act(*arguments)

    def content() -> dict[Path, bytes]:
        """TensorBoard's own files are flushed at the end, each process to one of its own."""
        files = [path for path in run.rglob("*") if path.is_file() and "tensorboard" not in path.parts]
        return {path: path.read_bytes() for path in files}

    monkeypatch.setattr(fcntl, "flock", no_locks)
    monkeypatch.setattr(where, name, taken_over_while_paused)
    one = {"name": "one", "stages": [{"task": "reach", "steps": 64}]}
    config = make_config(**TINY | {"curriculum": one, "steps": None})
    (tmp_path / "config.yaml").write_text(dump_config(config))
    ended = cli("train", "--config", "config.yaml", "--out", "run")
    assert ended.code == 2
    (last,) = [line for line in ended.err.splitlines() if not line.startswith("clrobot: warning: ")]
    assert last.startswith(
        "clrobot: this process was paused or cut off for more than 5 minutes, and run was taken over"
    )
    assert "by process 41 on another machine, node7" in last
    assert content() == before
