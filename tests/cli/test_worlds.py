"""`clrobot worlds`, and curricula of several worlds through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import gymnasium
import pytest
import yaml
from support import point
from support.distributions import TASK, install
from support.foreign import settings, shortly
from support.outcomes import outcome

from clrobot.envs.worlds import examine, kinds
from clrobot.envs.worlds.gymnasium_kind import GymnasiumKind
from clrobot.experiment.config import make_config
from clrobot.runs.folder import RunFolder
from clrobot.training.training import train

Cli = Callable[..., Any]
POINT = "gymnasium:Point-v0"


@pytest.fixture(autouse=True)
def registered(own_registries: None, monkeypatch: pytest.MonkeyPatch) -> None:
    point.register()
    monkeypatch.setattr(examine, "STEPS", 200)


@contextmanager
def few_worlds() -> Iterator[None]:
    """Three environments alone, of which one is an old version of another."""
    gymnasium.register("Painted-v0", entry_point="support.point:Point", kwargs={"fault": "pictures"})
    gymnasium.register("Point-v1", entry_point="support.point:Point", kwargs={"tells": None, "fault": "no picture"})
    few = {name: gymnasium.registry[name] for name in ("Point-v0", "Point-v1", "Painted-v0", "clrobot/Reach-v0")}
    with mock.patch.object(gymnasium, "registry", few), mock.patch.object(kinds, "KINDS", kinds.KINDS[:2]):
        yield


def test_worlds_are_listed_with_what_each_lacks(cli: Cli) -> None:
    with few_worlds():
        rows = {row["task"]: row for row in json.loads(cli("worlds", "--all", "--format", "json").out)}
        table = cli("worlds").out
    assert rows["reach"]["kind"] == "native"
    assert [name for name in rows if ":" in name] == ["gymnasium:Painted-v0", "gymnasium:Point-v1"], "no old version"
    painted, plain = rows["gymnasium:Painted-v0"], rows["gymnasium:Point-v1"]
    assert (painted["usable"], plain["usable"]) == (False, True)
    assert "it shows pictures" in painted["lacks"]
    assert (plain["observations"], plain["actions"], plain["success"], plain["horizon"]) == (4, 2, None, None)
    assert plain["lacks"] == "a length of its episodes: give a horizon; pictures; success: give return_above or a key"
    assert "Painted" not in table
    assert "1 more cannot be used here: --all says why" in table


def test_gymnasiums_own_arms_can_be_used() -> None:
    offers = {offer.task: offer for offer in GymnasiumKind().offers() if "Reacher" in offer.task}
    assert offers["gymnasium:Reacher-v5"][:5] == ("gymnasium", "gymnasium:Reacher-v5", 50, 10, 2)


CURRICULUM: dict[str, Any] = {
    "name": "mine",
    "pad": True,
    "defaults": {"ppo": {"gamma": 0.9, "vf_coef": 0.25}},
    "stages": [{"task": "hover", "steps": 64}, {"task": POINT, "steps": 64}],
}


def test_a_plug_in_s_task_beside_somebody_else_s_environment(
    cli: Cli, site: Path, tmp_path: Path, tiny_flags: tuple[str, ...], quick_training: None
) -> None:
    install(site, "far-away", {"clrobot.tasks": {"hover": "far_hover:Hover"}}, {"far_hover": TASK})
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(CURRICULUM))
    done = cli("train", "--curriculum", "mine.yaml", *tiny_flags, "--ppo.gamma", "0.8", "--out", "run")
    assert done.code == 0, done
    run = RunFolder.open(tmp_path / "run")
    assert (run.config.ppo.gamma, run.config.ppo.vf_coef) == (0.8, 0.25), "flags override the curriculum's defaults"
    noted = json.loads((tmp_path / "run" / "environment.json").read_text())["sources"]
    assert noted == {
        "tasks": {"hover": {"distribution": "far-away", "version": "1.0"}},
        "worlds": {POINT: {"module": "support.point"}},
    }
    assert cli("evaluate", "run", "--episodes", "2").code == 0
    del gymnasium.registry["Point-v0"]
    missing = cli("evaluate", "run")
    assert missing.code == 2
    assert f"clrobot: run needs the world '{POINT}', which is not here; it came from support.point" in missing.err


def test_a_sweep_knows_its_finished_runs_although_their_worlds_were_measured(
    cli: Cli, tmp_path: Path, tiny_flags: tuple[str, ...], quick_training: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clrobot.experiment.config_file import read_config
    from clrobot.studies.driver import run_all
    from clrobot.studies.executors.local import LocalExecutor
    from clrobot.studies.sweep import sweep_study

    stages = [{"task": "reach", "steps": 64}, {"task": POINT, "steps": 64}]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(CURRICULUM | {"stages": stages, "order": "seed"}))
    monkeypatch.setattr(LocalExecutor, "run", lambda *_: pytest.fail("it is finished"))
    assert cli("train", "--curriculum", "mine.yaml", *tiny_flags, "--seed", "3", "--out", "runs/mine-ewc-3").code == 0
    settings = yaml.safe_load((tmp_path / "runs" / "mine-ewc-3" / "config.yaml").read_text())
    settings["curriculum"] = yaml.safe_load((tmp_path / "mine.yaml").read_text())
    settings["curriculum"]["stages"] = [stage | {"steps": 64} for stage in stages]
    (tmp_path / "planned.yaml").write_text(yaml.safe_dump(settings))
    _, (planned,) = sweep_study(read_config(tmp_path / "planned.yaml"), tmp_path / "runs", ["ewc"], [3])
    assert [run.finished for run in run_all([planned], 1, print).runs] == [True]


@pytest.mark.parametrize(
    ("stage", "clause"),
    [
        ({"task": "gymnasium:Reachr-v5"}, "did you mean gymnasium:Reacher-v5"),
        ({"task": POINT, "kwargs": {"fault": "nan"}}, "gives an observation with nan in step"),
        ({"task": POINT, "kwargs": {"fault": "broken"}}, "cannot be made (No module named 'wheels')"),
        ({"task": POINT}, "say pad: true in the curriculum"),
    ],
)
def test_bad_worlds_are_one_sentence(stage: dict[str, Any], clause: str, cli: Cli, tmp_path: Path) -> None:
    stages = [{"task": "reach", "steps": 64}, {"steps": 64} | stage]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"name": "mine", "stages": stages}))
    done = cli("train", "--curriculum", "mine.yaml", "--out", "run")
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert clause in done.err
    assert not (tmp_path / "run").exists()


def test_extending_with_another_world_is_refused_where_it_does_not_fit(tiny_copy: Path, cli: Cli) -> None:
    done = cli("extend", tiny_copy, "--task", POINT, "--steps", "64", "--out", "more")
    assert done.code == 2
    assert "say pad: true" in done.err


def test_a_run_is_extended_with_a_world_as_a_curriculum_says_it(cli: Cli, tmp_path: Path) -> None:
    first, later = {"task": POINT, "steps": 64}, {"task": POINT, "steps": 64, "horizon": 7}
    later |= {"success": {"return_above": -3.0}, "reward_scale": 0.5}
    with shortly():
        alone, planned = ({"name": "mine", "stages": stages} for stages in ([first], [first, later]))
        train(make_config(**settings("ewc", curriculum=alone)), tmp_path / "run")
        train(make_config(**settings("ewc", curriculum=planned)), tmp_path / "planned")
        said = "horizon: 7\nsuccess: {return_above: -3}\nreward_scale: 0.5"
        done = cli("extend", "run", "--task", POINT, "--steps", "64", "--world", said, "--out", "more")
    assert done.code == 0, done
    assert outcome(tmp_path / "more") == outcome(tmp_path / "planned")


@pytest.mark.parametrize(
    ("said", "clause"),
    [
        ("horizon 7", "--world 'horizon 7'; expected what a curriculum says of a stage, such as 'horizon: 200'"),
        ("{horizon: 7", "--world, line 1: expected ',' or '}'"),
        ("horizn: 7", "horizn"),
        ("horizon: 0", "horizon"),
        ("steps: 7", "has steps, which has its own place; leave it out there"),
        ("measured: {}", "has measured, which has its own place"),
        ("", "--world ''; expected what"),
        ("1: 2", "--world '1: 2'; expected what"),
    ],
)
def test_what_no_curriculum_says_is_one_sentence(said: str, clause: str, tiny_copy: Path, cli: Cli) -> None:
    done = cli("extend", tiny_copy, "--task", "reach", "--steps", "64", "--world", said, "--out", "more")
    assert (done.code, done.err.count("\n")) == (2, 1), done
    assert clause in done.err


def test_the_throughput_is_measured_beside_gymnasiums_own(cli: Cli, tmp_path: Path) -> None:
    gymnasium.register("Flat-v0", entry_point="support.point:Flat", max_episode_steps=10)
    done = cli(
        "bench", "--world", "gymnasium:Flat-v0", "--num-envs", "3", "--seconds", "0.01", "--json", "found.json"
    )
    assert done.code == 0, done
    found = json.loads((tmp_path / "found.json").read_text())
    assert min(found["steps_per_second"], found["own_steps_per_second"], found["ratio"]) > 0
    assert "Gymnasium's own" in done.out
    assert cli("bench", "--world", "reach").code == 2
