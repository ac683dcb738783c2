"""Exported policies: the run's own actions, in a process that has no clrobot."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch as th
from numpy.typing import NDArray
from stable_baselines3 import PPO
from support.models import next_slot, tiny_env, tiny_learner

import clrobot
from clrobot.agents.algorithms.sac import SACAlgorithm, SACSettings
from clrobot.agents.networks.knowledge_base import ProgressNetwork
from clrobot.agents.networks.multi_head import MultiHeadNetwork
from clrobot.agents.networks.packed import PackedNetwork
from clrobot.agents.networks.progressive import IndependentNetwork, ProgressiveNetwork
from clrobot.agents.networks.slot_network import SlotNetwork
from clrobot.envs.simulation.observation import OBS_LAYOUT, OBS_SIZE
from clrobot.errors import UserError
from clrobot.evaluation.agent import Agent
from clrobot.evaluation.export import AllSlots, _foreign_metadata, export_onnx, export_sb3
from clrobot.experiment.curricula import CURRICULA

QUICK = CURRICULA["quick"]
EVERY = pytest.mark.parametrize(
    "network_class",
    [MultiHeadNetwork, ProgressiveNetwork, IndependentNetwork, PackedNetwork, ProgressNetwork],
)


def make_agent(network_class: type[SlotNetwork], slots: int = 2) -> Agent:
    """An agent of `quick` after `slots` stages, whose heads are large enough for actions to be clipped."""
    learner = tiny_learner(network_class)
    network = learner.policy.actor_net
    for k in range(1, slots):
        if isinstance(network, PackedNetwork):
            network.pack(0.5)
        next_slot(learner, k)
    if isinstance(network, ProgressNetwork):
        network.compressed.fill_(1)
    with th.no_grad():
        for name, p in network.named_parameters():
            if "heads" in name or p.shape[0] == 4:
                p.mul_(100.0)
    return Agent(learner.policy, QUICK, slots, 0, slots)


def observations(n: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(n, OBS_SIZE)).astype(np.float32)


def onnx_actions(path: Path, obs: NDArray[np.float32], slots: list[int]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (actions,) = session.run(["action"], {"observation": obs, "task": np.array(slots, np.int64)})
    return np.asarray(actions)


# ONNX ------------------------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("slots", [[0], [1], [1, 0, 0, 1, 1], [2, 0, 1, 40]])
def test_onnx_acts_as_the_agent_for_any_batch_of_tasks(network_class, slots: list[int], tmp_path: Path) -> None:
    agent = make_agent(network_class)
    difference = export_onnx(agent, tmp_path / "policy.onnx")
    assert difference is not None
    assert difference <= 1e-5
    obs = observations(len(slots))
    with_slots = np.column_stack([obs, slots]).astype(np.float32)
    expected, _ = agent.policy.predict(with_slots, deterministic=True)
    np.testing.assert_allclose(onnx_actions(tmp_path / "policy.onnx", obs, slots), expected, atol=1e-5)


def test_a_sac_agent_s_squashed_actions_are_exported_as_onnx_alone(tmp_path: Path) -> None:
    algorithm = SACAlgorithm(SACSettings(num_envs=4, batch_size=16, buffer_size=64))
    network = {"network_class": MultiHeadNetwork, "widths": (8, 8)}
    policy = algorithm.make(tiny_env(), network, seed=0, device="cpu").policy
    policy.add_slot()
    with th.no_grad():
        for head in policy.actor_net.heads:
            head.weight *= 100.0
    agent = Agent(policy, QUICK, 2, 0, 2)
    difference = export_onnx(agent, tmp_path / "policy.onnx")
    assert difference is not None
    assert difference <= 1e-5
    obs = observations(4)
    actions = onnx_actions(tmp_path / "policy.onnx", obs, [1, 0, 1, 2])
    expected, _ = policy.predict(np.column_stack([obs, [1, 0, 1, 2]]).astype(np.float32), deterministic=True)
    np.testing.assert_allclose(actions, expected, atol=1e-5)
    assert 0.5 < np.abs(actions).max() < 1.0
    with pytest.raises(UserError, match="use --format onnx"):
        export_sb3(agent, "reach", tmp_path / "policy.zip")


def test_onnx_picks_each_sample_s_head_and_clips(tmp_path: Path) -> None:
    """With a trunk of zeros a head gives its bias, whatever it sees."""
    agent = make_agent(MultiHeadNetwork, 3)
    biases = [[0.1, 0.2, 0.3, 0.4], [-0.5, 0.0, 0.5, 7.0], [-9.0, 0.25, 1.0, -1.0]]
    with th.no_grad():
        network = agent.policy.action_net
        for p in network.trunk.parameters():
            p.zero_()
        for head, bias in zip(network.heads, biases, strict=True):
            head.bias.copy_(th.tensor(bias))
    export_onnx(agent, tmp_path / "policy.onnx")
    actions = onnx_actions(tmp_path / "policy.onnx", observations(5), [1, 0, 2, 3, 1])
    second, third = [-0.5, 0.0, 0.5, 1.0], [-1.0, 0.25, 1.0, -1.0]
    np.testing.assert_allclose(actions, [second, biases[0], third, third, second], atol=1e-7)


def test_a_squashed_mean_goes_through_tanh_and_its_deviation_is_left_out() -> None:
    network = MultiHeadNetwork(OBS_SIZE, (8,), 2 * 4, 1.0)
    policy: Any = SimpleNamespace(actor_net=network, to_action=th.tanh, action_space=SimpleNamespace(shape=(4,)))
    obs = th.as_tensor(observations(3))
    with th.no_grad():
        actions = AllSlots(policy)(obs, th.zeros(3, dtype=th.int64))
        expected = th.tanh(network.forward_slot(obs, 0)[:, :4])
    assert th.equal(actions, expected)


def test_onnx_says_what_goes_in_and_comes_out(tmp_path: Path) -> None:
    export_onnx(make_agent(MultiHeadNetwork), tmp_path / "policy.onnx")
    model = onnx.load(tmp_path / "policy.onnx")
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"observation": ["batch", OBS_SIZE], "task": ["batch"], "action": ["batch", 4]}
    facts = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert facts["clrobot_version"] == clrobot.__version__
    assert facts["slots"] == list(QUICK.slots)
    assert (facts["stage"], facts["slots_trained"]) == (2, 2)
    layout = facts["observation_layout"]
    assert [part["name"] for part in layout] == [name for name, *_ in OBS_LAYOUT]
    assert sum(part["size"] for part in layout) == OBS_SIZE
    assert all(len(part["scale"]) == len(part["offset"]) == part["size"] for part in layout)
    assert layout[0] == {"name": "hand position", "size": 3, "offset": [0.5, 0.0, 0.15], "scale": [0.2] * 3}
    assert "0.03 m" in facts["action"]


def test_beside_other_worlds_it_says_what_clrobot_s_own_show() -> None:
    facts = {key: json.loads(value) for key, value in _foreign_metadata(make_agent(MultiHeadNetwork)).items()}
    assert [world["measured"] for world in facts["worlds"]] == [None] * 3
    assert [part["name"] for part in facts["native"]["observation_layout"]] == [name for name, *_ in OBS_LAYOUT]
    assert "0.03 m" in facts["native"]["action"]
    assert "clipped to [-10, 10]" in facts["observation"]
    assert "clipped to [-5.0, 5.0]" in facts["observation"]


def test_an_onnx_file_with_other_actions_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        AllSlots, "forward", lambda self, observation, task: th.tanh(observation[:, :4]) + 0 * task[:1]
    )
    with pytest.raises(UserError, match="was not written: its actions would differ"):
        export_onnx(make_agent(MultiHeadNetwork), tmp_path / "policy.onnx")
    assert not list(tmp_path.iterdir())


def test_without_a_runtime_the_file_is_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert export_onnx(make_agent(MultiHeadNetwork), tmp_path / "policy.onnx") is None
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match="needs the package onnx; install it with: pip install 'clrobot\\[export\\]'"):
        export_onnx(make_agent(MultiHeadNetwork), tmp_path / "other.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["policy.onnx"]


# Stable-Baselines3 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", QUICK.slots)
def test_sb3_holds_one_task_of_a_multi_head_agent(task: str, tmp_path: Path) -> None:
    agent = make_agent(MultiHeadNetwork)
    path = tmp_path / "policy.zip"
    export_sb3(agent, task, path)
    model = PPO.load(path, device="cpu")
    obs = observations(16)
    actions, _ = model.predict(obs, deterministic=True)
    np.testing.assert_allclose(actions, agent.predict(obs, task), atol=1e-6)
    assert np.abs(actions).max() == 1.0  # and some were clipped
    # The critic and the noise are the slot's own too, so that training can go on.
    slot = min(QUICK.slots.index(task), 1)
    stock, policy = model.policy, agent.policy
    with_slot = th.as_tensor(np.column_stack([obs, np.full(16, slot)]).astype(np.float32))
    with th.no_grad():
        assert th.allclose(stock.predict_values(th.as_tensor(obs)), policy.predict_values(with_slot), atol=1e-6)
    assert th.equal(stock.log_std, policy.log_stds[slot])


def test_sb3_goes_on_training_in_the_task_s_own_environment(tmp_path: Path) -> None:
    export_sb3(make_agent(MultiHeadNetwork), "reach", tmp_path / "policy.zip")
    import gymnasium

    model = PPO.load(
        tmp_path / "policy.zip", env=gymnasium.make("clrobot/Reach-v0"), n_steps=8, batch_size=8, device="cpu"
    )
    before = model.policy.action_net.weight.clone()
    model.learn(8)
    assert not th.equal(model.policy.action_net.weight, before)


def test_sb3_holds_the_first_column_of_a_progressive_network_and_no_other(tmp_path: Path) -> None:
    agent = make_agent(ProgressiveNetwork)
    export_sb3(agent, "reach", tmp_path / "reach.zip")
    obs = observations(8)
    actions, _ = PPO.load(tmp_path / "reach.zip", device="cpu").predict(obs, deterministic=True)
    np.testing.assert_allclose(actions, agent.predict(obs, "reach"), atol=1e-6)
    with pytest.raises(UserError, match=r"the network of button-press is not the plain one .* use --format onnx"):
        export_sb3(agent, "button-press", tmp_path / "button.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["reach.zip"]


def test_sb3_refuses_a_network_that_does_more_than_its_layers(tmp_path: Path) -> None:
    """A slot that must not see the free weights of a packed network; a stock policy would have no mask for them."""
    agent = make_agent(PackedNetwork)
    with th.no_grad():
        trunk = agent.policy.actor_net.trunk[0]
        trunk.weight += 0.1
    with pytest.raises(UserError, match=r"the network of reach is not the plain one .* use --format onnx"):
        export_sb3(agent, "reach", tmp_path / "reach.zip")
    assert not list(tmp_path.iterdir())


def test_sb3_refuses_another_critic_behind_the_same_actor(tmp_path: Path) -> None:
    agent = make_agent(MultiHeadNetwork)
    agent.policy.value_net.activations = lambda x, slot: (x, x[:, :1])
    agent.policy.value_net.plain_layers = lambda slot: None  # the shorter way that would go by the layers
    with pytest.raises(UserError, match="use --format onnx"):
        export_sb3(agent, "reach", tmp_path / "reach.zip")
    assert not list(tmp_path.iterdir())


# The command -----------------------------------------------------------------------------------------------

ALONE = """
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("clrobot", "mujoco"):
            raise ImportError(f"{name} is not to be had here")

sys.meta_path.insert(0, Refused())
import numpy as np
obs = np.load("obs.npy")
import onnxruntime
session = onnxruntime.InferenceSession("exports/tiny/stage_03.onnx", providers=["CPUExecutionProvider"])
np.save("onnx.npy", session.run(None, {"observation": obs, "task": np.arange(len(obs)) % 3})[0])
from stable_baselines3 import PPO
model = PPO.load("exports/tiny/stage_02-button-press.zip", device="cpu")
np.save("sb3.npy", model.predict(obs, deterministic=True)[0])
try:
    import clrobot
except ImportError:
    sys.exit(0)
sys.exit("clrobot was imported after all")
"""


def test_both_formats_act_in_a_process_without_clrobot(cli: Callable[..., Any], tiny_run: Path, tmp_path: Path):
    told = cli("export", tiny_run)
    assert told.code == 0
    assert told.out.startswith("exports/tiny/stage_03.onnx  actions differ from the run's by at most ")
    told = cli("export", tiny_run, "--format", "sb3", "--task", "button-press", "--stage", "2")
    assert told.out.startswith("exports/tiny/stage_02-button-press.zip  open it with: ")
    obs = observations(9)
    np.save(tmp_path / "obs.npy", obs)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    newest, second = clrobot.load(tiny_run), clrobot.load(tiny_run, stage=2)
    expected = np.stack([newest.predict(o, newest.slots[i % 3]) for i, o in enumerate(obs)])
    np.testing.assert_allclose(np.load(tmp_path / "onnx.npy"), expected, atol=1e-5)
    np.testing.assert_allclose(np.load(tmp_path / "sb3.npy"), second.predict(obs, "button-press"), atol=1e-5)
    assert np.abs(expected[0] - expected[1]).max() > 1e-4  # there is something to tell apart


def test_export_says_when_it_was_not_checked(
    cli: Callable[..., Any], tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "not checked, since onnxruntime is not installed" in cli("export", tiny_run, "--out", "p.onnx").out


REFUSED = {
    "a file that exists": (["--out", "taken.onnx"], "taken.onnx already exists; give another --out"),
    "an sb3 file that exists": (["--format", "sb3", "--task", "reach", "--out", "taken.onnx"], "already exists"),
    "a folder": (["--out", "."], "--out . is a folder"),
    "a place below a file": (["--out", "taken.onnx/p.onnx"], "--out taken.onnx/p.onnx: "),
    "sb3 without a task": (["--format", "sb3"], "choose it with --task: reach, button-press, drawer-open"),
    "sb3 with an unknown task": (["--format", "sb3", "--task", "rech"], "did you mean reach?"),
    "onnx with a task": (["--task", "reach"], "an onnx file holds every task"),
    "a stage that is not there": (["--stage", "9"], "stage 9 has no checkpoint"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_export_refuses(case: str, cli: Callable[..., Any], tiny_run: Path, tmp_path: Path) -> None:
    words, clause = REFUSED[case]
    (tmp_path / "taken.onnx").write_text("x")
    outcome = cli("export", tiny_run, *words)
    assert outcome.code == 2
    assert clause in outcome.err
    assert outcome.err.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["taken.onnx"]
    assert (tmp_path / "taken.onnx").read_text() == "x"


def test_a_format_that_there_is_not_is_refused(cli: Callable[..., Any], tiny_run: Path) -> None:
    outcome = cli("export", tiny_run, "--format", "tflite")
    assert outcome.code == 2
    assert "onnx" in outcome.err
