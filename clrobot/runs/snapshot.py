"""Snapshots of a training at an iteration's boundary: what is needed to go on with the same bits.

A snapshot is a folder of safetensors and JSON with a manifest of checksums, written to a temporary name, flushed and
renamed. The two newest are kept, so that one is whole at every moment.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch as th
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file
from stable_baselines3.common.base_class import BaseAlgorithm

from clrobot.agents.algorithms.algorithm import Algorithm
from clrobot.agents.algorithms.learner import load_moments, optimizers
from clrobot.agents.generators import generator_states, set_generator_states
from clrobot.agents.methods.shared.method import Method
from clrobot.agents.tensors import check_like, check_numbers
from clrobot.agents.vec_env import EnvState
from clrobot.errors import UserError, cut, explain
from clrobot.experiment.config import RunConfig
from clrobot.files import atomic, read_plain
from clrobot.manifests import check_manifest, checksum, is_damage, write_manifest
from clrobot.runs.progress import Progress
from clrobot.runs.score_book import MOST_BYTES as SCORES_BYTES
from clrobot.runs.sizes import ROOM, snapshot_sizes

_SNAPSHOT = re.compile(r"step_\d{12,13}")  # steps go up to 10^12
_KEPT = 2
_ASIDE = "passed-over"  # within the folder of the snapshots
_MOST_BYTES = ROOM  # of one of a snapshot's JSON files: as large as the generators of a million simulations


class _NumpyState(BaseModel):
    """The state of numpy's global generator beside its 624 words; it reads beyond them where `pos` says so."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    pos: Annotated[int, Field(ge=0, le=624)]
    has_gauss: Annotated[int, Field(ge=0, le=1)]
    gauss: float


class _PythonState(BaseModel):
    """The state of Python's global generator beside its words."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    version: int
    gauss: float | None


class _Generators(BaseModel):
    """The states of all generators (`generators.json`); those of single ones are what numpy's bit generators take."""

    model_config = ConfigDict(extra="forbid", strict=True)

    simulation: list[dict[str, Any]]
    numpy: _NumpyState
    python: _PythonState
    actions: dict[str, Any]


class Damaged(UserError):
    """A snapshot cannot be used; the message names the file."""


class OtherRun(UserError):
    """A snapshot is of other settings or scores than the run's folder holds now."""


def write_snapshot(
    parent: Path,
    progress: Progress,
    model: BaseAlgorithm,
    algorithm: Algorithm,
    method: Method,
    simulation: EnvState,
) -> None:
    """Write one more snapshot below `parent`, and remove all but the newest two."""
    assert isinstance(model._last_obs, np.ndarray)
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002 -- Stable-Baselines3 draws from it
    python_version, python_words, python_gauss = random.getstate()
    generators = {
        "simulation": simulation.generators,
        "numpy": {
            "pos": numpy_state["state"]["pos"],
            "has_gauss": numpy_state["has_gauss"],
            "gauss": numpy_state["gauss"],
        },
        "python": {"version": python_version, "gauss": python_gauss},
        "actions": model.action_space.np_random.bit_generator.state,
    }
    arrays = {f"simulation.{name}": array for name, array in simulation.arrays.items()} | {
        "last_obs": model._last_obs,
        "last_episode_starts": np.asarray(model._last_episode_starts),
        "numpy": numpy_state["state"]["key"],
        "python": np.array(python_words, np.int64),
    }
    arrays |= {name: state.numpy() for name, state in generator_states(model.device).items()}
    parent.mkdir(exist_ok=True)
    with atomic(_named(parent, progress.step)) as folder:
        folder.mkdir()
        save_file(model.policy.state_dict(), folder / "weights.safetensors")
        save_file(_moments(model), folder / "optimizer.safetensors")
        save_file(algorithm.tensors(model), folder / "algorithm.safetensors")
        save_file(method.state_dict(), folder / "method.safetensors")
        save_arrays(
            {name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / "arrays.safetensors"
        )
        (folder / "generators.json").write_text(json.dumps(generators), encoding="utf-8")
        (folder / "run.json").write_text(json.dumps(_run_sums(parent.parent, progress.scores)), encoding="utf-8")
        (folder / "progress.json").write_text(progress.model_dump_json(indent=2) + "\n", encoding="utf-8")
        write_manifest(folder)
    _prune(parent, progress.step)


def _prune(parent: Path, step: int) -> None:
    """Remove all snapshots but the one just written, at `step`, and the newest of those before it.

    What lies at later steps is of a training that went on from an earlier one, since it was damaged.
    """
    earlier = [folder for folder in snapshots(parent) if step_of(folder) < step]
    kept = {_named(parent, step), *earlier[: _KEPT - 1]}
    for old in snapshots(parent):
        if old not in kept:
            shutil.rmtree(old)


def snapshots(parent: Path) -> list[Path]:
    """Return the snapshot folders below `parent`, the one of the latest step first; other names are none."""
    if not parent.is_dir():
        return []
    found = [path for path in parent.iterdir() if _SNAPSHOT.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=step_of, reverse=True)


def set_aside(parent: Path) -> Path | None:
    """Move all snapshots to where nothing reads or removes them before the run is finished; return where, if any.

    With another version of a library, or on another machine, one may be whole that is passed over here.
    """
    found = snapshots(parent)
    if not found:
        return None
    for folder in found:
        pass_over(folder)
    return parent / _ASIDE


def pass_over(folder: Path) -> None:
    """Move one snapshot there."""
    aside = folder.parent / _ASIDE
    aside.mkdir(exist_ok=True)
    names = (aside / f"{folder.name}{end}" for end in ("", *(f"-{n}" for n in range(2, 1_000))))
    folder.rename(next(name for name in names if not name.exists()))


def _named(parent: Path, step: int) -> Path:
    return parent / f"step_{step:012d}"


def step_of(folder: Path) -> int:
    """Return the control steps of the run before a snapshot, by its folder's name."""
    return int(folder.name.removeprefix("step_"))


class Snapshot:
    """One snapshot's content, checked and read."""

    def __init__(self, folder: Path, config: RunConfig) -> None:
        """Read `folder`, whose files are as large as the run's settings say at most.

        Raises:
            Damaged: a file is missing, damaged or not what it should be.
            OtherRun: the run's settings or scores are not those of the training.
            UserError: a file cannot be read now, or there is no memory for it.
        """
        if (problem := check_manifest(folder, snapshot_sizes(config))) is not None:
            raise Damaged(problem)
        try:
            self.progress = Progress.model_validate_json(read_plain(folder / "progress.json", _MOST_BYTES))
            self._weights = load_file(folder / "weights.safetensors")
            self._optimizer = load_file(folder / "optimizer.safetensors")
            self._method = load_file(folder / "method.safetensors")
            self._algorithm = load_file(folder / "algorithm.safetensors")
            self._arrays = load_arrays(folder / "arrays.safetensors")
            self._generators = _Generators.model_validate_json(read_plain(folder / "generators.json", _MOST_BYTES))
            sums = json.loads(read_plain(folder / "run.json", _MOST_BYTES))
        except ValidationError as error:
            name = "generators.json" if error.title == _Generators.__name__ else "progress.json"
            raise Damaged(f"{folder / name} is damaged ({explain(error)})") from error
        except (OSError, ValueError, SafetensorError, RecursionError, MemoryError) as error:
            if _is_passing(error):
                raise _not_now(folder, error) from error
            raise Damaged(f"{folder} is damaged ({_told(error)})") from error
        _check_run(folder.parent.parent, sums, self.progress.scores)
        self.folder = folder

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Say of whatever fails in the block that the snapshot is damaged.

        Its checksums agree: it was made by hand, or for another version of a library.

        Raises:
            Damaged: something failed.
            UserError: what failed is this machine at this moment: no memory, or a disk that does not answer.
        """
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            if _is_passing(error):
                raise _not_now(self.folder, error) from error
            raise Damaged(f"{self.folder} is damaged ({_told(error)})") from error

    def simulation(self) -> EnvState:
        """Return the simulations' state."""
        prefix = "simulation."
        arrays = {name.removeprefix(prefix): a for name, a in self._arrays.items() if name.startswith(prefix)}
        return EnvState(arrays, self._generators.simulation)

    def restore_method(self, method: Method) -> None:
        """Give the method its memory back."""
        method.load_state_dict(self._method)

    def restore_model(self, model: BaseAlgorithm, algorithm: Algorithm) -> None:
        """Give a model that has begun the snapshot's slot its weights, moments, counters and observations.

        Raises:
            KeyError, ValueError: it holds something else than the model's.
        """
        check_like(self._weights, model.policy.state_dict())
        for name, tensor in self._weights.items():
            if tensor.is_floating_point():
                check_numbers(name, tensor, tensor.shape)
        model.policy.load_state_dict(self._weights)
        algorithm.load_tensors(model, self._algorithm)
        for name, optimizer in optimizers(model).items():
            for index, parameter in enumerate(optimizer.param_groups[0]["params"]):
                prefix = f"{name}.{index}."
                state = {n.removeprefix(prefix): t for n, t in self._optimizer.items() if n.startswith(prefix)}
                if state:
                    _check_moments(prefix, state, parameter)
                    load_moments(optimizer, parameter, state)
        model.num_timesteps = self.progress.step
        model._n_updates = self.progress.updates
        assert model.observation_space.shape is not None
        observations, starts = self._arrays["last_obs"], self._arrays["last_episode_starts"]
        check_numbers("last_obs", th.from_numpy(observations), (model.n_envs, *model.observation_space.shape))
        if starts.shape != (model.n_envs,) or starts.dtype != np.bool_:
            raise ValueError(f"last_episode_starts is {starts.dtype} of shape {starts.shape}")
        model._last_obs = observations.copy()
        model._last_episode_starts = starts.copy()

    def restore_generators(self, model: BaseAlgorithm) -> None:
        """Set torch's, numpy's and Python's global generators and that of random actions; do this last."""
        model.action_space.np_random.bit_generator.state = self._generators.actions
        saved = self._generators.numpy
        np.random.set_state(  # noqa: NPY002
            {
                "bit_generator": "MT19937",
                "state": {"key": self._arrays["numpy"], "pos": saved.pos},
                "has_gauss": saved.has_gauss,
                "gauss": saved.gauss,
            }
        )
        python = self._generators.python
        words = tuple(int(word) for word in self._arrays["python"])
        random.setstate((python.version, words, python.gauss))
        states = {name: th.from_numpy(a.copy()) for name, a in self._arrays.items() if name.startswith("torch")}
        set_generator_states(states, model.device)


def _run_sums(run: Path, scores: int) -> dict[str, str]:
    """Return the SHA-256 of what a training reads of its run: the settings, and its first `scores` scores."""
    lines = read_plain(run / "scores.jsonl", SCORES_BYTES).splitlines(keepends=True)[:scores]
    return {"config.yaml": checksum(run / "config.yaml"), "scores.jsonl": sha256(b"".join(lines)).hexdigest()}


def _check_run(run: Path, sums: Any, scores: int) -> None:
    try:
        found = _run_sums(run, scores)
    except OSError as error:
        raise OtherRun(f"{error.filename}: {error.strerror}; put it back, or train again") from error
    for name, value in found.items():
        if not isinstance(sums, dict) or sums.get(name) != value:
            raise OtherRun(f"{run / name} is not as the training wrote it; put that one back, or train again")


def _check_moments(prefix: str, state: dict[str, th.Tensor], parameter: th.Tensor) -> None:
    """Raise ValueError unless these are Adam's moments of a parameter: fused, it would not look itself."""
    if state.keys() != {"step", "exp_avg", "exp_avg_sq"}:
        raise ValueError(f"{prefix}{min(state)}: expected step, exp_avg and exp_avg_sq")
    for moment, tensor in state.items():
        check_numbers(f"{prefix}{moment}", tensor, () if moment == "step" else parameter.shape)
    if not all(tensor.dtype == th.float32 for tensor in state.values()):
        raise ValueError(f"{prefix}exp_avg is {state['exp_avg'].dtype}")


def _is_passing(error: Exception) -> bool:
    """Return whether it is this machine that fails now, and not the snapshot."""
    if isinstance(error, OSError):
        return not is_damage(error)
    # On the processor torch has a plain RuntimeError for it.
    return isinstance(error, MemoryError | th.OutOfMemoryError) or "can't allocate memory" in str(error)


def _not_now(folder: Path, error: Exception) -> UserError:
    return UserError(f"{folder} cannot be put back now ({_told(error)}); nothing is changed: try again later")


def _told(error: Exception) -> str:
    return cut(str(error), 200) or type(error).__name__


def _moments(model: BaseAlgorithm) -> dict[str, th.Tensor]:
    """Return Adam's moments by the optimizer's name, the parameter's place in it and the moment's name."""
    return {
        f"{name}.{index}.{moment}": tensor.clone()  # they may share memory, which the file does not allow
        for name, optimizer in optimizers(model).items()
        for index, parameter in enumerate(optimizer.param_groups[0]["params"])
        for moment, tensor in optimizer.state.get(parameter, {}).items()
    }
