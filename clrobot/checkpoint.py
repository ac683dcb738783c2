"""Checkpoints: safetensors and JSON, so that opening somebody else's run executes nothing of theirs."""

from __future__ import annotations

import json
import shutil
from typing import Any

import gymnasium as gym
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from clrobot.agent import Agent
from clrobot.agents.method import Method
from clrobot.agents.policies import MultiHeadPolicy
from clrobot.config import method_class
from clrobot.curriculum import explain
from clrobot.errors import UserError
from clrobot.run_folder import RunFolder, atomic

FORMAT = 1  # of the checkpoint folder; a larger number is refused


class CheckpointInfo(BaseModel):
    """The content of `checkpoint.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    stage: int = Field(ge=0)
    step: int = Field(ge=0)
    """Environment steps trained so far."""
    slots: int = Field(ge=1)
    """Heads (or columns) that the policy has."""
    observation_size: int = Field(ge=2)
    """With the slot's index."""
    action_size: int = Field(ge=1)


def save_checkpoint(run: RunFolder, stage: int, step: int, policy: MultiHeadPolicy, method: Method) -> None:
    """Write `stage_KK/`: the policy's weights, the method's state, and what is needed to rebuild them."""
    assert policy.observation_space.shape is not None
    assert policy.action_space.shape is not None
    info = CheckpointInfo(
        format=FORMAT,
        stage=stage,
        step=step,
        slots=policy.slots,
        observation_size=policy.observation_space.shape[0],
        action_size=policy.action_space.shape[0],
    )
    with atomic(run.checkpoint(stage)) as folder:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        save_file(policy.state_dict(), folder / "weights.safetensors")
        save_file(method.state_dict(), folder / "method.safetensors")
        (folder / "checkpoint.json").write_text(info.model_dump_json(indent=2) + "\n", encoding="utf-8")


def load_agent(run: RunFolder, stage: int | None = None) -> Agent:
    """Return the agent as it was after `stage` (None: the newest).

    Raises:
        UserError: the checkpoint is missing or damaged.
    """
    stage = run.find_stage(stage)
    folder = run.checkpoint(stage)
    info = _read_info(folder / "checkpoint.json")
    config = run.config
    observation_space = gym.spaces.Box(-np.inf, np.inf, (info.observation_size,), np.float32)
    action_space = gym.spaces.Box(-1.0, 1.0, (info.action_size,), np.float32)
    policy = method_class(config.method).policy_class(
        observation_space, action_space, lambda _: 0.0, widths=config.network.widths, slots=info.slots
    )
    weights = folder / "weights.safetensors"
    try:
        policy.load_state_dict(load_file(weights))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{weights} is missing or damaged ({reason}); use another --stage, or train again") from error
    policy.set_training_mode(False)
    return Agent(policy, config.curriculum.slots, stage)


def _read_info(path: Any) -> CheckpointInfo:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(data, dict) and isinstance(data.get("format"), int) and data["format"] > FORMAT:
            raise UserError(f"{path} has format {data['format']}, newer than {FORMAT}; install a newer clrobot")
        return CheckpointInfo.model_validate(data)
    except (OSError, ValueError) as error:
        reason = explain(error.errors()[0]) if isinstance(error, ValidationError) else str(error)
        raise UserError(f"{path} is missing or damaged ({reason}); use another --stage, or train again") from error
