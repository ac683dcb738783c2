"""Settings that Stable-Baselines3 cannot learn with are refused in one sentence, before anything is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.trainings import TINY

from clrobot.agents.algorithms.ppo import PPOAlgorithm, PPOSettings
from clrobot.agents.algorithms.sac import SACAlgorithm, SACSettings
from clrobot.experiment.config import make_config
from clrobot.training.training import train

NO_LEARNING = ("--algo", "sac", "--steps", "1000")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--ppo.num-envs", "1", "--ppo.n-steps", "1"), "make an update of one sample, and PPO needs two or more"),
        (("--ppo.log-std-init", "1000"), "log_std_init"),
        (("--algo", "sac", "--sac.log-std-init", "1000"), "log_std_init"),
        (("--ppo.clip-range", "1e300"), "clip_range"),
        (("--algo", "sac", "--sac.ent-coef", "1e300"), "ent_coef"),
        (
            NO_LEARNING,
            "reach has 1,024 control steps, and sac makes no gradient step before 2,048; give",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_it_is_one_sentence(words: tuple[str, ...], told: str, cli: Callable[..., Any], tmp_path: Path) -> None:
    refused = cli("train", *words, "--out", tmp_path / "run")
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert told in refused.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("algo", ["ppo", "sac"])
@pytest.mark.usefixtures("quick_training")
def test_the_greatest_of_everything_ends_in_one_sentence_at_most(
    algo: str, tiny_flags: tuple[str, ...], cli: Callable[..., Any], tmp_path: Path
) -> None:
    """Settings at their bounds, one at a time: a training that goes to NaN, or too large, says so."""
    small = ("--sac.num-envs", "4", "--sac.gradient-steps", "2", "--sac.learning-starts", "16")
    fields = (PPOSettings if algo == "ppo" else SACSettings).model_fields
    for name in ("learning_rate", "ent_coef", "clip_range", "vf_coef", "max_grad_norm", "target_entropy"):
        if name not in fields:
            continue
        (bound,) = (rule.le for rule in fields[name].metadata if hasattr(rule, "le"))
        words = [f"--{algo}.{name.replace('_', '-')}", str(bound), "--method", "finetune", "--algo", algo]
        done = cli("train", *tiny_flags, *small, *words, "--out", tmp_path / name)
        told = done.err.splitlines()
        assert (done.code, len(told)) in ((0, 0), (2, 1)), (name, done.err)
        if done.code:
            assert "the loss is not a number" in told[0]


@pytest.mark.parametrize("shape", [(1, 2), (2, 1)])
@pytest.mark.usefixtures("quick_training")
def test_two_samples_are_enough(shape: tuple[int, int], tmp_path: Path) -> None:
    settings = {"num_envs": shape[0], "n_steps": shape[1], "batch_size": 2}
    run = train(make_config(**TINY | {"steps": 4, "method": "finetune", "ppo": settings}), tmp_path / "run")
    assert run.read_metrics().gradient_steps.learning > 0


def test_a_learning_rate_that_rises_is_said() -> None:
    """Whoever gives one alone means that it stays."""
    (remark,) = PPOAlgorithm(PPOSettings(learning_rate=3e-4)).remarks
    assert remark.startswith("the learning rate rises in each stage from --ppo.learning-rate 0.0003 to --ppo.final-")
    assert PPOAlgorithm(PPOSettings(learning_rate=3e-4, final_learning_rate=3e-4)).remarks == ()
    assert PPOAlgorithm(PPOSettings(final_learning_rate=1e-4)).remarks == ()


@pytest.mark.parametrize("starts", [0, 1, 31, 32, 33, 64])
def test_the_first_update_is_where_stable_baselines_makes_it(starts: int) -> None:
    from support.models import tiny_env

    algorithm = SACAlgorithm(
        SACSettings(num_envs=4, train_freq=8, gradient_steps=1, batch_size=4, learning_starts=starts)
    )
    model = algorithm.make(tiny_env(), {"widths": (8,)}, seed=0, device="cpu")
    algorithm.begin_slot(model, (0,), tiny_env(), 1_000)
    model.learn(algorithm.first_update - algorithm.iteration, reset_num_timesteps=False)
    assert model._n_updates == 0
    model.learn(algorithm.iteration, reset_num_timesteps=False)
    assert model._n_updates == 1


def test_ppo_learns_in_its_first_iteration() -> None:
    algorithm = PPOAlgorithm(PPOSettings(num_envs=4, n_steps=8))
    assert algorithm.first_update == algorithm.iteration == 32
