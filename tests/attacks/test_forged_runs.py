"""Run folders forged at random, through every verb that opens one: a sentence or an answer, and nothing else.

Each run is a whole one, finished or not, in which some field of some file was changed, and every checksum made to
agree. CLROBOT_FORGED=1000 tries a thousand of them; the n-th is the same every time. What a forgery may be is in
`support/forging.py`: a further value, way or text is one more line there.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import gymnasium
import pytest
import yaml
from support.foreign import MIXED, shortly
from support.forging import Forger
from support.outcomes import stopped
from support.trainings import quickly

import clrobot.cli.train
import clrobot.training.training
from clrobot.cli import main

RUNS = int(os.environ.get("CLROBOT_FORGED", "100"))
GROUPS = 10  # of the runs, so that they are shared out among pytest's processes
SECONDS = 60  # after which a verb hangs

# The words, and how often, of a hundred; drawing, filming and training take longest.
VERBS: dict[str, tuple[list[str], int]] = {
    "evaluate": (["evaluate", "RUN", "--task", "reach", "--episodes", "1", "--threads", "1"], 22),
    "evaluate 2": (["evaluate", "RUN", "--task", "reach", "--episodes", "1", "--stage", "2", "--stochastic"], 7),
    "evaluate without labels": (["evaluate", "RUN", "--episodes", "1", "--task-id", "none", "--format", "json"], 1),
    "compare": (["compare", "RUN", "WHOLE"], 12),
    "compare as json": (["compare", "RUN", "--format", "json"], 10),
    "compare as csv": (["compare", "RUN", "WHOLE", "--format", "csv", "--out", "table.csv"], 5),
    "report": (["report", "RUN", "--out", "page.html"], 4),
    "report of two": (["report", "RUN", "WHOLE", "--videos", "embed", "--out", "page.html"], 1),
    "plot": (["plot", "RUN", "--format", "svg", "--out", "plots"], 1),
    "record": (["record", "RUN", "--task", "reach", "--episodes", "1", "--out", "films"], 1),
    "export": (["export", "RUN", "--out", "agent.onnx"], 2),
    "export sb3": (["export", "RUN", "--format", "sb3", "--task", "reach", "--out", "agent.zip"], 5),
    "references": (["references", "RUN", "--store", "references"], 5),
    "resume": (["resume", "RUN"], 20),
    "resume to the end": (["resume", "RUN"], 2),
    "extend": (["extend", "RUN", "--task", "push", "--steps", "64", "--out", "longer"], 2),
}  # fmt: skip

# What a verb may do elsewhere, by Python's audit events: read its own code, its libraries and the system's lists.
_READ = [sys.prefix, sys.base_prefix, str(Path(__file__).resolve().parents[2]), "/proc", "/sys", "/usr", "/lib"]
_READ += ["/etc/localtime", "/etc/mime.types", "/etc/ssl", "/etc/apache2", "/dev/null", "/dev/urandom"]
_WRITTEN = ["/dev/null", *(str(Path.home() / name) for name in (".cache", ".config"))]  # fonts' names
_WRITES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.chmod"}
_STARTS = {"subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.forkpty", "socket.connect"}
_watching: list[Path] = []  # while a verb works: the folder that is its own, and others that it may read
_seen: list[str] = []


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event in _STARTS:
        _seen.append(f"{event} {args!r}")
    elif event == "open" or event in _WRITES:
        for path in args[:2] if event in ("os.rename", "os.symlink", "os.link") else args[:1]:
            if isinstance(path, str | bytes | os.PathLike):
                _judge(event, os.fspath(path), args)


def _judge(event: str, path: str | bytes, args: tuple[Any, ...]) -> None:
    try:
        place = os.path.realpath(os.path.join(_watching[0], os.fsdecode(path)))
    except ValueError:  # no path at all
        return
    if place.startswith(f"{_watching[0]}/") or place == str(_watching[0]):
        return
    writes = event != "open" or bool(args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    allowed = _WRITTEN if writes else [*_READ, *_WRITTEN, *map(str, _watching[1:])]
    if not any(place == known or place.startswith(f"{known}/") for known in allowed):
        _seen.append(f"{event} {place}")


@pytest.fixture(scope="module", autouse=True)
def audit() -> Iterator[None]:
    sys.addaudithook(_audit)  # it cannot be removed, and does nothing outside `watched`
    with pytest.MonkeyPatch.context() as patch, shortly():
        patch.setattr(sys, "dont_write_bytecode", True)
        yield
    del gymnasium.registry["Point-v0"]


@contextmanager
def watched(folder: Path, *read: Path) -> Iterator[None]:
    """Note what happens outside a folder, where others may be read, and end what hangs."""

    def hangs(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"longer than {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(SECONDS)
    _seen.clear()
    _watching[:] = [path.resolve() for path in (folder, *read)]
    try:
        yield
    finally:
        _watching.clear()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def whole(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run and unfinished ones, one of which is within somebody else's world. Only to be read."""
    few = {"evaluation": {"episodes": 2, "curve_points": 1, "curve_episodes": 2}}
    parent = tmp_path_factory.mktemp("unfinished")
    return {
        "finished": tiny_run,
        "ewc": stopped(parent / "ewc", "ewc", boundary=9, **few),
        "replay": stopped(parent / "replay", "replay", boundary=9, **few),
        "worlds": _within_others_world(parent / "worlds", few),
    }


def _within_others_world(folder: Path, few: dict[str, Any]) -> Path:
    curriculum = {"name": "mixed", "pad": True, "stages": [MIXED["stages"][1], MIXED["stages"][2]]}
    return stopped(folder, "ewc", boundary=9, curriculum=curriculum, steps=None, checkpoint={"steps": 128}, **few)


@pytest.fixture
def begin_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """Says whether a training ends where it would begin: a forged configuration may ask for hours."""
    run, summarise = clrobot.training.training.Training.run, clrobot.cli.train.summarise

    def let_go(training: Any) -> Any:
        training._let_go()
        training.learner.model.logger.close()
        return training.folder

    def choose(only: bool) -> None:
        monkeypatch.setattr(clrobot.training.training.Training, "run", let_go if only else run)
        monkeypatch.setattr(clrobot.cli.train, "summarise", (lambda *_: None) if only else summarise)

    monkeypatch.setattr(sys.modules["clrobot.cli.references"], "_train_reference", lambda *_: None)
    with quickly():
        yield choose


def children() -> set[str]:
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has just ended
            found |= set((task / "children").read_text().split())
    return found


def is_shown(character: str) -> bool:
    return character.isprintable() or character == "\n" or unicodedata.category(character) == "Zs"


def is_finished(run: Path) -> bool:
    """Whether the last stage is measured and has its checkpoint, as the files say."""
    if not all((run / name).is_file() for name in ("config.yaml", "metrics.json")):  # the forger makes pipes too
        return False
    stages = len(yaml.safe_load((run / "config.yaml").read_text())["curriculum"]["stages"])
    try:
        done = json.loads((run / "metrics.json").read_text())["stages_done"]
    except RecursionError:  # the forger nests thousands of brackets
        return False
    return bool(done == stages and (run / f"stage_{stages:02d}").is_dir())


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's list of processes")
@pytest.mark.parametrize("group", range(GROUPS))
def test_a_forged_run_is_a_sentence_or_an_answer(
    group: int,
    whole: dict[str, Path],
    begin_only: Callable[[bool], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong, codes = [], set()
    for n in range(group, RUNS, GROUPS):
        folder = tmp_path / str(n)
        folder.mkdir()
        monkeypatch.chdir(folder)
        code, problem = attempt(n, whole, folder, begin_only, capsys)
        codes.add(code)
        if problem:
            wrong.append(problem)
        shutil.rmtree(folder)
    assert not wrong, "\n\n".join([f"{len(wrong)} of {len(range(group, RUNS, GROUPS))}", *wrong])
    assert codes == {0, 2}, "some are harmless, and some are refused"


def attempt(
    n: int,
    whole: dict[str, Path],
    folder: Path,
    begin_only: Callable[[bool], None],
    capsys: pytest.CaptureFixture[str],
) -> tuple[int, str]:
    """Forge the n-th run in `folder` and open it by one verb; return the exit code, and what went wrong."""
    rng = random.Random(f"forged {n}")
    outside = folder.parent / "outside"
    if not outside.exists():
        (outside / "folder").mkdir(parents=True)
        (outside / "secret").write_text("secret")
        os.mkfifo(outside / "fifo")
    kind = rng.choice(list(whole))
    name = rng.choice(["run", "run", "ru[b]n[\\b]\x1b[31m", "run\x9b2J\u202e$x"])
    run = Path(shutil.copytree(whole[kind], folder / name))
    changed = Forger(rng, outside).forge(run)
    name = rng.choices(list(VERBS), [often for _, often in VERBS.values()])[0]
    if kind != "finished" and rng.random() < 0.3:
        name = "resume"
    begin_only(name == "resume" or "config.yaml" in changed)
    words = [{"RUN": str(run), "WHOLE": str(whole["finished"])}.get(word, word) for word in VERBS[name][0]]
    before, was_finished = children(), None
    with suppress(OSError, ValueError, TypeError, LookupError, yaml.YAMLError):
        was_finished = is_finished(run)
    code, failure = 0, ""
    capsys.readouterr()
    try:
        with watched(folder, whole["finished"]):
            main(words)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        failure = traceback.format_exc()
    said = capsys.readouterr()
    problems = [
        failure,
        "" if code in (0, 2) else f"exit code {code}",
        "Traceback" if "Traceback" in said.out + said.err else "",
        "" if all(map(is_shown, said.out + said.err)) else f"raw: {said.out + said.err!r}",
        "" if code != 2 or said.err.splitlines()[-1].startswith("clrobot: ") else f"said {said.err!r}",
        f"left {children() - before}" if children() - before else "",
        "\n".join(dict.fromkeys(_seen)),
        "finished?" if "is finished; there is nothing" in said.err and was_finished is False else "",
    ]
    told = "\n".join(filter(None, problems))
    where = f"forged run {n} ({kind}), {name}: {sorted(changed)}"
    return code, f"{where}\n{told}\n{said.err[-500:]}" if told else ""
