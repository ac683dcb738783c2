"""One tiny run, made once, and the command line as a function."""

from __future__ import annotations

import gc
import os

# pytest-xdist runs a process on each core: none of them, nor what they start, may take the others' cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import gymnasium
import pytest

import clrobot.envs.simulation.state
import clrobot.published.references
from clrobot.agents.methods import METHODS_BY_NAME
from clrobot.cli import main
from clrobot.envs.tasks import TASKS_BY_ID
from clrobot.experiment.curricula import CURRICULA

# What starts the tests in the background or under nohup has SIGINT or SIGHUP ignored, which every process that a test
# starts and stops would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

Ships = Callable[..., None]

# Every file that clrobot writes comes by a folder of its own, whose end takes some milliseconds on a disk with a
# journal, and the tests write thousands. No test is about the disk itself, so what they write lies in memory where
# there is room, unless the user has said where.
_MEMORY, _ROOM = "/dev/shm", 2 * 2**30  # bytes
with suppress(OSError):
    _there = os.statvfs(_MEMORY)
    if _there.f_bavail * _there.f_frsize >= _ROOM and not _there.f_flag & os.ST_NOEXEC and "TMPDIR" not in os.environ:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _MEMORY)

# Nothing here fails at a power cut, the one thing that a flush is for; each takes milliseconds, and a tiny training
# has hundreds. It still refuses what is no open file.
os.fsync = os.fstat  # type: ignore[assignment]

if TYPE_CHECKING:
    from support.outcomes import WholeRuns

    from clrobot.published.references import Reference


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest: at the end one process would wait for another."""
    items.sort(key=lambda item: "slow" not in item.keywords)


def pytest_collection_finish() -> None:
    """Look for garbage where there may be some: not in half a million objects of tests, which live to the end.

    That took a tenth of the CPU time of those that train little.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


@pytest.fixture(scope="session", autouse=True)
def one_core_each() -> Iterator[None]:
    """Where a test leaves the threads of the physics open, they take no other test's core."""
    with pytest.MonkeyPatch.context() as patch:
        if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
            patch.setattr(clrobot.envs.simulation.state, "usable_cores", lambda: 1)
        yield


@pytest.fixture(scope="session", autouse=True)
def ships_nothing() -> Iterator[None]:
    """What whole sessions share is made without shipped references too; see `ships`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clrobot.published.references, "shipped", lambda: ())
        yield


@pytest.fixture(autouse=True)
def ships(monkeypatch: pytest.MonkeyPatch) -> Ships:
    """No test depends on what is shipped, which changes: there is none of it, but what a test gives here."""

    def ship(*rows: Reference) -> None:
        monkeypatch.setattr(clrobot.published.references, "shipped", lambda: rows)

    ship()
    return ship


@dataclass(frozen=True)
class Outcome:
    """What one command did."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def tiny_flags() -> tuple[str, ...]:
    """Flags of `clrobot train` that make a run of seconds: 64 steps in an iteration, no films."""
    words = """
        --network.widths 8 --ppo.num-envs 4 --ppo.n-steps 16 --ppo.batch-size 32 --ppo.n-epochs 1 --steps 64
        --evaluation.episodes 2 --evaluation.curve-points 1 --evaluation.curve-episodes 2 --ewc.states 150
        --video.no-enabled --threads 1
    """
    return tuple(words.split())


@pytest.fixture(scope="session")
def tiny_run(tiny_flags: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `quick` with ewc and two iterations in a stage, without films. Only to be read."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    main(["train", "--method", "ewc", *tiny_flags, "--steps", "128", "--out", str(run)])
    return run


@pytest.fixture
def tiny_copy(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the tiny run, to damage."""
    return Path(shutil.copytree(tiny_run, tmp_path / "tiny"))


@pytest.fixture(scope="session")
def whole_runs(tmp_path_factory: pytest.TempPathFactory) -> WholeRuns:
    """A tiny run of each method that was never stopped, which many tests compare with. Only to be read."""
    from support.outcomes import WholeRuns

    return WholeRuns(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def own_registries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers, and what it installs in `sys.path`, is forgotten after it."""
    for registry in (TASKS_BY_ID, METHODS_BY_NAME, CURRICULA):
        for name in ("_registered", "_sources", "_broken"):
            monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
        monkeypatch.setattr(registry, "_found", None)
    before = set(gymnasium.registry)
    yield
    for name in set(gymnasium.registry) - before:
        del gymnasium.registry[name]


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed distributions; what is imported from it is forgotten again."""
    folder, before = tmp_path_factory.mktemp("site"), set(sys.modules)
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name, module in list(sys.modules.items()):
        if name not in before and str(folder) in str(getattr(module, "__file__", None)):
            del sys.modules[name]


@pytest.fixture
def quick_training() -> Iterator[None]:
    """Trainings in this process draw no report, and learn how a task looks from few states."""
    from support.trainings import quickly

    with quickly():
        yield


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """The command, in this process and in an empty working directory, on a terminal of 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: str | Path) -> Outcome:
        capsys.readouterr()
        code = 0
        try:
            main([str(word) for word in words])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run
