"""The experiment: train through a curriculum, and after every stage measure and film every skill so far."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure

from clrobot.agent import Agent
from clrobot.agents.method import Experience
from clrobot.agents.policies import MultiHeadPolicy
from clrobot.agents.ppo import begin_slot, make_ppo, whole_iterations
from clrobot.agents.shaping import shaping
from clrobot.checkpoint import save_checkpoint
from clrobot.config import RunConfig, make_method
from clrobot.curriculum import Curriculum
from clrobot.envs.make import make_vector_env
from clrobot.envs.sim import HORIZON
from clrobot.errors import UserError
from clrobot.evaluate import Evaluator
from clrobot.metrics import Score, run_metrics
from clrobot.record import Film, record
from clrobot.report import write_report
from clrobot.run_folder import RunFolder, check_free, stage_name
from clrobot.sb3_env import SlotVecEnv


class Observer(Protocol):
    """Is told how a training goes; the terminal's display is one."""

    def stage_started(self, stage: int, task: str, steps: int) -> None:
        """Stage `stage` (from 1) begins and will take `steps` steps."""

    def advanced(self, steps: int, success: float | None) -> None:
        """`steps` steps of the stage are done; `success` is the task's newest evaluation."""

    def working(self, what: str) -> None:
        """Something other than training takes time now: evaluating, recording."""

    def stage_finished(self, stage: int, row: list[Score]) -> None:
        """Stage `stage` is over, with these scores of every slot."""

    def warn(self, message: str) -> None:
        """Something failed that does not stop the training."""


class Silent:
    """An observer that shows nothing."""

    def stage_started(self, stage: int, task: str, steps: int) -> None:
        """Show nothing."""

    def advanced(self, steps: int, success: float | None) -> None:
        """Show nothing."""

    def working(self, what: str) -> None:
        """Show nothing."""

    def stage_finished(self, stage: int, row: list[Score]) -> None:
        """Show nothing."""

    def warn(self, message: str) -> None:
        """Write the warning to the standard error."""
        print(f"clrobot: warning: {message}", file=sys.stderr)


def train(config: RunConfig, out: Path, observer: Observer | None = None) -> RunFolder:
    """Train through the configured curriculum into the new folder `out`.

    Raises:
        UserError: `out` already holds something, or a setting cannot be used here.
    """
    return Training(config, out, observer or Silent()).run_all()


class Training:
    """One training, from the untrained agent (stage 0) on.

    Every random stream has a purpose of its own, so that measuring or remembering more changes nothing else.
    """

    def __init__(self, config: RunConfig, out: Path, observer: Observer) -> None:
        check_free(out)
        _check_device(config.device)
        th.set_num_threads(config.torch_threads)
        self.config = config
        self.observer = observer
        self.method = make_method(config)
        self.evaluator = Evaluator(config.curriculum, config.evaluation.seed)
        self.seconds = {"train": 0.0, "evaluate": 0.0, "method": 0.0, "record": 0.0}
        self.scores: list[Score] = []
        self.stage_ends: list[int] = []
        env = self._train_env(1)
        self.model: PPO = make_ppo(
            env,
            config.ppo,
            self.method.policy_class,
            config.network.widths,
            _seed(config.seed, "learner"),
            config.device,
        )
        self.run = RunFolder.create(out, config)
        self.model.set_logger(configure(str(out / "tensorboard"), ["tensorboard"]))
        self._evaluate_all(0)
        save_checkpoint(self.run, 0, 0, self.policy, self.method)

    @property
    def curriculum(self) -> Curriculum:
        """The stages to train through."""
        return self.config.curriculum

    @property
    def policy(self) -> MultiHeadPolicy:
        """The policy being trained."""
        assert isinstance(self.model.policy, MultiHeadPolicy)
        return self.model.policy

    def run_all(self) -> RunFolder:
        """Go through every stage, and write the report."""
        for stage in range(1, len(self.curriculum.stages) + 1):
            self.stage(stage)
        self.finish()
        return self.run

    def stage(self, stage: int) -> None:
        """Train stage `stage` (from 1), then evaluate every slot, save, and film every skill so far."""
        k, config = stage - 1, self.config
        steps = whole_iterations(self.curriculum.stages[k].steps, config.ppo)
        self.observer.stage_started(stage, self.curriculum.slots[k], steps)
        env = self._train_env(stage)
        begin_slot(self.model, k, env, steps, config.ppo)
        callback = _StageCallback(self, stage, steps)
        with self._timed("train"):
            self.method.before_task(self.model, k)
            with shaping(self.model, self.method) as cost:
                self.model.learn(steps, callback, reset_num_timesteps=False, tb_log_name=config.method)
        with self._timed("method"):
            self.observer.working(f"{config.method}: remembering {self.curriculum.slots[k]}")
            self.method.after_task(self.model, k, lambda n: self._collect(stage, n))
        env.close()
        self.seconds["train"] -= cost.seconds + callback.evaluation_seconds
        self.seconds["method"] += cost.seconds
        self.stage_ends.append(self.model.num_timesteps)
        row = self._evaluate_all(stage)
        save_checkpoint(self.run, stage, self.model.num_timesteps, self.policy, self.method)
        if config.video.enabled:
            self._film(stage, row)
        self._write_metrics()
        self.observer.stage_finished(stage, row)

    def finish(self) -> None:
        """Write the report; a failure there is a warning, since the run itself is whole."""
        self.model.logger.close()
        try:
            write_report(self.run.path)
        except Exception as error:
            self.observer.warn(f"no report was written ({error}); `clrobot report {self.run.path}` tries again")

    def _train_env(self, stage: int) -> SlotVecEnv:
        task = self.curriculum.stages[stage - 1].task
        env = SlotVecEnv(make_vector_env(task, self.config.ppo.num_envs, stagger=True), stage - 1)
        env.seed(_seed(self.config.seed, "training", stage))
        return env

    def _evaluate_all(self, stage: int) -> list[Score]:
        self.observer.working("evaluating")
        with self._timed("evaluate"):
            row = [
                self.evaluator.score(
                    self.policy,
                    slot,
                    self.config.evaluation.episodes,
                    stage=stage,
                    step=self.model.num_timesteps,
                )
                for slot in range(len(self.curriculum.stages))
            ]
        self.add_scores(row)
        return row

    def add_scores(self, scores: list[Score]) -> None:
        """Append lines to `scores.jsonl`."""
        self.scores += scores
        with self.run.scores_file.open("a", encoding="utf-8") as file:
            for score in scores:
                file.write(json.dumps(dataclasses.asdict(score)) + "\n")

    def _collect(self, stage: int, n: int) -> Experience:
        """Return n on-policy samples, spread evenly over whole episodes of the stage's task."""
        seed = _seed(self.config.seed, "collecting", stage)
        task = self.curriculum.stages[stage - 1].task
        env = SlotVecEnv(make_vector_env(task, max(1, -(-n // HORIZON))), stage - 1)
        env.seed(seed)
        obs: Any = env.reset()
        observations, actions = [], []
        with th.random.fork_rng(devices=[]), th.no_grad():
            th.manual_seed(seed)
            for _ in range(HORIZON):
                tensor = th.as_tensor(obs, device=self.model.device)
                action, _, _ = self.policy(tensor)
                observations.append(tensor)
                actions.append(action)
                space: Any = self.model.action_space
                obs, *_ = env.step(np.clip(action.cpu().numpy(), space.low, space.high))
        env.close()
        all_observations, all_actions = th.cat(observations), th.cat(actions)
        chosen = np.random.default_rng(seed).permutation(len(all_actions))[:n]
        chosen.sort()
        return Experience(all_observations[chosen], all_actions[chosen])

    def _film(self, stage: int, row: list[Score]) -> None:
        """Record every task seen so far; a failure is a warning and never stops the training."""
        agent = Agent(self.policy, self.curriculum.slots, stage)
        with self._timed("record"):
            for slot in range(stage):
                name = self.curriculum.slots[slot]
                self.observer.working(f"recording {name}")
                path = self.run.videos / stage_name(stage) / f"{name}.mp4"
                film = Film(stage, self.config.method, row[slot].success_any)
                settings = self.config.video
                try:
                    record(
                        path,
                        agent,
                        self.curriculum,
                        slot,
                        film,
                        episodes=settings.episodes,
                        seed=self.config.evaluation.seed,
                    )
                except Exception as error:
                    self.observer.warn(f"{path.name} of stage {stage} was not recorded: {error}")

    def _write_metrics(self) -> None:
        content = run_metrics(
            self.scores,
            self.curriculum.slots,
            self.stage_ends,
            parameters=self.policy.parameter_counts(),
            memory_bytes=self.method.memory_bytes(),
            seconds={name: round(value, 3) for name, value in self.seconds.items()},
        )
        self.run.write_json("metrics.json", content)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[what] += time.perf_counter() - started

    def evaluate_curve(self, stage: int) -> Score:
        """Evaluate the stage's own slot during it, for the learning curve."""
        with self._timed("evaluate"):
            score = self.evaluator.score(
                self.policy,
                stage - 1,
                self.config.evaluation.curve_episodes,
                stage=stage,
                step=self.model.num_timesteps,
            )
        self.add_scores([score])
        return score


class _StageCallback(BaseCallback):
    """Evaluates the stage's own slot at even intervals, and tells the observer how far the stage is."""

    def __init__(self, training: Training, stage: int, steps: int) -> None:
        super().__init__()
        self.training_run = training
        self.stage = stage
        self.start = training.model.num_timesteps
        points = training.config.evaluation.curve_points
        # The stage's end is evaluated with all slots: the points lie before it.
        self.due = [self.start + steps * (i + 1) // (points + 1) for i in range(points)]
        self.success: float | None = None
        self.evaluation_seconds = 0.0

    def _on_rollout_start(self) -> None:
        if self.due and self.num_timesteps >= self.due[0]:
            while self.due and self.num_timesteps >= self.due[0]:
                self.due.pop(0)
            started = time.perf_counter()
            self.success = self.training_run.evaluate_curve(self.stage).success_any
            self.evaluation_seconds += time.perf_counter() - started
        self.training_run.observer.advanced(self.num_timesteps - self.start, self.success)

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self.training_run.observer.advanced(self.num_timesteps - self.start, self.success)


_PURPOSES = ("learner", "training", "collecting")


def _seed(seed: int, purpose: str, stage: int = 0) -> int:
    """Return a seed of its own for each purpose and stage of a run."""
    state: Any = np.random.SeedSequence([seed, _PURPOSES.index(purpose), stage]).generate_state(1)
    return int(state[0] >> 1)


def _check_device(device: str) -> None:
    try:
        float(th.zeros(1, device=device) + 1)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"device {device!r} cannot be used ({reason}); expected cpu, or cuda where there is one"
        ) from error
