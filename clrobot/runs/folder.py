"""A run is a folder: where everything in it lies, and how it is opened, checked and written."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from clrobot.envs.simulation.physics_version import PHYSICS_VERSION
from clrobot.envs.worlds.kinds import is_native
from clrobot.errors import Busy, UserError, cut, explain, shown
from clrobot.experiment.config import RunConfig
from clrobot.experiment.config_file import dump_config, read_run_config
from clrobot.files import TEXT_LIMIT, at_home, atomic, find_stray, read_own
from clrobot.manifests import MANIFEST, check_record, grown_since, write_record
from clrobot.published.provenance import physics_of
from clrobot.results.run_metrics import RunMetrics
from clrobot.results.shown import damage_as_html, run_as_html
from clrobot.runs.environment import environment_here, foreign_sources, gone_on_with
from clrobot.runs.foreign import missing
from clrobot.runs.free import already_holds, check_free
from clrobot.runs.lock import LOCK, Held, hold, is_held
from clrobot.runs.nearby import why_no_run

_STAGE = re.compile(r"stage_([0-9]{2}|[1-9][0-9]{2,3})")  # as `stage_name` writes it
_FILES = ("environment.json", LOCK, "metrics.json", "report.html", "scores.jsonl")
_FOLDERS = ("resume", "tensorboard", "videos")
_MOST_LEVELS = 20  # of environment.json; it has six

_MOST_BYTES = 64 * 2**20  # of metrics.json; a run of 100 stages has 1 MB

# The files of a run whose checksums its own manifest holds.
RECORDED = ("config.yaml", "environment.json", "metrics.json", "scores.jsonl")

# The locks that this process holds.
_LOCKS: dict[Path, Held] = {}


def stage_name(stage: int) -> str:
    """Return the folder name of a stage: `stage_02`."""
    return f"stage_{stage:02d}"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run; see the README for what is in it."""

    path: Path

    @classmethod
    def create(cls, path: Path, config: RunConfig) -> RunFolder:
        """Make the folder and write `config.yaml` and `environment.json`.

        Raises:
            UserError: the folder already holds something, or cannot be made.
        """
        path = at_home(path)
        check_free(path)
        environment = environment_here(config)  # which takes a moment; the two files come at once
        try:
            path.mkdir(parents=True, exist_ok=True)
            run = cls(path)
            with atomic(run.config_file, replace=False) as file:
                file.write_text(dump_config(config), encoding="utf-8")
            run.write_json("environment.json", environment)
        except FileExistsError as error:
            raise already_holds(path) from error  # of another process, which was quicker
        except OSError as error:
            raise UserError(f"run folder {path}: {error.strerror}; give a folder that can be written") from error
        return run

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Return an existing run.

        Raises:
            UserError: there is no run in the folder, it holds a link, or its configuration is damaged.
        """
        path = at_home(path)
        run = cls(path)
        if not path.is_dir() or not run.config_file.is_file():
            raise UserError(why_no_run(path))
        run._check_entries()
        _ = run.config  # read now, so that damage is reported first
        return run

    def _check_entries(self) -> None:
        """Raise UserError unless all is where and what it should be; a link would lead out of the run.

        No sentence here advises to delete anything: it may be all that there is of the run.
        """
        if (stray := find_stray(self.path)) is not None:
            if not stray.is_symlink():
                raise UserError(f"{stray} is a pipe or a device; move it elsewhere: a run holds only its own files")
            # A cache of downloads, such as the Hub's, makes every file of a run a link to a blob.
            copying = shlex.join(["cp", "-rL", str(self.path), "COPY"])
            raise UserError(
                f"{stray} is a link to {cut(os.readlink(stray), 80)}, and a run holds only its own files; "
                f"if you trust what it leads to, copy the run with links followed, and use the copy: {copying}"
            )
        for entry in self.path.iterdir():
            if entry.name in _FILES and entry.is_dir():
                raise UserError(f"{entry} is a folder; expected a file: move it elsewhere, or train again")
            if (entry.name in _FOLDERS or _STAGE.fullmatch(entry.name)) and entry.is_file():
                raise UserError(f"{entry} is a file; expected a folder: move it elsewhere, or train again")

    @property
    def config_file(self) -> Path:
        """Every setting."""
        return self.path / "config.yaml"

    @property
    def scores_file(self) -> Path:
        """One line for each evaluation."""
        return self.path / "scores.jsonl"

    @property
    def resume(self) -> Path:
        """The snapshots from which an unfinished training goes on; gone when it is finished."""
        return self.path / "resume"

    @property
    def videos(self) -> Path:
        """The films that the training made."""
        return self.path / "videos"

    @cached_property
    def config(self) -> RunConfig:
        """The run's settings."""
        try:
            return read_run_config(self.config_file)
        except UserError:
            if (sentence := missing(self.path)) is not None:
                raise UserError(sentence) from None
            raise

    @property
    def finished(self) -> bool:
        """Whether every stage of the curriculum is measured and has its checkpoint; no other file decides it."""
        stages = len(self.config.curriculum.stages)
        try:
            return self.read_metrics().stages_done == stages and stages in self.stages()
        except UserError:
            return False

    def checkpoint(self, stage: int) -> Path:
        """Return the folder of a stage's checkpoint."""
        return self.path / stage_name(stage)

    def stages(self) -> list[int]:
        """Return the curriculum's stages that have a checkpoint, in order; 0 is the untrained agent."""
        matches = [_STAGE.fullmatch(entry.name) for entry in self.path.iterdir() if entry.is_dir()]
        found = sorted(int(match[1]) for match in matches if match)
        return [stage for stage in found if stage <= len(self.config.curriculum.stages)]

    def find_stage(self, stage: int | None) -> int:
        """Return `stage`, or the newest one for None.

        Raises:
            UserError: there is no checkpoint of that stage, or none at all.
        """
        have = self.stages()
        if not have:
            raise UserError(f"{self.path} holds no checkpoint yet; wait for the training's first, or train again")
        if stage is None:
            return have[-1]
        if stage not in have:
            raise UserError(f"stage {stage} has no checkpoint in {self.path}; expected one of {have}")
        return stage

    def read_metrics(self) -> RunMetrics:
        """Return the content of `metrics.json`.

        Raises:
            UserError: it is missing or damaged.
        """
        path = self.path / "metrics.json"
        if (problem := check_record(self.path)) is not None:
            raise UserError(f"{problem}; train again, or restore the file")
        if not path.exists():
            raise UserError(f"{path} is missing; it is written after the first stage")
        try:
            metrics = RunMetrics.model_validate_json(read_own(path, _MOST_BYTES))
        except ValidationError as error:
            raise UserError(f"{path} is damaged: {explain(error)}; train again, or restore the file") from None
        if metrics.stages_done == metrics.stages and (name := grown_since(self.path)) is not None:
            raise UserError(f"{self.path / name} has more than its finished training wrote; restore the file")
        return metrics

    def _repr_html_(self) -> str:
        """Return what a notebook shows; of a run that cannot be read, why."""
        try:
            config = self.config
            metrics = self.read_metrics() if (self.path / "metrics.json").exists() else None
        except UserError as error:
            return damage_as_html(str(error))
        told = [self.path.name, config.curriculum.name, config.method, f"seed {config.seed}"]
        return run_as_html(told, config.curriculum.slots, metrics)

    def read_environment(self) -> dict[str, Any]:
        """Return the content of `environment.json`: what the run was made with (`clrobot.runs.environment`).

        Raises:
            UserError: it is missing or damaged.
        """
        path = self.path / "environment.json"
        try:
            content = json.loads(read_own(path, TEXT_LIMIT))
            # JSON can spell half of a surrogate pair, which no page can hold.
            json.dumps(content, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path} is not JSON ({cut(str(error))}); restore the file") from None
        if not isinstance(content, dict) or _depth(content) > _MOST_LEVELS:
            raise UserError(
                f"{path}: expected an object of at most {_MOST_LEVELS} levels, got {shown(content)}; restore the file"
            )
        return content

    def lock(self) -> None:
        """Keep every other process from training into this folder until `unlock` or the end of this process.

        Raises:
            Busy: another process does; see `clrobot.runs.lock`.
        """
        _LOCKS[self.path.resolve()] = hold(_to_be_locked(self.config_file), self.path / LOCK, str(self.path))

    def unlock(self) -> None:
        """Let other processes train into this folder."""
        held = _LOCKS.pop(self.path.resolve(), None)
        if held is not None:
            held.release()

    def is_busy(self) -> bool:
        """Return whether another process trains into this folder now; there may be no run in it yet."""
        try:
            file = _to_be_locked(self.config_file)
        except OSError:  # there is no run yet
            return False
        return is_held(file, self.path / LOCK)

    def clear_beginning(self, config: RunConfig) -> None:
        """Remove what a training writes before its first stage is over, but for snapshots: the run starts anew, here.

        Args:
            config: its settings as they are on this machine.
        """
        for name in ("tensorboard", stage_name(0), stage_name(1)):  # the first one's checkpoint comes early
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in ("scores.jsonl", "metrics.json", MANIFEST):
            (self.path / name).unlink(missing_ok=True)
        self.write_json("environment.json", environment_here(config))

    def clear_end(self) -> None:
        """Remove the snapshots of a finished run: a process that was killed in its last moment has left them."""
        if self.resume.exists():
            with suppress(Busy):
                self.lock()
                shutil.rmtree(self.resume, ignore_errors=True)
                self.unlock()

    def record(self) -> None:
        """Note the checksums of the run's own files, which `read_metrics` and the report compare."""
        write_record(self.path, RECORDED)

    def note_sources(self, config: RunConfig) -> None:
        """Note in `environment.json` where the settings' tasks and methods come from, if one is a user's own.

        Raises:
            UserError: the file is damaged.
        """
        if noted := foreign_sources(config):
            self.write_json("environment.json", self.read_environment() | noted)

    def check_physics(self) -> None:
        """Refuse to go on with a run whose tasks are others here: one agent would learn in two worlds of one name.

        Raises:
            UserError: it was trained in another version of clrobot's physics.
        """
        if not any(is_native(stage.task) for stage in self.config.curriculum.stages):
            return
        try:
            noted = self.read_environment()
        except UserError:  # a training that was killed at once has none yet
            return
        if (then := physics_of(noted)) != PHYSICS_VERSION:
            commit = noted.get("commit") or "unknown"
            raise UserError(
                f"{self.path} was trained in version {then} of clrobot's physics, and this clrobot has version "
                f"{PHYSICS_VERSION}; go on with the clrobot that trained it (commit {shown(commit)}), or train anew"
            )

    def note_going_on(self, config: RunConfig, step: int) -> None:
        """Note in `environment.json` with what the run goes on, where it is not as before; a damaged file stays.

        Args:
            config: its settings as they are on this machine.
            step: the control step at which it goes on.
        """
        with suppress(UserError):
            content = gone_on_with(self.read_environment(), environment_here(config), step)
            if content is not None:
                self.write_json("environment.json", content)

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file in one step."""
        with atomic(self.path / name) as file:
            file.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _to_be_locked(path: Path) -> IO[bytes]:
    """Return a file, open for writing if it can be: NFS gives no other an exclusive lock."""
    try:
        return path.open("r+b")
    except OSError:
        return path.open("rb")


def _depth(content: Any) -> int:
    """Return how many levels JSON has; this loop has no limit of its own."""
    levels, found = [content], 0
    while levels:
        found += 1
        levels = [
            inner
            for outer in levels
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return found
