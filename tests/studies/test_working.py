"""At which runs a process works, seen from anywhere."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from clrobot.runs.folder import RunFolder
from clrobot.runs.lock import LOCK, STALE
from clrobot.studies.working import Working


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    (tmp_path / "config.yaml").touch()
    return RunFolder(tmp_path)


def test_a_process_of_this_machine_is_seen_and_its_note_alone_is_none(run: RunFolder) -> None:
    assert not Working().at(run.path)
    run.lock()
    assert Working().at(run.path)
    note = (run.path / LOCK).read_text()
    run.unlock()
    assert not Working().at(run.path)
    (run.path / LOCK).write_text(json.dumps(json.loads(note) | {"began": "1"}))  # a process that is no more
    assert not Working().at(run.path)


@pytest.mark.parametrize(("age", "works"), [(10, True), (STALE + 10, False)])
def test_another_machine_s_is_seen_by_its_heartbeat_and_nothing_is_written(
    age: float, works: bool, run: RunFolder
) -> None:
    run.lock()
    note = json.loads((run.path / LOCK).read_text())
    run.unlock()
    (run.path / LOCK).write_text(json.dumps(note | {"host": "node7", "boot": "another"}))
    touched = time.time() - age
    os.utime(run.path / LOCK, (touched, touched))
    before = run.path.stat().st_mtime_ns
    assert Working().at(run.path) == works
    assert run.path.stat().st_mtime_ns == before
