"""Experiment trackers: Weights & Biases, MLflow or Trackio hear what TensorBoard hears, and every score.

Where a tracker keeps its runs is its own affair (WANDB_MODE, WANDB_DIR, MLFLOW_TRACKING_URI, TRACKIO_DIR, …). A
tracker that fails is a warning and is told nothing more: the run's folder holds everything without it.
"""

from __future__ import annotations

import importlib
import json
import math
import numbers
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from stable_baselines3.common.logger import KVWriter

from clrobot import __version__
from clrobot.errors import UserError, cut
from clrobot.experiment.dotted import flatten
from clrobot.files import atomic, read_plain
from clrobot.results.catalogue import HEADLINES
from clrobot.results.run_metrics import RunMetrics
from clrobot.results.scores import Score

if TYPE_CHECKING:
    from clrobot.experiment.config import RunConfig
    from clrobot.runs.folder import RunFolder

# What an id of one of our trackers can look like; a stranger's file may hold anything.
_ID = re.compile(r"[\w.-]{1,200}", re.ASCII)
_MOST_BYTES = 4096  # of tracker.json
PROJECT = "clrobot"  # the project, or experiment, in which every run lies


@dataclass(frozen=True)
class _Described:
    """What a tracker is told of a run once."""

    name: str
    group: str  # runs that differ only in their seeds share it
    config: dict[str, Any]
    settings: dict[str, str]  # the same, flat: `ppo.gamma`


class _Sink(Protocol):
    """One tracker's run; made with the id of an earlier one, it goes on with that one."""

    id: str

    def __init__(self, package: Any, run: _Described, known: str | None) -> None: ...

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Take values at `step` environment steps."""

    def close(self, failed: bool) -> None:
        """End the run, as failed when the training has not finished."""


class _Wandb:
    """Weights & Biases. A run that goes on (online) hears no step twice."""

    def __init__(self, package: Any, run: _Described, known: str | None) -> None:
        self.id = known or uuid.uuid4().hex[:12]
        self._run = package.init(
            project=PROJECT,
            name=run.name,
            group=run.group,
            id=self.id,
            resume="allow",
            reinit="create_new",  # a run that the caller has open is none of ours
            config=run.config,
            settings=package.Settings(console="off", silent=True),
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        if step >= self._run.step:
            self._run.log(dict(values), step=step)

    def close(self, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


class _MLflow:
    """MLflow, through its client, which touches no run that the caller has open."""

    def __init__(self, package: Any, run: _Described, known: str | None) -> None:
        self._entities = importlib.import_module(f"{package.__name__}.entities")
        self._client = package.MlflowClient()
        if known is not None:
            self.id = known
            self._client.update_run(known, status="RUNNING")
            return
        experiment = self._client.get_experiment_by_name(PROJECT)
        number = self._client.create_experiment(PROJECT) if experiment is None else experiment.experiment_id
        self.id = self._client.create_run(number, run_name=run.name, tags={"group": run.group}).info.run_id
        settings = [self._entities.Param(name, value) for name, value in run.settings.items()]
        for start in range(0, len(settings), 100):  # the most that MLflow takes at once
            self._client.log_batch(self.id, params=settings[start : start + 100])

    def log(self, values: Mapping[str, float], step: int) -> None:
        now = round(1000 * time.time())
        metrics = [self._entities.Metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self.id, metrics=metrics)

    def close(self, failed: bool) -> None:
        self._client.set_terminated(self.id, "FAILED" if failed else "FINISHED")


class _Trackio:
    """Trackio, which knows a run again by its name."""

    def __init__(self, package: Any, run: _Described, known: str | None) -> None:
        self.id = known or f"{run.name}-{uuid.uuid4().hex[:6]}"
        self._run = package.init(
            project=PROJECT, name=self.id, group=run.group, config=run.config, resume="allow", embed=False
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def close(self, failed: bool) -> None:
        self._run.finish()


_SINKS: dict[str, type[_Sink]] = {"wandb": _Wandb, "mlflow": _MLflow, "trackio": _Trackio}


class Tracking(KVWriter):
    """Forwards a training's settings, scores, headline metrics and logged scalars to its configured tracker, if any.

    It is one of the outputs of Stable-Baselines3's logger. A training that is resumed goes on with the same run of
    the tracker, whose id is in the run folder's `tracker.json`; where that cannot be, it begins another in the same
    group. What a killed process had told beyond its snapshot is told again, with the same values.
    """

    def __init__(self, config: RunConfig, warn: Callable[[str], None]) -> None:
        """Import the tracker's package.

        Raises:
            UserError: it is not installed, or cannot be imported.
        """
        self._config = config
        self._warn = warn
        self._package = None if config.tracker == "none" else _package(config.tracker)
        self._sink: _Sink | None = None

    def open(self, run: RunFolder) -> None:
        """Begin the tracker's run, or go on with the one that the folder names."""
        if self._package is None:
            return
        name, kind = self._config.tracker, _SINKS[self._config.tracker]
        described = _described(run, self._config)
        known = _read_id(run, name)
        try:
            self._sink = _begun(kind, self._package, described, known)
        except Exception as error:
            self._fail(error)
        else:
            with atomic(run.path / "tracker.json") as file:
                file.write_text(json.dumps({"tracker": name, "id": self._sink.id}) + "\n", encoding="utf-8")

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Forward the scalars that TensorBoard gets too (called by Stable-Baselines3's logger)."""
        self._log({k: v for k, v in key_values.items() if "tensorboard" not in (key_excluded.get(k) or ())}, step)

    def scores(self, scores: Sequence[Score]) -> None:
        """Forward evaluations."""
        slots = self._config.curriculum.slots
        for score in scores:
            slot = slots[score.slot]
            values = {
                f"success_any/{slot}": score.success_any,
                f"success_final/{slot}": score.success_final,
                f"return_mean/{slot}": score.return_mean,
            }
            self._log(values, score.step)

    def metrics(self, metrics: RunMetrics, step: int) -> None:
        """Forward the headline numbers of `metrics.json`; what is undefined is left out."""
        self._log({f"metrics/{headline.name}": metrics.value(headline.name) for headline in HEADLINES}, step)

    def close(self, failed: bool = False) -> None:
        """End the tracker's run; closing twice is harmless."""
        sink, self._sink = self._sink, None
        if sink is not None:
            try:
                sink.close(failed)
            except Exception as error:
                self._fail(error)

    def _log(self, values: Mapping[str, Any], step: int) -> None:
        if self._sink is None:
            return
        numbers_only = {
            name: float(value)
            for name, value in values.items()
            if isinstance(value, numbers.Real) and math.isfinite(value)
        }
        try:
            if numbers_only:
                self._sink.log(numbers_only, step)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._sink = None
        reason = cut(str(error)) or type(error).__name__
        self._warn(f"the tracker {self._config.tracker} failed ({reason}) and is told nothing more")


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        reason = "is not installed" if error.name == name else f"cannot be imported ({cut(str(error))})"
    except Exception as error:
        reason = f"cannot be imported ({cut(str(error))})"
    raise UserError(f"--tracker {name}: the package {name} {reason}; pip install {name}, or leave --tracker out")


def _begun(kind: type[_Sink], package: Any, run: _Described, known: str | None) -> _Sink:
    if known is not None:
        try:
            return kind(package, run, known)
        except Exception:  # such as another store than last time: another run, in the same group
            return kind(package, run, None)
    return kind(package, run, None)


def _described(run: RunFolder, config: RunConfig) -> _Described:
    content = {"clrobot": __version__} | config.model_dump(mode="json")
    return _Described(
        name=run.path.resolve().name,
        group=f"{config.curriculum.name}-{config.method}",
        config=content,
        settings={name: cut(json.dumps(value), 500) for name, value in flatten(content)},
    )


def _read_id(run: RunFolder, tracker: str) -> str | None:
    """Return the id of the tracker's run that this folder's training has begun, if there is one."""
    try:
        content = json.loads(read_plain(run.path / "tracker.json", _MOST_BYTES, follow=False))
        known = str(content["id"])
        return known if content["tracker"] == tracker and _ID.fullmatch(known) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
