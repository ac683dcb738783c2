"""A new skill that begins where an old one ends: what is chosen, what it costs, that resumed it is the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch as th
from safetensors.torch import load_file
from stable_baselines3 import SAC
from support.outcomes import outcome, stopped
from support.trainings import settings

import clrobot.training.race
import clrobot.training.trial
import clrobot.training.warm_start
from clrobot.agents.vec_env import JointVecEnv, SlotVecEnv
from clrobot.envs.worlds.make import make_vector_env
from clrobot.envs.worlds.reward_scale import RunningRewards
from clrobot.errors import UserError
from clrobot.experiment.config import make_config, start_of
from clrobot.experiment.config_file import dump_config
from clrobot.experiment.method import make_method
from clrobot.experiment.warm_start import WarmStartSettings
from clrobot.runs.checkpoint import load_agent
from clrobot.runs.folder import RunFolder
from clrobot.runs.metrics_file import rebuild_metrics
from clrobot.runs.score_book import read_scores
from clrobot.runs.snapshot import snapshots
from clrobot.training.extend import extend
from clrobot.training.race import Race, _Rewards
from clrobot.training.resuming import resume
from clrobot.training.start_check import check_start
from clrobot.training.training import train
from clrobot.training.trial import Trial, clearly_better, is_above, ranked, solver, try_slots
from clrobot.training.untrained import untrained
from clrobot.training.warm_start import by_transfer

pytestmark = pytest.mark.usefixtures("quick_training")

TINY_SAC = {"num_envs": 4, "train_freq": 8, "gradient_steps": 2, "batch_size": 16, "learning_starts": 64}
START = {"trial_envs": 2, "trial_steps": 10, "race_share": 0.1}


def chosen(choose: str, method: str = "distillation", **changes: Any) -> dict[str, Any]:
    return settings(method) | {"steps": 512, "warm_start": START | {"choose": choose} | changes}


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run in which each slot's start was raced for, kickstarted by the winner. Only to be read."""
    from support.trainings import quickly

    config = make_config(**chosen("race", kickstart=1.0, kickstart_share=0.9) | {"seed": 1})
    with quickly():
        run = train(config, tmp_path_factory.mktemp("raced") / "run")
    assert [task.grown_from for task in run.read_metrics().per_task] == [None, "reach", "button-press"]
    return run


# What a run says -------------------------------------------------------------------------------------------


def test_every_step_of_trial_and_race_is_counted_and_comes_off_the_stage(raced: RunFolder) -> None:
    metrics = raced.read_metrics()
    # 2 simulations of 10 steps for each start, and iterations of 64 for each loser of the race.
    assert [task.trial_steps for task in metrics.per_task] == [None, 2 * 20 + 64, 3 * 20 + 2 * 64]
    assert metrics.stage_ends == (512, 512 + 104 + 6 * 64, 1000 + 188 + 5 * 64)  # what is left, in whole iterations
    assert np.diff((0, *metrics.stage_ends)).max() <= 512
    tried = sum(entry.trial_steps for entry in metrics.grown)
    assert metrics.environment_steps.learning == metrics.stage_ends[-1] - tried
    assert metrics.environment_steps.method == tried + 3 * 100  # what distillation collects beyond the rollout
    # 2 passes of 2 minibatches an iteration; of the losers' 3 iterations too.
    assert metrics.gradient_steps.learning == metrics.environment_steps.learning // 64 * 4
    assert metrics.gradient_steps.method == 3 * 4
    assert metrics.memory_bytes < 60_000, "the teacher is let go of"


def test_metrics_that_are_written_anew_say_the_same(raced: RunFolder, tmp_path: Path) -> None:
    copy = RunFolder.open(Path(shutil.copytree(raced.path, tmp_path / "run")))
    assert rebuild_metrics(copy) == raced.read_metrics()


@pytest.mark.parametrize(("choose", "tried"), [("return", [2, 3]), ("clear", [2, 3]), ("success", [1, 2])])
def test_the_steps_of_a_trial_are_those_that_its_simulations_take(
    choose: str, tried: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of the fresh slot too, but where it would not be taken however it did."""
    taken: list[int] = []

    class Counted(SlotVecEnv):
        def step_wait(self) -> Any:
            taken.append(self.num_envs)
            return super().step_wait()

    monkeypatch.setattr(clrobot.training.trial, "SlotVecEnv", Counted)
    metrics = train(make_config(**chosen(choose, "finetune", trial_envs=3)), tmp_path / "run").read_metrics()
    assert [task.trial_steps for task in metrics.per_task] == [None, *(30 * slots for slots in tried)]
    assert sum(taken) == 30 * sum(tried)


def test_old_heads_stay_bit_for_bit_and_the_copy_is_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies: list[tuple[dict, dict]] = []
    begin = clrobot.training.warm_start.begin_new_slot

    def seen(config, learner, *rest: Any) -> None:
        before = {name: tensor.clone() for name, tensor in learner.policy.state_dict().items()}
        begin(config, learner, *rest)
        copies.append((before, {name: tensor.clone() for name, tensor in learner.policy.state_dict().items()}))

    monkeypatch.setattr("clrobot.training.stage.begin_new_slot", seen)
    run = train(make_config(**chosen("newest", critic="fresh")), tmp_path / "run")
    assert [task.grown_from for task in run.read_metrics().per_task] == [None, "reach", "button-press"]
    assert [task.trial_steps for task in run.read_metrics().per_task] == [None, 0, 0]
    for slot, (before, after) in enumerate(copies):
        for name, tensor in after.items():
            mine = name.startswith(f"action_net.heads.{slot}.") and slot > 0
            expected = after[name.replace(f"heads.{slot}", f"heads.{slot - 1}")] if mine else before[name]
            assert th.equal(tensor, expected), name
    policies = [load_agent(run, stage).policy.state_dict() for stage in (1, 2, 3)]
    for name, tensor in policies[0].items():
        if "heads.0." in name or "log_stds.0" in name:
            assert th.equal(tensor, policies[2][name])


def test_a_race_leaves_no_trace_but_its_choice(
    raced: RunFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = raced.config.curriculum.slots
    winners = {
        task.slot: task.slot if task.grown_from is None else names.index(task.grown_from)
        for task in raced.read_metrics().per_task
    }
    monkeypatch.setattr(Race, "winner", lambda self, starts, begin: winners[self._plan.slot])
    again = train(raced.config, tmp_path / "run")
    for stage in range(4):
        for name in ("weights", "method"):
            file = f"stage_{stage:02d}/{name}.safetensors"
            assert (raced.path / file).read_bytes() == (again.path / file).read_bytes()
    assert (raced.path / "scores.jsonl").read_bytes() == (again.path / "scores.jsonl").read_bytes()


# Resumed ---------------------------------------------------------------------------------------------------


def test_one_stopped_before_its_trial_chooses_and_learns_the_same(raced: RunFolder, tmp_path: Path) -> None:
    run = stopped(tmp_path / "run", "distillation", 21, **without_method(raced))
    assert [score.stage for score in read_scores(run / "scores.jsonl")][-1] == 3, "the curve's first point"
    resume(run)
    assert outcome(run) == outcome(raced.path)


def test_one_stopped_while_a_teacher_teaches_goes_on_with_the_same_bits(raced: RunFolder, tmp_path: Path) -> None:
    run = stopped(tmp_path / "run", "distillation", 24, **without_method(raced))
    kept = load_file(snapshots(run / "resume")[0] / "method.safetensors")
    assert any(name.startswith("kickstart/teacher.") for name in kept)
    resume(run)
    assert outcome(run) == outcome(raced.path)


def without_method(run: RunFolder) -> dict[str, Any]:
    return {name: value for name, value in run.config.model_dump(mode="json").items() if name != "method"}


def test_one_killed_within_its_race_redoes_trial_and_race(
    raced: RunFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    learn, left = Race._learn, [4]  # the second stage has two races, the third three: killed in its second

    def killed(self: Race) -> float:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return learn(self)

    monkeypatch.setattr(Race, "_learn", killed)
    with pytest.raises(KeyboardInterrupt):
        train(raced.config, tmp_path / "run")
    monkeypatch.undo()
    resume(tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(raced.path)


def test_sac_explores_with_what_it_begins_with_and_resumes_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acted: list[tuple[int, bool]] = []
    sample = SAC._sample_action

    def seen(self: SAC, learning_starts: int, *rest: Any, **others: Any) -> Any:
        acted.append((self.num_timesteps // 128, self.num_timesteps < learning_starts))
        return sample(self, learning_starts, *rest, **others)

    monkeypatch.setattr(SAC, "_sample_action", seen)
    changes = {name: value for name, value in chosen("newest", "finetune").items() if name != "method"}
    two = {"name": "two", "stages": [{"task": task, "steps": 128} for task in ("reach", "button-press")]}
    changes |= {"algo": "sac", "steps": 128, "sac": TINY_SAC, "curriculum": two}
    whole = train(make_config(method="finetune", **changes), tmp_path / "whole")
    assert {stage for stage, at_random in acted if at_random} == {0}
    assert {stage for stage, _ in acted} == {0, 1}
    run = stopped(tmp_path / "run", "finetune", 12, **changes)
    resume(run)
    assert outcome(run) == outcome(whole.path)


# Choosing --------------------------------------------------------------------------------------------------


def test_the_best_by_return_comes_first_and_one_that_diverged_last() -> None:
    returns = np.array([[1.0, 2.0], [5.0, 3.0], [np.nan, 9.0], [4.0, 2.0]])
    assert ranked(returns) == [1, 3, 0, 2]


def test_the_test_asks_for_more_than_chance() -> None:
    rng = np.random.default_rng(0)
    fresh = rng.normal(0.0, 1.0, 32)
    assert is_above(fresh + 2.0, fresh)
    assert not is_above(fresh + 0.1, fresh)
    assert not is_above(fresh - 2.0, fresh)
    assert is_above(np.ones(4), np.zeros(4))
    assert not is_above(np.zeros(4), np.zeros(4))


def test_the_test_keeps_its_level() -> None:
    rng = np.random.default_rng(1)
    above = sum(is_above(rng.normal(0, 1, 20), rng.normal(0, 3, 20)) for _ in range(1000))
    assert 25 < above < 75  # 50 expected; the spreads differ, as Welch's test allows


@pytest.mark.parametrize(
    ("solved", "expected"),
    [
        ([[1, 0, 0, 0], [1, 1, 0, 0]], 1),  # the most often
        ([[1, 0, 0, 0], [0, 1, 0, 0]], 1),  # of equals the greater return
        ([[1, 0, 0, 0], [0, 0, 0, 0]], 0),  # though another has the greater return
        ([[0, 0, 0, 0], [0, 0, 0, 0]], None),
    ],
)
def test_the_slot_that_solves_the_task_most_often_is_taken(solved: list[list[int]], expected: int | None) -> None:
    returns = np.array([[1.0] * 4, [2.0] * 4])
    assert solver(Trial(returns, np.array(solved, bool)), 0.25) == expected
    assert solver(Trial(returns, np.array(solved, bool)), 0.75) is None


@pytest.mark.parametrize(
    ("returns", "solved", "expected"),
    [
        ([12.0, 30.0, 2.0], [1, 0, 0], 0),  # six times what the fresh head gets, and it solves the task once
        ([11.9, 30.0, 2.0], [1, 0, 0], None),
        ([11.9, 30.0, 2.0], [2, 0, 0], 0),  # it solves the task mostly
        ([9.0, 72.0, 2.0], [0, 0, 0], 1),  # six times six
        ([9.0, 71.9, 2.0], [0, 0, 0], None),
        ([11.9, 72.0, 2.0], [1, 0, 0], 1),
        ([0.0, 0.5, 0.0], [0, 0, 0], 1),  # any reward is clearly more than none
        ([0.0, 0.0, 0.0], [0, 0, 0], None),
        ([-60.0, -8.0, -48.0], [0, 1, 0], 1),  # a sixth of the cost
        ([-60.0, -8.1, -48.0], [0, 1, 0], None),
        ([-60.0, 7.0, -1.0], [0, 0, 0], 1),
        ([36.0, float("nan"), 1.0], [0, 0, 0], 0),
        ([float("nan"), float("nan"), 1.0], [0, 0, 0], None),
        ([float("inf"), float("inf"), 1.0], [0, 0, 0], None),
        ([9.0, 12.0, float("-inf")], [0, 0, 0], None),
    ],
)
def test_a_start_that_is_clearly_better_than_chance_is_taken(
    returns: list[float], solved: list[int], expected: int | None
) -> None:
    """The last slot is the fresh one; a number of four simulations solve the task."""
    trial = Trial(np.repeat(returns, 4).reshape(3, 4), np.arange(4) < np.array(solved)[:, None])
    assert clearly_better(trial, 6.0) == expected


def test_a_trial_counts_what_is_solved_at_any_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an episode that ends within the trial its info tells: the next one has begun by then."""
    told = iter([([True, False, False], []), ([False] * 3, [1]), ([False] * 3, [])])

    class Told(SlotVecEnv):
        solved: Any = None

        def step(self, actions: Any) -> Any:
            obs, rewards, dones, infos = super().step(actions)
            self.solved, ended = next(told)
            return obs, rewards, dones, [info | {"is_success": i in ended} for i, info in enumerate(infos)]

    monkeypatch.setattr(clrobot.training.trial, "SlotVecEnv", Told)
    config = make_config(**chosen("return", "finetune", trial_envs=3, trial_steps=3))
    learner, _ = untrained(config)
    trial = try_slots(config, learner.policy, 0, seed=0)
    assert trial.solved.tolist() == [[True, True, False]]
    assert np.isfinite(trial.returns).all()


def test_the_oracle_takes_the_greatest_transfer_or_begins_anew() -> None:
    transfer = {("a", "c"): 0.2, ("b", "c"): 0.5, ("a", "d"): -0.1, ("b", "d"): 0.05}
    assert by_transfer(transfer, ["a", "b", "c"]) == 1
    assert by_transfer(transfer, ["a", "b", "d"]) == 2, "so little is chance"
    assert by_transfer(transfer, ["a", "b", "a"]) == 0  # recall
    with pytest.raises(UserError, match="has no e → c"):
        by_transfer(transfer, ["a", "e", "c"])


def test_each_way_of_choosing_costs_what_it_says() -> None:
    def cost(choose: Any, earlier: int) -> tuple[int, ...]:
        return tuple(WarmStartSettings(choose=choose).cost(earlier, 4096))

    assert {cost(choose, 3) for choose in ("none", "newest", "random", "oracle")} == {(0, 1, 0)}
    assert cost("return", 3) == cost("test", 3) == cost("clear", 3) == (4 * 4 * 100, 1, 0)
    assert cost("success", 3) == (3 * 4 * 100, 1, 0)
    assert cost("race", 1) == (2 * 4 * 100, 2, 4096)
    assert cost("race", 9) == (10 * 4 * 100, 3, 4096)
    assert cost("race", 0) == (0, 1, 0)


# Refused ---------------------------------------------------------------------------------------------------

ONE_HEAD = {
    "name": "one",
    "heads": "one",
    "stages": [{"task": "reach", "steps": 512}, {"task": "reach", "steps": 512}],
}


ONE = {"name": "alone", "stages": [{"task": "reach", "steps": 512}]}
SILENT = {
    "name": "silent",
    "stages": [{"task": "gymnasium:Reacher-v5", "steps": 512}, {"task": "gymnasium:Pusher-v5", "steps": 512}],
}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"method": "scratch"}, "scratch learns each task from fresh weights"),
        ({"method": "multitask"}, "none comes after another"),
        ({"method": "progress-compress"}, "reads the knowledge base"),
        ({"method": "packnet"}, "through every weight that was kept, an old one through fewer"),
        ({"method": "progressive", "progressive": {"later_width": 0.5}}, "other widths than the first"),
        ({"method": "ewc", "curriculum": ONE_HEAD}, "heads: one"),
        ({"plasticity": {"reset_optimizer": False}}, "fresh moments"),
        ({"warm_start": START | {"choose": "oracle"}}, "has no reach → button-press"),
        ({"warm_start": {"choose": "test", "actor": "fresh", "critic": "fresh"}}, "changes nothing"),
        ({"warm_start": {"kickstart": 1.0, "choose": "none"}}, "a teacher; choose one: --warm-start.choose test"),
        ({"warm_start": {"kickstart": 1.0}, "method": "scratch"}, "a teacher, and scratch learns .*; leave it out"),
        ({"warm_start": {"kickstart": 1.0}, "curriculum": ONE}, "a teacher, and alone has one task; leave it out"),
        ({"warm_start": {"choose": "oracle"}, "curriculum": "shift5"}, "usual worlds, and drawer-open has overrides"),
        ({"warm_start": {"choose": "success"}, "curriculum": SILENT}, "success in Pusher-v5; choose test or race"),
        ({"warm_start": {}, "gradient": {"clip": "apart"}, "algo": "sac"}, "are not clipped at all"),
        ({"warm_start": {}, "gradient": {"clip": "apart"}, "method": "packnet"}, "more to the gradient"),
        ({"warm_start": {}, "gradient": {"clip": "apart"}, "method": "a-gem"}, "more to the gradient"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(
    changes: dict[str, Any], match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clrobot.training.warm_start, "published_transfer", dict)
    config = make_config(**chosen("race") | changes)
    with pytest.raises(UserError, match=match) as error:
        check_start(config, make_method(config))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("method", ["finetune", "ewc", "si", "distillation", "mas+replay", "progressive"])
def test_what_only_adds_may_be_clipped_apart(method: str) -> None:
    config = make_config(method=method, gradient={"clip": "apart"}, plasticity={"l2_init": 0.1})
    check_start(config, make_method(config))


def test_one_task_has_nothing_to_begin_as(tmp_path: Path) -> None:
    alone = {"curriculum": {"name": "alone", "stages": [{"task": "reach", "steps": 512}]}}
    with pytest.raises(UserError, match="needs two tasks or more, and alone has one"):
        train(make_config(**chosen("test") | alone), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_stage_that_the_trial_uses_up_is_refused() -> None:
    with pytest.raises(UserError, match=r"drawer-open has 512 control steps, .* takes 450 before it learns"):
        untrained(make_config(**chosen("return", trial_envs=15)))
    untrained(make_config(**chosen("return", trial_envs=14)))  # 420, and an iteration of 64 is left


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--method", "scratch", "--warm-start.choose", "return"], "scratch learns each task from fresh weights"),
        (["--method", "ewc", "--warm-start.choose", "returns"], "warm-start.choose"),
        (["--method", "agem", "--gradient.clip", "apart"], "a-gem"),
    ],
)
def test_on_the_command_line_it_is_one_sentence_and_nothing_is_made(
    words: list[str], match: str, cli: Any, tmp_path: Path
) -> None:
    outcome = cli("train", *words, "--out", "run")
    assert outcome.code == 2
    assert match in outcome.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--method", "distillation"], "clear"),
        (["--method", "scratch"], "none"),
        (["--method", "scratch", "--curriculum", "pusher2"], "none"),  # whose defaults are read first
        (["--method", "distillation", "--warm-start.choose", "none"], "none"),
        (["--config", "ewc.yaml"], "clear"),
        (["--config", "ewc.yaml", "--method", "scratch"], "none"),
        (["--config", "run.yaml", "--method", "scratch"], "none"),
    ],
)
def test_the_default_goes_by_what_the_flags_make_of_the_settings(
    words: list[str], expected: str, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    monkeypatch.setattr("clrobot.cli.settings.train_run", lambda config, *_: found.append(start_of(config, 1).choose))
    monkeypatch.setattr("clrobot.cli.settings.summarise", lambda *_: None)
    Path("ewc.yaml").write_text("method: ewc\ncurriculum: quick\n")
    Path("run.yaml").write_text(dump_config(make_config(curriculum="quick", method="ewc")))
    assert cli("train", *words).code == 0
    assert found == [expected]


# Taken further ---------------------------------------------------------------------------------------------


def test_a_run_can_be_taken_further_from_an_old_skill(tmp_path: Path) -> None:
    alone = {"curriculum": {"name": "alone", "stages": [{"task": "reach", "steps": 64}]}, "steps": None}
    run = train(make_config(**settings("finetune") | alone), tmp_path / "run")
    changes = {"warm_start": {"choose": "newest"}}
    further = resume(extend(run, "button-press", 64, tmp_path / "further", changes=changes).path)
    assert [task.grown_from for task in further.read_metrics().per_task] == [None, "reach"]
    both = {"curriculum": {"name": "alone", "stages": [{"task": t, "steps": 64} for t in ("reach", "button-press")]}}
    planned = train(make_config(**settings("finetune") | alone | both | changes), tmp_path / "planned")
    file = "stage_02/weights.safetensors"
    assert (planned.path / file).read_bytes() == (further.path / file).read_bytes()


def test_a_run_that_is_taken_further_begins_as_one_that_was_planned_so(tmp_path: Path) -> None:
    usual = settings("finetune") | {"steps": None, "warm_start": {"trial_envs": 2, "trial_steps": 6}}
    stages = [{"task": task, "steps": 128} for task in ("reach", "button-press")]
    alone, both = ({"curriculum": {"name": "alone", "stages": stages[:n]}} for n in (1, 2))
    run = train(make_config(**usual | alone), tmp_path / "run")
    further = resume(extend(run, "button-press", 128, tmp_path / "further").path)
    planned = train(make_config(**usual | both), tmp_path / "planned")
    assert [task.trial_steps for task in planned.read_metrics().per_task] == [None, 24]
    assert further.read_metrics().grown == planned.read_metrics().grown
    file = "stage_02/weights.safetensors"
    assert (planned.path / file).read_bytes() == (further.path / file).read_bytes()


@pytest.mark.parametrize("sound", [True, False])
def test_the_updates_of_a_race_are_those_of_each_loser(sound: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start may stop its epochs early (`ppo.target_kl`), so that no two races need have as many.

    One whose weights go to no numbers loses, and ends no training.
    """
    races = iter([(3, 0.5), (5, 2.0), (7, 1.0)])  # updates, reward; the second wins, if it is sound
    reward = 0.0

    @contextmanager
    def hooks(*_: Any) -> Iterator[Any]:
        nonlocal reward
        updates, reward = next(races)
        yield SimpleNamespace(updates=updates)

    def learn(_: int, rewards: Any, **__: Any) -> None:
        rewards.means = [reward] * 4
        if not is_finite():
            raise ValueError("Expected parameter loc to satisfy the constraint Real()")

    def is_finite() -> bool:
        return sound or reward != 2.0

    monkeypatch.setattr(clrobot.training.race, "gradient_hooks", hooks)
    monkeypatch.setattr(clrobot.training.race, "Beginning", Mock())
    parts: Any = SimpleNamespace(
        config=SimpleNamespace(gradient=SimpleNamespace(apart=())),
        learner=SimpleNamespace(
            model=SimpleNamespace(learn=learn, logger=None, set_logger=lambda _: None), is_finite=is_finite
        ),
        plan=SimpleNamespace(slot=2, phases=[SimpleNamespace(name="all")], begin=SimpleNamespace(race=2, racers=3)),
    )
    race = Race(parts.config, parts.learner, Mock(), parts.plan, Mock())
    assert race.winner([2, 0, 1], lambda _: None) == (0 if sound else 1)
    assert race.losers_updates == 3 + (7 if sound else 5)


def test_a_race_goes_by_what_the_world_pays_and_not_by_a_running_scale() -> None:
    """Divided by its own spread, what does badly all the time earns as much as what does well."""
    bare, scaled = (make_vector_env("reach", 3, threads=1) for _ in range(2))
    env = SlotVecEnv(RunningRewards(scaled), slot=0)
    judged, learned, paid = _Rewards(JointVecEnv([env])), [], []
    env.seed(5)
    env.reset()
    bare.reset(seed=5)
    for _ in range(4):
        action = np.full((3, 4), 0.5, np.float32)
        learned.append(env.step(action)[1])
        paid.append(bare.step(action)[1])
        judged._on_step()
    assert judged.means == [float(np.mean(p)) for p in paid]
    assert judged.at_the_end() == np.mean(judged.means[2:])
    assert not np.allclose(learned, paid)


def test_a_trial_that_fails_closes_its_simulations(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    class Failing(SlotVecEnv):
        def step(self, actions: Any) -> Any:
            raise OSError("a world went wrong")

        def close(self) -> None:
            closed.append(self)
            super().close()

    monkeypatch.setattr(clrobot.training.trial, "SlotVecEnv", Failing)
    config = make_config(**chosen("return", "finetune"))
    learner, _ = untrained(config)
    with pytest.raises(OSError, match="a world went wrong"):
        try_slots(config, learner.policy, 0, seed=0)
    assert len(closed) == 1
