"""Checkpoints: safetensors and JSON, so that opening somebody else's run executes nothing of theirs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from stable_baselines3.common.base_class import BaseAlgorithm

from clrobot.agents.methods.shared.method import Method
from clrobot.errors import UserError, explain
from clrobot.errors import warn as to_standard_error
from clrobot.evaluation.agent import Agent
from clrobot.experiment.build import make_method, network_arguments
from clrobot.experiment.choices import algorithm_class
from clrobot.experiment.config import RunConfig
from clrobot.files import atomic, check_manifest, checksum, read_plain, write_manifest
from clrobot.runs.folder import RunFolder

_FILES = ("checkpoint.json", "method.safetensors", "weights.safetensors")


class CheckpointInfo(BaseModel):
    """The content of `checkpoint.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: int = Field(ge=0)
    step: int = Field(ge=0)
    """Environment steps trained so far."""
    updates: int = Field(ge=0)
    """Stable-Baselines3's own count of them, which its log goes on with."""
    slots: int = Field(ge=1)
    """Heads (or columns) that the policy has."""
    observation_size: int = Field(ge=2)
    """With the slot's index."""
    action_size: int = Field(ge=1)
    config: str | None = None
    """SHA-256 of the `config.yaml` that it was trained with."""


def save_checkpoint(run: RunFolder, stage: int, model: BaseAlgorithm, method: Method) -> None:
    """Write `stage_KK/`: the policy's weights, the method's state, and what is needed to rebuild them."""
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
        save_file(method.state_dict(), folder / "method.safetensors")
        (folder / "checkpoint.json").write_text(info.model_dump_json(indent=2) + "\n", encoding="utf-8")
        write_manifest(folder)


def rebind_checkpoints(run: RunFolder) -> None:
    """Say in every checkpoint that it belongs to the run's configuration as it is now."""
    for stage in run.stages():
        path = run.checkpoint(stage) / "checkpoint.json"
        content = json.loads(path.read_text(encoding="utf-8")) | {"config": checksum(run.config_file)}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        write_manifest(run.checkpoint(stage))


def load_agent(run: RunFolder, stage: int | None = None, warn: Callable[[str], None] | None = None) -> Agent:
    """Return the agent as it was after `stage`.

    None is the newest whole stage: `warn` (by default the standard error) is told of each damaged one that is
    passed over.

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
    if (problem := check_manifest(folder, _FILES)) is not None:
        raise UserError(f"{problem}; give another --stage, or train again")
    try:
        state: dict[str, th.Tensor] = load_file(folder / "method.safetensors")
    except (OSError, SafetensorError) as error:
        raise _damaged(folder / "method.safetensors", " ".join(str(error).split())[:200]) from error
    return state, _read_info(folder / "checkpoint.json", stage, _slots_after(stage, run.config))


def _load(run: RunFolder, stage: int) -> Agent:
    folder = run.checkpoint(stage)
    config = run.config
    if (problem := check_manifest(folder, _FILES)) is not None:
        raise UserError(f"{problem}; give another --stage, or train again")
    info = _read_info(folder / "checkpoint.json", stage, _slots_after(stage, config))
    weights = folder / "weights.safetensors"
    try:
        tensors = load_file(weights)
        if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
            raise ValueError("weights that are not finite")
        # The sizes are believed only as far as the file bears them out.
        if max(info.observation_size, info.action_size, *config.network.widths) > sum(
            t.numel() for t in tensors.values()
        ):
            raise ValueError("sizes that its weights do not have")
        policy: Any = algorithm_class(config.algo).policy_class(
            gym.spaces.Box(-np.inf, np.inf, (info.observation_size,), np.float32),
            gym.spaces.Box(-1.0, 1.0, (info.action_size,), np.float32),
            lambda _: 0.0,
            slots=info.slots,
            **network_arguments(config),
        )
        policy.load_state_dict(tensors)
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise _damaged(weights, " ".join(str(error).split())[:200]) from error
    if info.config is not None and info.config != checksum(run.config_file):
        raise UserError(f"{run.config_file} is not the one that stage {stage} was trained with; put that one back")
    policy.set_training_mode(False)
    return Agent.of(config, policy, stage)


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
        raise _damaged(path, str(error)) from error
    if (info.stage, info.slots) != (stage, slots):
        raise _damaged(path, f"it says stage {info.stage} and {info.slots} slots")
    return info


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is missing or damaged ({reason}); give another --stage, or train again")
