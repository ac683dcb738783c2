"""A run's policy for the world outside: a file that acts without clrobot.

An ONNX file holds every slot and runs wherever an ONNX runtime does. A zip of Stable-Baselines3's own format holds
one slot, and opens with `stable_baselines3.PPO.load`.
"""

from __future__ import annotations

import importlib
import io
import json
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3 import PPO
from torch import nn

from clrobot import __version__
from clrobot.agents.policies.policy import SlotPolicy
from clrobot.agents.policies.ppo import PPOSlotPolicy
from clrobot.envs.scene.arm import CONTROL_STEP
from clrobot.envs.simulation.actions import MAX_STEP
from clrobot.envs.simulation.observation import COLUMNS, OBS_LAYOUT, OBS_LIMIT, OFFSETS, SCALES
from clrobot.envs.worlds.foreign import LIMIT
from clrobot.envs.worlds.make import make_env
from clrobot.errors import UserError
from clrobot.evaluation.agent import Agent
from clrobot.evaluation.observations import append_slot
from clrobot.experiment.layout import layout
from clrobot.files import atomic

OPSET: Final = 17  # the oldest that has layer normalisation
TOLERANCE: Final = 1e-5  # the most that an exported action may differ from the run's
_CHECKED = 256  # observations

_ACTION = (
    f"in [-1, 1]: hand target dx (away from the base), dy (left), dz (up), each times {MAX_STEP} m; "
    "fingers from -1 (open) to 1 (closed)"
)


def check_new(path: Path) -> None:
    """Raise UserError unless a file can be made at `path`."""
    if path.exists() or path.is_symlink():
        raise UserError(f"{path} already exists; give another --out, or move it elsewhere first")


# ONNX ------------------------------------------------------------------------------------------------------


class AllSlots(nn.Module):
    """Deterministic actions as a graph of fixed shape: all slots act, and each sample picks its own's.

    The policy itself runs only the heads that a batch asks for, which is control flow that depends on data.
    """

    def __init__(self, policy: SlotPolicy) -> None:
        super().__init__()
        self.network = policy.actor_net
        self.to_action = policy.to_action
        assert policy.action_space.shape is not None
        self.actions = policy.action_space.shape[0]

    def forward(self, observation: th.Tensor, task: th.Tensor) -> th.Tensor:
        """Return the actions (B, A) in [-1, 1] for observations (B, d) and slot indices (B,)."""
        slots = self.network.slots
        every = th.stack([self.network.forward_slot(observation, slot) for slot in range(slots)], dim=1)
        means = every[..., : self.actions]  # what may follow are log standard deviations
        # A slot without a head acts through the newest one, as in the policy.
        index = task.clamp(0, slots - 1)[:, None, None].expand(-1, 1, self.actions)
        return self.to_action(means.gather(1, index).squeeze(1))


def export_onnx(agent: Agent, path: Path) -> float | None:
    """Write an ONNX file that holds every slot of `agent`.

    Its inputs are `observation` (B, d) float32, as the environments give it, and `task` (B,) int64, a slot's index;
    its output is `action` (B, A) float32, deterministic. What they mean is in its metadata.

    Returns:
        The largest difference from the agent's own actions, by onnxruntime on random observations of mixed slots;
        None if onnxruntime is not installed.

    Raises:
        UserError: the package onnx is missing, `path` exists, or the file's actions are not the agent's.
    """
    check_new(path)
    onnx = _needed("onnx")
    content = _onnx_model(agent, onnx)
    difference = _difference(agent, content)
    if difference is not None and not difference <= TOLERANCE:
        raise UserError(
            f"{path} was not written: its actions would differ from the run's by {difference:.1e}, more than "
            f"{TOLERANCE:.0e}; try another version of torch or onnxruntime"
        )
    _write(path, content)
    return difference


def _needed(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise UserError(
            f"an ONNX file needs the package {package}; install it with: pip install 'clrobot[export]'"
        ) from error


def _onnx_model(agent: Agent, onnx: Any) -> bytes:
    module = AllSlots(agent.policy).eval()
    size = module.network.inputs
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter that traces needs nothing beside onnx, and warns that it is the older one. It also warns where
        # a network reads a count that is its own constant, such as how many slots are packed.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", th.jit.TracerWarning)  # type: ignore[attr-defined]
        th.onnx.export(
            module,
            (th.zeros(2, size), th.zeros(2, dtype=th.int64)),
            buffer,  # type: ignore[arg-type]  # as documented for this exporter
            input_names=["observation", "task"],
            output_names=["action"],
            dynamic_axes={name: {0: "batch"} for name in ("observation", "task", "action")},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    model.doc_string = "A policy trained by clrobot; see the metadata for what goes in and comes out."
    model.producer_name, model.producer_version = "clrobot", __version__
    onnx.helper.set_model_props(model, _metadata(agent))
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def _native_layout() -> list[dict[str, Any]]:
    """Return what the numbers of a native task's observation are, and how they are scaled."""
    return [
        {
            "name": part.name,
            "size": part.size,
            "offset": OFFSETS[COLUMNS[part.name]].tolist(),
            "scale": SCALES[COLUMNS[part.name]].tolist(),
        }
        for part in OBS_LAYOUT
    ]


def _metadata(agent: Agent) -> dict[str, str]:
    """Return what the graph's numbers mean, each value JSON."""
    if not all(stage.native for stage in agent.curriculum.stages):
        return _foreign_metadata(agent)
    facts: dict[str, Any] = {
        "clrobot_version": __version__,
        "slots": list(agent.slots),
        "slots_trained": agent.stage,
        "stage": agent.stage,
        "observation": f"(x - offset) / scale, clipped to [-{OBS_LIMIT}, {OBS_LIMIT}]; metres and radians",
        "observation_layout": _native_layout(),
        "action": _ACTION,
        "control_step_seconds": CONTROL_STEP,
    }
    return {name: json.dumps(value) for name, value in facts.items()}


def _foreign_metadata(agent: Agent) -> dict[str, str]:
    """Return what the numbers mean where worlds are not all clrobot's own: what each slot's were measured to be."""
    common = layout(agent.curriculum)
    worlds = [
        {
            "slot": name,
            "task": stage.task,
            "measured": None if stage.measured is None else stage.measured.model_dump(mode="json"),
            "mask": common.mask_of(stage) if common.masks else None,
        }
        for name, stage in zip(agent.slots, agent.curriculum.stages, strict=True)
    ]
    facts: dict[str, Any] = {
        "clrobot_version": __version__,
        "slots": list(agent.slots),
        "slots_trained": agent.stage,
        "stage": agent.stage,
        "observation": f"(x - offset) / scale of the slot's world, clipped to [-{LIMIT:g}, {LIMIT:g}]; where it is "
        f"clrobot's own (measured: null) by what `native` says, clipped to [-{OBS_LIMIT}, {OBS_LIMIT}]; zeros up to "
        "`observations`, then a mask of `masks`",
        "native": {"observation_layout": _native_layout(), "action": _ACTION, "control_step_seconds": CONTROL_STEP},
        "observations": common.observations,
        "masks": len(common.masks),
        "worlds": worlds,
        "action": "in [-1, 1], spread over the world's own bounds; a world takes the first numbers that it has",
    }
    return {name: json.dumps(value) for name, value in facts.items()}


def _difference(agent: Agent, content: bytes) -> float | None:
    """Return the largest difference between the ONNX model's actions and the agent's, or None without onnxruntime."""
    try:
        runtime: Any = importlib.import_module("onnxruntime")
    except ImportError:
        return None
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    observations, slots = _random_batch(agent)
    (actions,) = session.run(None, {"observation": observations, "task": slots})
    with_slots = np.column_stack([observations, slots.astype(np.float32)])
    expected, _ = agent.policy.predict(with_slots, deterministic=True)
    return float(np.abs(actions - expected).max())


def _random_batch(agent: Agent) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return random observations (B, d) and the index (B,) of each one's slot: all take turns."""
    size = agent.policy.actor_net.inputs
    observations = np.random.default_rng(0).uniform(-OBS_LIMIT, OBS_LIMIT, (_CHECKED, size)).astype(np.float32)
    return observations, np.arange(_CHECKED, dtype=np.int64) % len(agent.slots)


# Stable-Baselines3 -----------------------------------------------------------------------------------------


def export_sb3(agent: Agent, task: str, path: Path) -> None:
    """Write the zip from which `stable_baselines3.PPO.load(path)` makes a stock `MlpPolicy` for one slot.

    It takes the environment's observations (d,) as they are, and can be trained further; its hyperparameters are
    Stable-Baselines3's defaults.

    Raises:
        UserError: there is no such slot, `path` exists, or the slot's network is more than an `MlpPolicy` can hold.
    """
    check_new(path)
    slot = agent.slot_index(task)
    if layout(agent.curriculum).masks or not agent.curriculum.stages[slot].native:
        raise UserError(f"{task} is seen through scales that an sb3 file does not hold; use --format onnx")
    head = min(slot, agent.policy.slots - 1)
    model = None
    if isinstance(agent.policy, PPOSlotPolicy):
        model = _stock_model(agent.policy, head, agent.curriculum.stages[slot].task)
    # Laterals, masks and normalised layers have no place in the stock networks: what comes out tells.
    if model is None or not _same(agent, slot, model):
        raise UserError(
            f"the network of {task} is not the plain one that PPO's stock MlpPolicy holds; use --format onnx"
        )
    buffer = io.BytesIO()
    model.save(buffer)
    _write(path, buffer.getvalue())


def _stock_model(policy: PPOSlotPolicy, slot: int, task: str) -> PPO:
    """Return Stable-Baselines3's own PPO with the layers of one slot, its critic and its noise."""
    actor, critic = policy.actor_net.layers(slot), policy.value_net.layers(slot)
    env = make_env(task)
    widths = {name: [layer.out_features for layer in net[:-1]] for name, net in (("pi", actor), ("vf", critic))}
    model = PPO("MlpPolicy", env, policy_kwargs={"net_arch": widths, "activation_fn": nn.Tanh}, device="cpu")
    env.close()
    stock: Any = model.policy
    for ours, trunk, head in (
        (actor, stock.mlp_extractor.policy_net, stock.action_net),
        (critic, stock.mlp_extractor.value_net, stock.value_net),
    ):
        theirs = [*(layer for layer in trunk if isinstance(layer, nn.Linear)), head]
        for source, target in zip(ours, theirs, strict=True):
            target.load_state_dict(source.state_dict())
    with th.no_grad():
        stock.log_std.copy_(policy.log_stds[slot])
    return model


def _same(agent: Agent, slot: int, model: PPO) -> bool:
    """Return whether the stock model acts and values as the agent does in a slot, on random observations."""
    observations, _ = _random_batch(agent)
    with_slot = th.as_tensor(append_slot(observations, slot))
    ours, _ = agent.policy.predict(with_slot.numpy(), deterministic=True)
    theirs, _ = model.predict(observations, deterministic=True)
    with th.no_grad():
        values = agent.policy.values(with_slot, th.as_tensor(ours))
        stock_values = model.policy.predict_values(th.as_tensor(observations))
    return bool(np.abs(ours - theirs).max() <= TOLERANCE) and th.allclose(values, stock_values, 1e-4, TOLERANCE)


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as unfinished:
            unfinished.write_bytes(content)
    except OSError as error:
        raise UserError(f"--out {path}: {error.strerror}; give a file that can be written") from error
