"""One stage of a training: from its first step, or from a snapshot within it, to its last."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from stable_baselines3.common.utils import set_random_seed

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.methods.shared.gradient_hooks import gradient_hooks
from clrobot.agents.methods.shared.method import Method
from clrobot.agents.vec_env import TrainEnv
from clrobot.experiment.config import RunConfig
from clrobot.runs.snapshot import Snapshot
from clrobot.training.callback import StageCallback
from clrobot.training.cuts import Cuts
from clrobot.training.plan import StagePlan
from clrobot.training.seeds import seed_for
from clrobot.training.warm_start import begin_new_slot


def train_stage(
    config: RunConfig,
    learner: Learner,
    method: Method,
    plan: StagePlan,
    env: TrainEnv,
    callback: StageCallback,
    snapshot: Snapshot | None = None,
) -> None:
    """Learn the stage's task in `env`; the callback measures, saves and stops on the way.

    Args:
        config: the run's settings.
        learner: what learns; its model goes on from the stage before.
        method: the continual-learning method.
        plan: what is to be trained.
        env: the stage's simulations, seeded.
        callback: made for this plan and env.
        snapshot: one within this stage, to go on from; None: from the start.

    Raises:
        UserError: the training went to NaN.
        Stopped: the callback was asked to stop.
    """
    model = learner.model
    if snapshot is None:
        chosen = False

        def with_head() -> None:
            nonlocal chosen
            callback.measure_start()
            grown = begin_new_slot(config, learner, method, plan, env, callback.ledger, callback.pause)
            chosen = grown is not None

        begin_stage(config, learner, method, plan, env, None, with_head, callback.ledger.steps_of_method())
        if chosen:
            callback.measure_begun()
    else:  # what the method did before the task is among what the snapshot has counted
        begin_stage(config, learner, method, plan, env, snapshot)
        callback.restore(snapshot.progress)
    with gradient_hooks(learner, method, config.gradient.apart) as cost:
        callback.cost = cost
        _learn(config, learner, method, plan, callback, None if snapshot is None else snapshot.progress.phase)
    callback.account()
    # What Stable-Baselines3 would write in its next iteration belongs to this stage.
    model.logger.dump(model.num_timesteps)


def begin_stage(
    config: RunConfig,
    learner: Learner,
    method: Method,
    plan: StagePlan,
    env: TrainEnv,
    snapshot: Snapshot | None = None,
    with_head: Callable[[], None] | None = None,
    counting: AbstractContextManager[None] | None = None,
) -> None:
    """Put everything where the stage begins, or where it was at a snapshot; nothing is written.

    A stage depends on what it is given and on its own seed alone: a run can be taken further from any stage's
    checkpoint, and ends as if it had been planned so.

    Args:
        config: the run's settings.
        learner: what is to learn.
        method: the continual-learning method.
        plan: what is to be trained.
        env: the stage's simulations, seeded.
        snapshot: one within this stage; None: from the start.
        with_head: called at the start, once the slot's head is there and the method has changed what it begins with,
            and before the method prepares anything.
        counting: a block in which the method prepares itself at the start.

    Raises:
        Damaged: the snapshot holds something else than this stage's.
    """
    model = learner.model
    model.num_timesteps = plan.start
    set_random_seed(seed_for(config.seed, "stage", plan.stage))
    model.action_space.seed(seed_for(config.seed, "stage", plan.stage))
    learner.begin_slot(plan.heads, env, plan.steps, keep_moments=not config.plasticity.reset_optimizer)
    if snapshot is None:
        method.before_start(learner, plan.slot)
        if with_head is not None:
            with_head()
        with counting or nullcontext():
            method.before_task(learner, plan.slot)
        return
    with snapshot.restoring():
        _check_within(plan, snapshot)
        snapshot.restore_method(method)
        method.before_task(learner, plan.slot)
        snapshot.restore_model(model, learner.algorithm)
        Cuts(config, plan, env).go_on_from(snapshot.progress.cut, snapshot.progress.step)
        env.set_state(snapshot.simulation())
        snapshot.restore_generators(model)


def _check_within(plan: StagePlan, snapshot: Snapshot) -> None:
    """Raise ValueError unless the snapshot is of a moment of this stage."""
    at = snapshot.progress
    if not 0 <= at.step - plan.start <= plan.steps or at.phase >= len(plan.phases):
        raise ValueError(f"step {at.step:,} and phase {at.phase + 1} are not in its stage")


def _learn(
    config: RunConfig, learner: Learner, method: Method, plan: StagePlan, callback: StageCallback, begun: int | None
) -> None:
    """Go through the stage's phases; the phase `begun` has begun already."""
    end = plan.learning_starts
    for i, phase in enumerate(plan.phases):
        end += phase.steps
        if begun is not None and i < begun:
            continue
        callback.phase = i
        if begun is None or i > begun:
            with callback.ledger.steps_of_method():
                method.before_phase(learner, plan.slot, phase.name)
        if end > learner.step:
            _learn_until(end, config, learner, callback)


def _learn_until(end: int, config: RunConfig, learner: Learner, callback: StageCallback) -> None:
    model = learner.model
    try:
        model.learn(end - learner.step, callback, reset_num_timesteps=False, tb_log_name=config.method)
    except ValueError as error:
        # With weights that are no numbers, or too large, Stable-Baselines3 fails somewhere in its distributions.
        callback.check_weights()
        if "distribution" in str(error):
            raise callback.not_a_number() from error
        raise
    finally:
        callback.locals, callback.globals = {}, {}  # Stable-Baselines3's frames, which hold the callback itself
    callback.check_weights()
