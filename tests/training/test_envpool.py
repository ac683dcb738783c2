"""Trainings in EnvPool's tasks, on a stand-in for EnvPool: exact resume, what is counted, all three kinds in one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from support import pools
from support.foreign import POINT, SAC, settings, shortly
from support.outcomes import outcome, start_states_stay, stopped_with
from support.pools import FETCH, META, PANDA
from support.trainings import quickly

from clrobot.envs.worlds import envpool_kind
from clrobot.experiment.config import make_config
from clrobot.experiment.curricula import CURRICULA
from clrobot.experiment.prepare import prepare, settle
from clrobot.runs.folder import RunFolder
from clrobot.training.observer import Silent
from clrobot.training.resuming import resume
from clrobot.training.training import train

PANDA_STAGE = {"task": PANDA, "steps": 192, "success": {"key": "reward_success", "above": -1.0}}
THREE: dict[str, Any] = {
    "name": "three",
    "pad": True,
    "stages": [
        {"task": FETCH, "steps": 320},
        {"task": "reach", "steps": 192},
        {"task": POINT, "steps": 192},
        {"task": META, "steps": 320, "horizon": 25, "reward_scale": 0.1},
    ],
}
VARIANTS: dict[str, dict[str, Any]] = {
    "ewc": {},
    "distillation": {"method": "distillation"},
    "multitask": {"method": "multitask", "curriculum": THREE | {"stages": [THREE["stages"][i] for i in (0, 3)]}},
    "sac": {"algo": "sac", "sac": SAC},
}


@pytest.fixture(autouse=True)
def here(own_registries: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pools.install(monkeypatch)
    monkeypatch.setattr(envpool_kind, "STEPS", 200)
    with shortly(), quickly():
        yield


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_stopped_training_goes_on_with_the_same_bits(variant: str, tmp_path: Path) -> None:
    config = make_config(**settings(**{"curriculum": THREE} | VARIANTS[variant]))
    expected = outcome(train(config, tmp_path / "whole", Silent()).path)
    for boundary in (3, 14):
        run = stopped_with(config, tmp_path / f"run-{boundary}", boundary)
        resume(run)
        assert outcome(run) == expected


def test_snapshots_come_rarely_since_a_pool_is_made_anew() -> None:
    def steps(*tasks: str) -> int | None:
        stages = [{"task": task, "steps": 64} for task in tasks]
        return settle(make_config(curriculum={"name": "c", "pad": True, "stages": stages})).checkpoint.steps

    assert (steps(FETCH), steps(POINT), steps("reach", POINT, META), steps("reach")) == (
        250_000,
        50_000,
        250_000,
        None,
    )


def test_evaluation_starts_from_the_same_states_and_keeps_no_pool(tmp_path: Path) -> None:
    run = train(make_config(**settings(curriculum=THREE)), tmp_path / "run", Silent())
    evaluator = start_states_stay(run)
    (world,) = evaluator._envs.values()
    assert world.world.env._parts == []  # type: ignore[attr-defined]


def test_what_the_pools_took_is_in_the_metrics(tmp_path: Path) -> None:
    config = prepare(make_config(**settings(curriculum=THREE, method="finetune")))
    pools.made.clear()
    metrics = train(config, tmp_path / "run", Silent()).read_metrics()
    assert metrics.worlds_made == len(pools.made) > 10
    assert 0 < metrics.worlds_seconds < metrics.seconds.total


# The command line ------------------------------------------------------------------------------------------


def test_a_bound_of_a_key_is_read_from_a_file_and_kept(tmp_path: Path, cli: Callable[..., Any]) -> None:
    words = ("--method", "finetune", "--network.widths", "8", "--ppo.num-envs", "4", "--ppo.n-steps", "16")
    few = ("--ppo.batch-size", "32", "--evaluation.episodes", "2", "--evaluation.curve-points", "0")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"name": "mine", "stages": [PANDA_STAGE]}))
    done = cli("train", "--curriculum", "mine.yaml", *words, *few, "--video.no-enabled", "--out", "run")
    assert done.code == 0, done
    run = RunFolder.open(tmp_path / "run")
    assert run.config.curriculum.stages[0].spec.key_above == -1.0
    assert run.read_metrics().average_success == 1.0, "it is always above"
    assert cli("evaluate", "run", "--episodes", "2").code == 0
    bad = PANDA_STAGE | {"success": {"above": 1.0, "return_above": 2.0}}
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump({"name": "bad", "stages": [bad]}))
    refused = cli("train", "--curriculum", "bad.yaml")
    assert (refused.code, refused.out) == (2, "")
    assert "above is a bound of a key's value; expected {key: NAME, above: NUMBER}" in refused.err


@pytest.mark.parametrize("name", ["cw10", "cw20", "mw4", "fetch4", "panda3"])
def test_without_envpool_a_curriculum_of_its_tasks_says_what_installs_it(
    name: str, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools.remove(monkeypatch)
    done = cli("train", "--curriculum", name, "--out", "run")
    assert (done.code, done.out) == (2, "")
    task = CURRICULA[name].stages[0].task
    sentence = "needs EnvPool, which is not installed (about 750 MB): pip install 'clrobot[envpool]'"
    assert done.err == f"clrobot: {task} {sentence}\n"
    assert not (tmp_path / "run").exists()


def test_without_envpool_a_run_is_read_and_not_played(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = THREE["stages"][0]
    config = make_config(**settings(curriculum={"name": "one", "stages": [stage, stage]}))
    stopped_with(config, tmp_path / "begun", 7)
    train(config, tmp_path / "run", Silent())
    pools.remove(monkeypatch)
    for words in (["compare", "run"], ["report", "run"], ["plot", "run"], ["worlds", "--all"], ["curricula"]):
        done = cli(*words)
        assert done.code == 0, done
    more = ["extend", "run", "--task", META, "--steps", "64", "--out", "more"]
    for words in (
        ["evaluate", "run"],
        ["record", "run"],
        ["resume", "begun"],
        more,
        ["bench", "--world", META],
    ):
        done = cli(*words)
        assert done.code == 2, done
        assert len(done.err.splitlines()) == 1, done
        assert done.err.startswith("clrobot: "), done
        assert "needs EnvPool, which is not installed (about 750 MB): pip install 'clrobot[envpool]'" in done.err


def test_the_throughput_is_measured_beside_envpool_s_own(cli: Callable[..., Any]) -> None:
    with mock.patch("clrobot.benchmarks.world_speed._STEPS", 30):
        done = cli("bench", "--world", FETCH, "--num-envs", "3", "--seconds", "0.01")
    assert done.code == 0, done
    assert f"{FETCH}, 3 environments: " in done.out
    assert "EnvPool's own" in done.out
