"""The experiment: train through a curriculum, and after every stage measure and film every skill so far."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch as th
from safetensors import SafetensorError
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.utils import set_random_seed

from clrobot.agents.methods.shared.gradient_hooks import shaping
from clrobot.agents.methods.shared.method import Phase
from clrobot.agents.methods.shared.plasticity import dormant_share
from clrobot.agents.policies.policy import SlotPolicy
from clrobot.agents.vec_env import JointVecEnv, SlotVecEnv, TrainEnv
from clrobot.errors import UserError
from clrobot.evaluation.agent import Agent
from clrobot.evaluation.collect import collect
from clrobot.evaluation.evaluator import RECOGNITION_STEPS, Evaluator
from clrobot.experiment.build import check_device, make_algorithm, make_method, network_arguments
from clrobot.experiment.choices import method_classes
from clrobot.experiment.config import RunConfig
from clrobot.experiment.curriculum import Curriculum
from clrobot.experiment.memory import check_memory
from clrobot.experiment.stage_env import stage_env
from clrobot.files import MANIFEST, atomic
from clrobot.films.record import Film, record
from clrobot.report.page import write_report
from clrobot.results.scores import Score
from clrobot.runs.checkpoint import load_agent, load_method_state, save_checkpoint
from clrobot.runs.folder import RunFolder, check_free, stage_name
from clrobot.runs.metrics_file import Costs, write_metrics
from clrobot.runs.references import default_store, reference_areas
from clrobot.runs.score_book import read_scores
from clrobot.runs.snapshot import Damaged, Progress, Snapshot, snapshots, write_snapshot
from clrobot.training.callback import StageCallback, Stopped
from clrobot.training.observer import Observer, Silent
from clrobot.training.seeds import seed_for
from clrobot.training.tensorboard import tensorboard_logger, without_traces
from clrobot.training.tracking import Tracking


def train(config: RunConfig, out: Path, observer: Observer | None = None) -> RunFolder:
    """Train through the configured curriculum into the new folder `out`.

    Raises:
        UserError: `out` already holds something, a setting cannot be used here, or the training went to NaN.
    """
    return Training.begin(config, out, observer or Silent()).run_all()


def resume(path: Path, observer: Observer | None = None) -> RunFolder:
    """Go on with an unfinished training; it ends with the same bits as one that never stopped.

    Raises:
        UserError: there is no run, it is finished, another process trains it, or none of its snapshots is whole.
    """
    return Training.resume(path, observer or Silent()).run_all()


class Training:
    """One training, from the untrained agent (stage 0) on; made by `begin` or `resume`.

    Every random stream has a purpose of its own, so that measuring or remembering more changes nothing else.

    Attributes:
        stop: set it to ask the training to save itself and raise `Stopped` at the next boundary.
    """

    run: RunFolder

    def __init__(self, config: RunConfig, observer: Observer) -> None:
        check_memory(config)
        check_device(config.device)
        th.set_num_threads(config.torch_threads)
        self.config = config
        self.observer = observer
        self.stop = False
        self.algorithm = make_algorithm(config)
        self.tracking = Tracking(config, observer.warn)
        self.method = make_method(config)
        self.all_at_once = any(part.trains_all_tasks for part in method_classes(config.method))
        self.evaluator = Evaluator(config.curriculum, config.evaluation.seed)
        self.seconds = {"train": 0.0, "evaluate": 0.0, "method": 0.0, "record": 0.0, "save": 0.0}
        self.scores: list[Score] = []
        self.stage_ends: list[int] = []
        self.gradient_steps = 0
        self.per_stage: list[dict[str, Any]] = []  # capacity and cost after each finished stage
        self.divergences = 0
        self.film_failures = 0
        self._last_saved, self._last_saved_step = time.monotonic(), 0
        self._from: Snapshot | None = None
        self.model: BaseAlgorithm = self.algorithm.make(
            self._train_env(1), network_arguments(config), seed_for(config.seed, "learner"), config.device
        )

    @classmethod
    def begin(cls, config: RunConfig, out: Path, observer: Observer) -> Training:
        """Make the run's folder, and measure and save the untrained agent."""
        check_free(out)
        training = cls(config, observer)
        training._check_memory()
        training.run = RunFolder.create(out, config)
        training.run.lock()
        with training._writing():
            training._begin()
        return training

    def _begin(self) -> None:
        self._begin_logging()
        self._evaluate_all(0)
        save_checkpoint(self.run, 0, self.model, self.method)

    @classmethod
    def resume(cls, path: Path, observer: Observer) -> Training:
        """Open an unfinished run and put everything back as its newest whole snapshot has it."""
        run = RunFolder.open(path)
        if run.finished:
            raise UserError(f"{path} is finished; there is nothing to resume")
        run.lock()
        training = cls(run.config, observer)
        training.run = run
        for folder in snapshots(run.resume):
            try:
                snapshot = Snapshot(folder)
            except Damaged as error:
                observer.warn(f"{error}; an older one is used")
                continue
            with training._writing():
                training._restore(snapshot)
            return training
        with training._writing():
            if training._restore_stage():
                if snapshots(run.resume):
                    done = len(training.stage_ends)
                    observer.warn(f"{path} holds no whole snapshot: it goes on from the end of stage {done}")
                return training
            # Stopped before its first checkpoint, or none is whole: from the start, which gives the same bits.
            observer.warn(f"{path} holds no whole snapshot: it starts anew")
            run.clear()
            training._begin()
        return training

    def _restore_stage(self) -> bool:
        """Put everything back as the newest finished stage left it; the next stage depends on nothing else.

        Returns False where there is none, or where it would not lead to the same bits.
        """
        stages = [stage for stage in self.run.stages() if stage > 0]
        if not stages or not self.config.plasticity.reset_optimizer:
            return False
        stage = stages[-1]
        try:
            agent, (remembered, info) = load_agent(self.run, stage), load_method_state(self.run, stage)
            metrics, lines = self.run.read_metrics(), read_scores(self.run.scores_file)
        except UserError:
            return False
        if metrics["stages_done"] != stage:
            return False
        while self.policy.slots < agent.policy.slots:
            self.policy.add_slot()
        self.policy.load_state_dict(agent.policy.state_dict())
        self.method.load_state_dict(remembered)
        self.seconds |= metrics["seconds"]
        self.gradient_steps, self.per_stage = metrics["gradient_steps"], metrics["per_stage"]
        self.divergences, self.film_failures = metrics["diverged_simulations"], metrics["failed_recordings"]
        self.scores = [score for score in lines if score.stage <= stage]
        (self.run.path / MANIFEST).unlink(missing_ok=True)  # written again at the stage's end
        self._rewrite_scores()
        self.stage_ends = list(metrics["stage_ends"])
        self.model.num_timesteps, self.model._n_updates = info.step, info.updates
        self.model.set_logger(tensorboard_logger(self.run.path / "tensorboard", purge_step=info.step + 1))
        return True

    def _restore(self, snapshot: Snapshot) -> None:
        progress = snapshot.progress
        stages = len(self.curriculum.stages)
        lines = read_scores(self.run.scores_file)
        if progress.stage > stages or progress.scores > len(lines):
            raise UserError(
                f"{snapshot.folder} is of stage {progress.stage} and {progress.scores} scores, but the run has "
                f"{stages} stages and {len(lines)} scores; the run's files do not belong together"
            )
        self._from = snapshot
        self.seconds |= progress.seconds
        self.divergences, self.film_failures = progress.divergences, progress.film_failures
        self.gradient_steps, self.per_stage = progress.gradient_steps, list(progress.per_stage)
        self.scores = lines[: progress.scores]
        (self.run.path / MANIFEST).unlink(missing_ok=True)  # written again at the stage's end
        self._rewrite_scores()
        ends = {score.stage: score.step for score in self.scores if 0 < score.stage < progress.stage}
        self.stage_ends = [ends[stage] for stage in range(1, progress.stage)]
        self._begin_logging(purge_step=progress.step + 1)

    def _begin_logging(self, purge_step: int | None = None) -> None:
        logger = tensorboard_logger(self.run.path / "tensorboard", purge_step)
        self.tracking.open(self.run)
        logger.output_formats.append(self.tracking)
        self.model.set_logger(logger)

    @property
    def curriculum(self) -> Curriculum:
        """The stages to train through."""
        return self.config.curriculum

    @property
    def policy(self) -> SlotPolicy:
        """The policy being trained."""
        assert isinstance(self.model.policy, SlotPolicy)
        return self.model.policy

    def run_all(self) -> RunFolder:
        """Go through every stage that is left, and write the report."""
        first = len(self.stage_ends) + 1
        with self._writing():
            for stage in range(first, len(self.curriculum.stages) + 1):
                self.stage(stage)
            self.finish()
        return self.run

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn a file that cannot be written into one sentence, and let go of the run when anything fails."""
        try:
            with without_traces():
                yield
        except (OSError, SafetensorError) as error:
            self._let_go()
            raise UserError(
                f"{self.run.path} cannot be written ({_reason(error)}); "
                f"mend that, then go on with: clrobot resume {self.run.path}"
            ) from error
        except BaseException:
            self._let_go()
            raise

    def _let_go(self) -> None:
        self.tracking.close(failed=True)
        self.run.unlock()

    def stage(self, stage: int) -> None:
        """Train stage `stage` (from 1), then evaluate every slot, save, and film every skill so far."""
        k, config = stage - 1, self.config
        phases = self._phases(stage)
        steps = sum(phase.steps for phase in phases)
        self.observer.stage_started(stage, self.curriculum.slots[k], steps)
        snapshot, self._from = self._from, None
        start = self.model.num_timesteps if snapshot is None else snapshot.progress.stage_start
        env = self._train_env(stage)
        callback = StageCallback(self, stage, start, steps, env)
        self.model.num_timesteps = start
        # A stage depends on what it is given and on its own seed alone: a run can be taken further from any
        # stage's checkpoint, and ends as if it had been planned so.
        set_random_seed(seed_for(config.seed, "stage", stage))
        self.model.action_space.seed(seed_for(config.seed, "stage", stage))
        slots = len(self.curriculum.stages) if self.all_at_once else stage
        self.algorithm.begin_slot(
            self.model,
            slots,
            env,
            steps,
            train_all=self.all_at_once,
            keep_moments=not config.plasticity.reset_optimizer,
        )
        if snapshot is not None:
            snapshot.restore_method(self.method)
        self.method.before_task(self.model, k)
        if snapshot is not None:
            snapshot.restore_model(self.model, self.algorithm)
            callback.restore(snapshot)
            snapshot.restore_generators(self.model)
        with shaping(self.model, self.method) as cost:
            callback.cost = cost
            self._learn(phases, start, callback, None if snapshot is None else snapshot.progress.phase)
        callback.account()
        # What Stable-Baselines3 would write in its next iteration belongs to this stage.
        self.model.logger.dump(self.model.num_timesteps)
        with self._timed("method"):
            self._pause(f"{config.method}: remembering {self.curriculum.slots[k]}")
            own, seed = self.curriculum.stages[k], seed_for(config.seed, "collecting", stage)
            self.method.after_task(self.model, k, lambda n: collect(self.policy, own, k, n, seed))
        self.divergences += callback.divergences
        env.close()
        with self._timed("train"):  # a part of the agent that learns too
            self._recognise(stage)
        self.stage_ends.append(self.model.num_timesteps)
        row = self._evaluate_all(stage)
        with self._timed("save"):
            save_checkpoint(self.run, stage, self.model, self.method)
        if config.video.enabled:
            self._film(stage, row)
        with self._timed("evaluate"):
            dormant = self._dormant_shares(stage)
        self.per_stage.append(self._stage_record(stage, dormant))
        self._write_metrics()
        self.observer.stage_finished(stage, row)

    def _phases(self, stage: int) -> list[Phase]:
        """Return the stage's phases, in whole iterations."""
        phases = self.method.phases(self.curriculum.stages[stage - 1].steps)
        return [Phase(phase.name, self.algorithm.whole_iterations(phase.steps)) for phase in phases]

    def _learn(self, phases: list[Phase], start: int, callback: StageCallback, begun: int | None) -> None:
        """Go through the stage's phases, from step `start` on; the phase `begun` has begun already."""
        end = start
        for i, phase in enumerate(phases):
            end += phase.steps
            if begun is not None and i < begun:
                continue
            callback.phase = i
            if begun is None or i > begun:
                self.method.before_phase(self.model, callback.stage - 1, phase.name)
            if end > self.model.num_timesteps:
                self._learn_for(end - self.model.num_timesteps, callback)

    def _learn_for(self, steps: int, callback: StageCallback) -> None:
        try:
            self.model.learn(steps, callback, reset_num_timesteps=False, tb_log_name=self.config.method)
        except ValueError:
            # With weights that are not numbers Stable-Baselines3 fails somewhere in its distributions.
            self.check_weights(callback.stage)
            raise
        self.check_weights(callback.stage)

    def check_weights(self, stage: int) -> None:
        """Raise UserError when training has gone to NaN; what was saved before stays."""
        if all(bool(p.isfinite().all()) for p in self.policy.parameters()):
            return
        have = snapshots(self.run.resume)
        kept = f"; the last good state is {have[0]}" if have else ""
        raise UserError(
            f"the loss is not a number in stage {stage} at step {self.model.num_timesteps:,}{kept}; "
            f"train again with a smaller --{self.config.algo}.learning-rate"
        )

    def save(self, progress: Progress, env: TrainEnv) -> None:
        """Write a snapshot; a full disk is a warning, since the one before it is whole."""
        started = time.perf_counter()
        try:
            write_snapshot(self.run.resume, progress, self.model, self.algorithm, self.method, env.get_state())
        except (OSError, SafetensorError) as error:
            self.observer.warn(f"no snapshot was written at step {progress.step:,} ({_reason(error)})")
        self.seconds["save"] += time.perf_counter() - started
        self._last_saved, self._last_saved_step = time.monotonic(), progress.step

    @property
    def save_is_due(self) -> bool:
        """Whether the interval between snapshots is over, by a clock that never goes backwards."""
        settings = self.config.checkpoint
        if settings.steps is not None:
            return self.model.num_timesteps - self._last_saved_step >= settings.steps
        return time.monotonic() - self._last_saved >= settings.seconds

    def _check_memory(self) -> None:
        """Raise UserError when the method could outgrow the bound, before anything is made."""
        bound = self.method.memory_bound(self.model, len(self.curriculum.stages))
        limit = self.config.memory_limit_mb * 2**20
        if bound > limit:
            raise UserError(
                f"{self.config.method} may keep {bound / 2**20:,.0f} MiB beside the policy, and --memory-limit-mb is "
                f"{limit / 2**20:,.0f}; raise it, or use a smaller network"
            )

    def _pause(self, what: str) -> None:
        """Say what takes time now, and stop here if asked to: the newest snapshot leads back to this point."""
        if self.stop:
            raise Stopped(self.run.path, len(self.stage_ends) + 1, self.model.num_timesteps)
        self.observer.working(what)

    def finish(self) -> None:
        """Write the report, and remove the snapshots; a failed report is a warning, since the run itself is whole."""
        self.model.logger.close()
        try:
            write_report(self.run.path)
        except Exception as error:
            self.observer.warn(f"no report was written ({error}); `clrobot report {self.run.path}` tries again")
        shutil.rmtree(self.run.resume, ignore_errors=True)
        self.run.unlock()

    def _train_env(self, stage: int) -> TrainEnv:
        stages, n = self.curriculum.stages, self.algorithm.settings.num_envs
        env: TrainEnv
        if self.all_at_once:
            if n < len(stages):
                raise UserError(
                    f"--{self.config.algo}.num-envs {n} cannot hold all {len(stages)} tasks at once; "
                    f"give {len(stages)} or more"
                )
            shares = [n // len(stages) + (i < n % len(stages)) for i in range(len(stages))]
            env = JointVecEnv(
                [
                    SlotVecEnv(stage_env(s, m, stagger=True), i)
                    for i, (s, m) in enumerate(zip(stages, shares, strict=True))
                ]
            )
        else:
            env = SlotVecEnv(stage_env(stages[stage - 1], n, stagger=True), stage - 1)
        env.seed(seed_for(self.config.seed, "training", stage))
        return env

    def _evaluate_all(self, stage: int) -> list[Score]:
        self._pause("evaluating")
        settings = self.config.evaluation

        def trained(slot: int) -> bool:
            return stage > 0 and slot < self.policy.slots

        with self._timed("evaluate"):
            row = [
                self.evaluator.score(
                    self.policy,
                    slot,
                    settings.episodes if trained(slot) else settings.zero_shot_episodes,
                    stage=stage,
                    step=self.model.num_timesteps,
                    stochastic=settings.stochastic and trained(slot),
                )
                for slot in range(len(self.curriculum.stages))
            ]
        self.add_scores(row)
        return row

    def add_scores(self, scores: list[Score]) -> None:
        """Append lines to `scores.jsonl`."""
        self.scores += scores
        with self.run.scores_file.open("a", encoding="utf-8") as file:
            file.write("".join(score.to_line() for score in scores))
            file.flush()
            os.fsync(file.fileno())
        self.tracking.scores(scores)

    def _rewrite_scores(self) -> None:
        with atomic(self.run.scores_file) as file:
            file.write_text("".join(score.to_line() for score in self.scores), encoding="utf-8")

    def _recognise(self, stage: int) -> None:
        """Learn how the stage's task looks at first, for acting without a label."""
        k, seed = stage - 1, seed_for(self.config.seed, "recognising", stage)
        for slot in range(len(self.curriculum.stages)) if self.all_at_once else (k,):
            own = self.curriculum.stages[slot]
            seen = collect(self.policy, own, slot, RECOGNITION_STATES, seed, steps=RECOGNITION_STEPS)
            self.policy.recognizer.learn(slot, seen.observations[:, :-1])

    def _stage_record(self, stage: int, dormant: dict[str, float]) -> dict[str, Any]:
        """Return what the agent has become after a stage, and what the stage took in seconds."""
        before = [record["seconds"] for record in self.per_stage]
        return {
            "stage": stage,
            "parameters": self.policy.parameter_counts(),
            "memory_bytes": self.method.memory_bytes(),
            "dormant_share": dormant,
            "seconds": {
                name: round(value - sum(seconds[name] for seconds in before), 3)
                for name, value in self.seconds.items()
            },
        }

    def _dormant_shares(self, stage: int) -> dict[str, float]:
        """Return the shares of dormant units in actor and critic, on the states of the stage's task."""
        k, seed = stage - 1, seed_for(self.config.seed, "dormant", stage)
        experience = collect(self.policy, self.curriculum.stages[k], k, _DORMANT_STATES, seed)
        obs, actions = experience.observations[:, :-1], self.policy.bounded(experience.actions)
        critic = self.policy.critic_nets[0]
        critic_inputs = obs if critic.inputs == obs.shape[1] else th.cat([obs, actions], dim=1)
        return {
            "actor": dormant_share(self.policy.actor_net, obs, k),
            "critic": dormant_share(critic, critic_inputs, k),
        }

    def _film(self, stage: int, row: list[Score]) -> None:
        """Record every task seen so far; a failure is a warning and never stops the training."""
        agent = Agent(self.policy, self.curriculum.slots, stage)
        with self._timed("record"):
            for slot in range(stage):
                name = self.curriculum.slots[slot]
                self._pause(f"recording {name}")
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
                    self.film_failures += 1
                    self.observer.warn(f"{path.name} of stage {stage} was not recorded: {error}")

    def _write_metrics(self) -> None:
        costs = Costs(
            parameters=self.policy.parameter_counts(),
            memory_bytes=self.method.memory_bytes(),
            seconds={name: round(value, 3) for name, value in self.seconds.items()},
            gradient_steps=self.gradient_steps,
            other={
                "diverged_simulations": self.divergences,
                "failed_recordings": self.film_failures,
                "per_stage": self.per_stage,
            },
        )
        references = reference_areas(self.config, default_store(self.run))
        content = write_metrics(self.run, self.scores, self.stage_ends, costs, references)
        self.tracking.metrics(content, self.model.num_timesteps)

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


def _reason(error: Exception) -> str:
    """Return why a file was not written, in one line; safetensors has errors of its own for a full disk."""
    return getattr(error, "strerror", None) or " ".join(str(error).split())[:200]


_DORMANT_STATES = 500
RECOGNITION_STATES = 1_000
