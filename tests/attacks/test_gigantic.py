"""Gigantic settings: one sentence, before anything is made. A reader's further one is one more line in a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.trainings import TINY

import clrobot.envs.worlds.examine
import clrobot.experiment.memory
from clrobot.errors import UserError
from clrobot.experiment.config import make_config
from clrobot.experiment.curricula import CURRICULA
from clrobot.experiment.memory import check_memory, memory_parts, total_memory
from clrobot.experiment.prepare import prepare

Cli = Callable[..., Any]

# Flag, value: every whole number and every number that a training's settings have, and a value beyond its bound.
BEYOND = [
    ("seed", 10**30),
    ("steps", 10**30),
    ("torch-threads", 10**6),
    ("memory-limit-mb", 10**30),
    ("evaluation.episodes", 10**9),
    ("evaluation.curve-points", 10**12),
    ("evaluation.curve-episodes", 10**9),
    ("evaluation.seed", 10**30),
    ("video.episodes", 10**9),
    ("checkpoint.seconds", 1e300),
    ("checkpoint.steps", 10**30),
    ("ppo.num-envs", 10**9),
    ("ppo.n-steps", 10**9),
    ("ppo.batch-size", 10**12),
    ("ppo.n-epochs", 10**9),
    ("sac.num-envs", 10**9),
    ("sac.train-freq", 10**9),
    ("sac.gradient-steps", 10**9),
    ("sac.batch-size", 10**12),
    ("sac.buffer-size", 10**12),
    ("sac.learning-starts", 10**30),
    ("network.widths", 10**6),
    ("ewc.states", 10**30),
    ("replay.memory", 10**12),
    ("generative-replay.iterations", 10**30),
    ("progress-compress.compress-steps", 10**30),
    ("device", "x" * 10**5),
]


def settings_of(flag: str, value: Any) -> dict[str, Any]:
    *groups, name = flag.split(".")
    inner: dict[str, Any] = {name.replace("-", "_"): [value] if name == "widths" else value}
    group = groups[0] if groups else None
    known = make_config().model_dump()
    if group is None:
        return inner
    return {next(key for key in known if key.replace("_", "-") == group): inner}


@pytest.mark.parametrize(("flag", "value"), BEYOND, ids=[flag for flag, _ in BEYOND])
def test_a_setting_has_a_bound(flag: str, value: Any) -> None:
    with pytest.raises(UserError) as refused:
        make_config(**settings_of(flag, value))
    sentence = str(refused.value)
    assert flag.rpartition(".")[2].replace("-", "_") in sentence.replace("-", "_")
    assert len(sentence) < 400


def test_every_whole_number_among_the_settings_has_a_bound() -> None:
    """Also those that are added later."""
    for group, values in make_config().model_dump().items():
        for name, value in values.items() if isinstance(values, dict) else [(None, values)]:
            if isinstance(value, int) and not isinstance(value, bool):
                with pytest.raises(UserError):
                    make_config(**({group: 10**30} if name is None else {group: {name: 10**30}}))


def test_a_curriculum_has_a_bound(tmp_path: Path) -> None:
    stage = {"task": "reach", "steps": 64}
    assert len(make_config(curriculum={"name": "a", "stages": [stage] * 1024}).curriculum.stages) == 1024
    with pytest.raises(UserError, match=r"`curriculum.stages`.*at most 1024"):
        make_config(curriculum={"name": "a", "stages": [stage] * 1025})


# Within every bound, and yet too much together.
TOO_MUCH: dict[str, tuple[dict[str, Any], str]] = {
    "layers": ({"network": {"widths": [16_384] * 32}}, "network.widths"),
    "simulations": ({"ppo": {"num_envs": 65_536, "n_steps": 16}}, "ppo.num-envs"),
    "a rollout": ({"ppo": {"num_envs": 1000, "n_steps": 1_000_000}}, "ppo.n-steps"),
    "a replay buffer": ({"algo": "sac", "sac": {"buffer_size": 10**9}}, "sac.buffer-size"),
    "episodes": ({"curriculum": "cr10", "evaluation": {"episodes": 10_000}}, "evaluation.episodes"),
    "columns": ({"method": "progressive", "curriculum": 300 * CURRICULA["quick"], "network": {"widths": [256] * 3}},
                "network.widths"),
}  # fmt: skip


@pytest.fixture
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 8 GiB, so that the test is the same everywhere."""
    monkeypatch.setattr(clrobot.experiment.memory, "total_memory", lambda: 8 * 2**30)


@pytest.mark.usefixtures("small_machine")
@pytest.mark.parametrize("what", TOO_MUCH)
def test_what_no_machine_holds_is_refused_before_anything_is_made(what: str, cli: Cli, tmp_path: Path) -> None:
    settings, flag = TOO_MUCH[what]
    config = make_config(**settings)
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    done = cli("train", "--config", "base.yaml", "--out", "run")
    assert done.code == 2, done
    assert done.err.startswith("clrobot: these settings need about ")
    assert f"for --{flag}, and this machine has 8.0 GiB; make that smaller" in done.err
    assert done.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["base.yaml"]


@pytest.mark.usefixtures("small_machine")
def test_a_stranger_s_gigantic_run_is_refused_as_well(tiny_copy: Path, cli: Cli) -> None:
    settings = yaml.safe_load((tiny_copy / "config.yaml").read_text())
    settings["network"]["widths"] = [16_384] * 32
    (tiny_copy / "config.yaml").write_text(yaml.safe_dump(settings))
    (tiny_copy / "report.html").unlink()
    (tiny_copy / "metrics.json").unlink()
    done = cli("resume", tiny_copy)
    assert (done.code, done.err.count("\n")) == (2, 1), done


OF_ENVPOOL = [
    name for name, one in CURRICULA.items() if any(stage.task.startswith("envpool:") for stage in one.stages)
]


def _in_its_place(curriculum: str) -> Any:
    """Return a curriculum as a parameter; what EnvPool plays is tested where that is."""
    return pytest.param(curriculum, marks=[pytest.mark.envpool] if curriculum in OF_ENVPOOL else [])


@pytest.mark.usefixtures("small_machine")
@pytest.mark.parametrize("algo", ["ppo", "sac"])
@pytest.mark.parametrize("curriculum", [*map(_in_its_place, CURRICULA)])
def test_what_people_train_is_well_within_a_small_machine(
    algo: str, curriculum: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clrobot.envs.worlds.examine, "STEPS", 50)  # of others' worlds; their sizes count
    config = prepare(make_config(algo=algo, curriculum=curriculum, method="progressive"))
    check_memory(config)
    most = 6 if curriculum in OF_ENVPOOL else 2  # GiB: its simulations have a model each
    assert sum(memory_parts(config).values()) < most * 2**30


def test_envpool_s_simulations_count_as_what_they_are() -> None:
    """Those in training all at once, those of an evaluation for one world at a time."""
    measured = {"offset": [0.0] * 39, "scale": [1.0] * 39, "actions": 4}

    def parts(*tasks: str) -> dict[str, float]:
        stages = [{"task": f"envpool:{task}", "steps": 1, "measured": measured} for task in tasks]
        evaluation = {"episodes": 30, "curve_episodes": 20}
        config = make_config(curriculum={"name": "x", "stages": stages, "pad": True}, evaluation=evaluation)
        assert config.ppo.num_envs == 128
        return memory_parts(config)

    hammer, fetch = "MetaWorld/Hammer-v3", "FetchPushDense-v4"
    for found in (parts(fetch, hammer), parts(fetch, hammer, "MetaWorld/Push-v3")):
        assert found["ppo.num-envs"] == 128 * 16e6
        assert found["evaluation.episodes"] == 40 * 16e6
        assert found["evaluation.curve-episodes"] == 0.0
    assert parts(fetch)["ppo.num-envs"] == 128 * 11e6


def test_the_estimate_of_tiny_settings_is_tiny() -> None:
    assert sum(memory_parts(make_config(**TINY)).values()) < 10 * 2**20
    assert (total_memory() or 2**40) > 2**28
