"""Many runs from one description: methods × seeds × values of one setting, a few at a time, each a process."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clrobot.errors import TrainingStopped, UserError
from clrobot.experiment.config import RunConfig, make_config, settings_in_use
from clrobot.experiment.config_file import dump_config
from clrobot.files import atomic
from clrobot.runs.folder import RunFolder


@dataclass(frozen=True)
class Plan:
    """One run of a sweep."""

    folder: Path
    config: RunConfig


def plan(
    base: RunConfig,
    out: Path,
    methods: Sequence[str],
    seeds: Sequence[int],
    vary: str | None = None,
    values: Sequence[float] = (),
) -> list[Plan]:
    """Return the runs, each with its folder below `out`; all is validated before anything is made.

    Args:
        base: every other setting.
        out: the sweep's folder.
        methods: as in `method`.
        seeds: as in `seed`.
        vary: one more setting by its full name (`ewc.strength`, `network.widths`), or None.
        values: its values; for `network.widths` the units of every hidden layer.

    Raises:
        UserError: a method, a setting or a value is not valid, or two runs are the same.
    """
    plans = []
    for method, seed, value in itertools.product(methods, seeds, values if vary else (None,)):
        settings = base.model_dump(mode="json") | {"method": method, "seed": seed}
        name = f"{base.curriculum.name}-{method}"
        if vary is not None and value is not None:
            _set(settings, vary, value)
            name += f"-{vary}={value:g}"
        plans.append(Plan(out / f"{name}-{seed}", make_config(**settings)))
    folders = [p.folder for p in plans]
    if len(set(folders)) < len(folders):
        raise UserError("a method, a seed or a value is given twice; name each once")
    return plans


def _set(settings: dict[str, Any], path: str, value: float) -> None:
    *groups, name = path.split(".")
    inner = settings
    for group in groups:
        if not isinstance(inner.get(group), dict):
            raise UserError(f"--vary {path}: no such setting; see clrobot train --help")
        inner = inner[group]
    if name not in inner:
        raise UserError(f"--vary {path}: no such setting; see clrobot train --help")
    number = int(value) if float(value).is_integer() else value  # what cannot be is refused with the settings
    old = inner[name]
    if isinstance(old, list):
        inner[name] = [number] * len(old)
    else:
        inner[name] = number if isinstance(old, int) else value


def run_all(plans: Sequence[Plan], jobs: int, tell: Callable[[str], None]) -> list[RunFolder]:
    """Train what is not finished, `jobs` processes at a time; what was begun is resumed.

    Each process writes its output to `FOLDER.log`. Returns the finished runs, in the order of the plans.

    Raises:
        UserError: a folder holds another run, or a training failed.
        TrainingStopped: by Ctrl-C or SIGTERM; the trainings have saved themselves.
    """
    waiting = [p for p in plans if not _is_done(p)]
    trainings = _Trainings()
    with trainings.ending_with_this_process(), ThreadPoolExecutor(jobs) as pool:
        codes = pool.map(lambda p: _train(p, trainings, tell), waiting)  # what waits is cancelled by an interrupt
        failed = [p for p, code in zip(waiting, codes, strict=True) if code]
    if failed:
        log = _log(failed[0])
        last = (log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"])[-1]
        raise UserError(f"{len(failed)} of {len(plans)} trainings failed; {log} ends with: {last}")
    return [RunFolder.open(p.folder) for p in plans]


def _is_done(planned: Plan) -> bool:
    if not (planned.folder / "config.yaml").exists():
        return False
    run = RunFolder.open(planned.folder)
    if _material(run.config) != _material(planned.config):
        raise UserError(f"{planned.folder} holds a run with other settings; give another --out, or remove it")
    return run.finished


def _material(config: RunConfig) -> dict[str, Any]:
    """Return the settings in use that make a run what it is: the physics' threads change no bit."""
    return {name: value for name, value in settings_in_use(config).items() if name != "threads"}


def _log(planned: Plan) -> Path:
    return planned.folder.with_name(planned.folder.name + ".log")


@dataclass
class _Trainings:
    """The processes that train now."""

    running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    stopped: bool = False

    def run(self, command: Sequence[str], log: Any) -> int:
        """Run one, and return its exit code."""
        with subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process:
            self.running.add(process)
            if self.stopped:  # while it was started
                process.terminate()
            code = process.wait()
            self.running.discard(process)
        return code

    @contextmanager
    def ending_with_this_process(self) -> Iterator[None]:
        """Let each training save itself and stop when this process is asked to.

        A terminal's Ctrl-C reaches them by itself, and a second signal would end them unsaved; SIGTERM is passed on.
        """

        def pass_on(number: int, frame: Any) -> None:
            self.stopped = True
            if number == signal.SIGTERM:
                for process in tuple(self.running):
                    process.terminate()
            signal.default_int_handler(number, frame)

        before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        except KeyboardInterrupt as error:
            raise TrainingStopped("stopped; the same command goes on from there") from error
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _train(planned: Plan, trainings: _Trainings, tell: Callable[[str], None]) -> int:
    command = [sys.executable, "-m", "clrobot"]
    if (planned.folder / "config.yaml").exists():
        command += ["resume", str(planned.folder)]
    else:
        planned.folder.parent.mkdir(parents=True, exist_ok=True)
        settings = planned.folder.with_name(planned.folder.name + ".yaml")
        with atomic(settings) as file:
            file.write_text(dump_config(planned.config), encoding="utf-8")
        command += ["train", "--config", str(settings), "--out", str(planned.folder)]
    tell(f"started   {planned.folder}")
    with _log(planned).open("w", encoding="utf-8") as log:
        code = trainings.run(command, log)
    ended = "finished" if code == 0 else "stopped " if trainings.stopped else "FAILED  "
    tell(f"{ended}  {planned.folder}")
    return code
