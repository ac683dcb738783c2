"""Checkpoints: safetensors and JSON, so that opening somebody else's run executes nothing of theirs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import gymnasium as gym
import numpy as np
import torch as th
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import load_file, save_file
from stable_baselines3.common.base_class import BaseAlgorithm

from clrobot.agents.methods.shared.method import Method
from clrobot.agents.tensors import check_like, check_numbers
from clrobot.errors import UserError, cut, explain
from clrobot.errors import warn as to_standard_error
from clrobot.evaluation.agent import Agent
from clrobot.experiment.build import leave_out_task_inference, network_arguments
from clrobot.experiment.choices import algorithm_class
from clrobot.experiment.config import RunConfig
from clrobot.experiment.memory import hidden_weights
from clrobot.experiment.method import make_method
from clrobot.files import atomic, read_plain
from clrobot.manifests import check_manifest, checksum, write_manifest
from clrobot.results.fields import MAX_COUNT
from clrobot.runs.folder import RunFolder
from clrobot.runs.lock import check_held
from clrobot.runs.method_files import ROWS, STATE, load_state, row_files, save_state, too_large
from clrobot.runs.sizes import checkpoint_sizes

_BUILT = 10**8  # numbers of a network that is built to see whether a file fits it, whatever the file holds
_Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]


class CheckpointInfo(BaseModel):
    """The content of `checkpoint.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    stage: _Count
    step: _Count
    """Environment steps trained so far."""
    updates: _Count
    """Stable-Baselines3's own count of them, which its log goes on with."""
    slots: Annotated[int, Field(ge=1, le=MAX_COUNT)]
    """Heads (or columns) that the policy has."""
    observation_size: Annotated[int, Field(ge=2, le=MAX_COUNT)]
    """With the slot's index."""
    action_size: Annotated[int, Field(ge=1, le=MAX_COUNT)]
    config: str
    """SHA-256 of the `config.yaml` that it was trained with."""


def save_checkpoint(run: RunFolder, stage: int, model: BaseAlgorithm, method: Method) -> None:
    """Write `stage_KK/`: the policy's weights, the method's state, and what is needed to rebuild them.

    Raises:
        UserError: the run was taken over by another process.
    """
    check_held(run.path)
    policy: Any = model.policy
    assert policy.observation_space.shape is not None
    assert policy.action_space.shape is not None
    info = CheckpointInfo(
        stage=stage,
        step=model.num_timesteps,
        updates=model._n_updates,
        slots=policy.slots,
        observation_size=policy.observation_space.shape[0],
        action_size=policy.action_space.shape[0],
        config=checksum(run.config_file),
    )
    with atomic(run.checkpoint(stage)) as folder:
        folder.mkdir()
        save_file(policy.state_dict(), folder / "weights.safetensors")
        save_state(method.state_dict(), folder, before=run.checkpoint(stage - 1) if stage > 0 else None)
        (folder / "checkpoint.json").write_text(info.model_dump_json(indent=2) + "\n", encoding="utf-8")
        write_manifest(folder)


def rebind_checkpoints(run: RunFolder) -> None:
    """Say in every checkpoint that it belongs to the run's configuration as it is now.

    Raises:
        UserError: a checkpoint is missing or damaged.
    """
    for stage in run.stages():
        check_checkpoint(run, stage)
        path = run.checkpoint(stage) / "checkpoint.json"
        info = _read_info(path, stage, _slots_after(stage, run.config))
        content = info.model_dump(mode="json") | {"config": checksum(run.config_file)}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        write_manifest(run.checkpoint(stage))


def load_agent(run: RunFolder, stage: int | None = None, warn: Callable[[str], None] | None = None) -> Agent:
    """Return the agent as it was after `stage`.

    None is the newest whole stage: `warn` (by default it writes to the standard error) is called with a sentence on
    each damaged one that is passed over.

    Raises:
        UserError: the checkpoint is missing or damaged; for None, every one is, and the newest is named.
    """
    run.find_stage(stage)
    warn = warn or to_standard_error
    if stage is not None:
        return _load(run, stage)
    damaged: list[UserError] = []
    for candidate in reversed(run.stages()):
        try:
            agent = _load(run, candidate)
        except UserError as error:
            damaged.append(error)
            continue
        for problem in damaged:
            warn(f"{problem}: stage {candidate} is used in its place")
        return agent
    raise damaged[0]


def load_method_state(run: RunFolder, stage: int) -> tuple[dict[str, th.Tensor], CheckpointInfo]:
    """Return what the method remembered after `stage`, and where the training stood.

    Raises:
        UserError: the checkpoint is missing or damaged.
    """
    folder = run.checkpoint(stage)
    check_checkpoint(run, stage)
    with _damaged_where_it_fails(folder / STATE):
        state = load_state(folder)
    return state, _read_info(folder / "checkpoint.json", stage, _slots_after(stage, run.config))


def _load(run: RunFolder, stage: int) -> Agent:
    folder = run.checkpoint(stage)
    config = run.config
    check_checkpoint(run, stage, unread=ROWS)  # which stages share, and no agent acts by: their damage costs none
    info = _read_info(folder / "checkpoint.json", stage, _slots_after(stage, config))
    weights = folder / "weights.safetensors"
    with _damaged_where_it_fails(weights):
        tensors = load_file(weights)
        # The sizes are believed only as far as the file bears them out.
        numbers = sum(tensor.numel() for tensor in tensors.values())
        sizes = (info.observation_size, info.action_size, *config.network.widths, info.slots)
        if max(sizes) > numbers or hidden_weights(config, info.slots) > _BUILT + 64 * numbers:
            raise ValueError("sizes that its weights do not have")
        policy: Any = algorithm_class(config.algo).policy_class()(
            gym.spaces.Box(-np.inf, np.inf, (info.observation_size,), np.float32),
            gym.spaces.Box(-1.0, 1.0, (info.action_size,), np.float32),
            lambda _: 0.0,
            slots=info.slots,
            log_std_init=getattr(config, config.algo).log_std_init,  # with SAC no weight of the policy holds it
            **network_arguments(config),
        )
        if not config.task_inference.enabled:
            leave_out_task_inference(policy)
        check_like(tensors, policy.state_dict())
        policy.load_state_dict(tensors)
        _check_acts(policy, info)
    if info.config != checksum(run.config_file):
        raise UserError(f"{run.config_file} is not the one that stage {stage} was trained with; put that one back")
    policy.set_training_mode(False)
    return Agent.of(config, policy, stage)


def _check_acts(policy: Any, info: CheckpointInfo) -> None:
    """Raise ValueError unless all weights are finite, and so is what each slot does with some observations.

    Finite weights may be too large to be multiplied.
    """
    for name, tensor in policy.state_dict().items():
        if tensor.is_floating_point():
            check_numbers(name, tensor, tensor.shape)
    rows = th.tensor([-1.0, 0.0, 1.0])[:, None].expand(3, info.observation_size - 1).repeat(info.slots, 1)
    slots = th.arange(info.slots, dtype=rows.dtype).repeat_interleave(3)[:, None]
    with th.no_grad():
        mean, log_std = policy.gaussian(th.cat([rows, slots], dim=1))
    if not bool((mean.isfinite() & log_std.exp().isfinite()).all()):
        raise ValueError("weights too large to act with")


def check_checkpoint(run: RunFolder, stage: int, unread: str = "") -> None:
    """Raise UserError unless every file of a checkpoint is as its manifest says, and no larger than it can be.

    Args:
        run: whose.
        stage: from 0.
        unread: a pattern of names whose files' content is not looked at.
    """
    folder, sizes = run.checkpoint(stage), checkpoint_sizes(run.config)
    if (problem := check_manifest(folder, sizes, unread) or too_large(folder, sizes[STATE])) is not None:
        raise UserError(f"{problem}; give another --stage, or train again")


def checkpoint_files(run: RunFolder, stage: int) -> list[str]:
    """Return the names of what a checkpoint that was checked is made of, its manifest aside."""
    return [*checkpoint_sizes(run.config), *(file.name for file in row_files(run.checkpoint(stage)))]


@contextmanager
def _damaged_where_it_fails(path: Path) -> Iterator[None]:
    """Say of whatever fails in the block that this file is damaged: its checksum agrees, it was made by hand."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise _damaged(path, cut(str(error), 200) or type(error).__name__) from error


def _slots_after(stage: int, config: RunConfig) -> int:
    """Return how many heads an agent has after a stage."""
    if config.curriculum.heads == "one":
        return 1
    return make_method(config).heads(stage - 1, len(config.curriculum.stages)) if stage > 0 else 1


def _read_info(path: Path, stage: int, slots: int) -> CheckpointInfo:
    try:
        data = json.loads(read_plain(path, follow=False))
        info = CheckpointInfo.model_validate(data)
    except ValidationError as error:
        raise _damaged(path, explain(error)) from error
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, cut(str(error), 200)) from error
    if (info.stage, info.slots) != (stage, slots):
        raise _damaged(path, f"it says stage {info.stage} and {info.slots} slots")
    return info


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is missing or damaged ({reason}); give another --stage, or train again")
