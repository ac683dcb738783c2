"""What follows a stage's learning: remember, infer, evaluate, checkpoint, film, measure."""

from __future__ import annotations

import torch as th

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.methods.shared.method import Experience, Method
from clrobot.agents.methods.shared.plasticity import dormant_share
from clrobot.agents.policies.policy import SlotPolicy
from clrobot.evaluation.agent import Agent
from clrobot.evaluation.collect import collect
from clrobot.evaluation.evaluator import INFERENCE_STEPS
from clrobot.experiment.config import RunConfig
from clrobot.experiment.layout import layout
from clrobot.films.drawable import Drawable
from clrobot.films.record import Film, record
from clrobot.results.run_metrics import DormantShare, Parameters
from clrobot.results.scores import Score
from clrobot.runs.checkpoint import save_checkpoint
from clrobot.runs.folder import stage_name
from clrobot.training.context import RunContext
from clrobot.training.measuring import Measuring
from clrobot.training.plan import StagePlan
from clrobot.training.seeds import seed_for

INFERENCE_STATES = 1_000
DORMANT_STATES = 500


def after_stage(
    context: RunContext,
    learner: Learner,
    method: Method,
    plan: StagePlan,
    measuring: Measuring,
    drawable: Drawable,
) -> list[Score]:
    """Do what follows the learning of `plan`, and return the scores of every slot.

    Every step draws from a generator of its own, so that measuring or remembering more changes nothing else.

    Raises:
        Stopped: a stop was asked for; the stage's newest snapshot leads back to here.
    """
    config, ledger, stop = context.config, context.ledger, context.stop
    policy, stage, step = learner.policy, plan.stage, learner.step
    with ledger.timed("method"):
        stop.pause(f"{config.method}: remembering {config.curriculum.slots[plan.slot]}", stage, step)
        remember(config, learner, method, plan)
    with ledger.timed("train"):  # a part of the agent that learns too
        learn_first_states(config, policy, plan)
    stop.pause("evaluating", stage, step)
    learned = method.heads(plan.slot, len(config.curriculum.stages))
    row = measuring.all_slots(policy, stage, step, learned=learned)
    with ledger.timed("save"):
        save_checkpoint(context.folder, stage, learner.model, method)
    if config.video.enabled:
        with ledger.timed("record"):
            film(context, learner, plan, row, drawable)
    with ledger.timed("evaluate"):
        dormant = dormant_shares(config, policy, plan)
    ledger.close_stage(stage, Parameters(**policy.parameter_counts()), method.memory_bytes(), dormant)
    return row


def remember(config: RunConfig, learner: Learner, method: Method, plan: StagePlan) -> None:
    """Let the method keep what matters of the task."""
    seed = seed_for(config.seed, "collecting", plan.stage)
    method.after_task(learner, plan.slot, lambda n: _collect(config, learner.policy, plan.slot, n, seed))


def learn_first_states(config: RunConfig, policy: SlotPolicy, plan: StagePlan) -> None:
    """Learn how the stage's task looks at first, for acting without a label; one head for all needs none."""
    if config.curriculum.heads == "one":
        return
    seed = seed_for(config.seed, "inference", plan.stage)
    for slot in plan.trained:
        seen = _collect(config, policy, slot, INFERENCE_STATES, seed, INFERENCE_STEPS)
        policy.task_inference.learn(slot, seen.observations[:, :-1])


def _collect(
    config: RunConfig, policy: SlotPolicy, slot: int, n: int, seed: int, steps: int | None = None
) -> Experience:
    stage = config.curriculum.stages[slot]
    common = layout(config.curriculum)
    return collect(policy, stage, slot, n, seed, steps, layout=common, threads=config.threads)


def film(context: RunContext, learner: Learner, plan: StagePlan, row: list[Score], drawable: Drawable) -> None:
    """Record every task seen so far that can be drawn; a failure is a warning and never stops the training."""
    config = context.config
    agent = Agent.of(config, learner.policy, plan.stage)
    for slot in filter(drawable, range(plan.stage)):
        name = config.curriculum.slots[slot]
        context.stop.pause(f"recording {name}", plan.stage, learner.step)
        path = context.folder.videos / stage_name(plan.stage) / f"{name}.mp4"
        caption = Film(config.method, row[slot].success_any, row[slot].return_mean)
        try:
            record(path, agent, slot, caption, config.video.episodes, config.threads)
        except Exception as error:
            context.ledger.film_failures += 1
            context.observer.warn(f"{path.name} of stage {plan.stage} was not recorded: {error}")


def dormant_shares(config: RunConfig, policy: SlotPolicy, plan: StagePlan) -> DormantShare:
    """Return the shares of dormant units in actor and critic, on the states of the stage's task."""
    k, seed = plan.slot, seed_for(config.seed, "dormant", plan.stage)
    experience = _collect(config, policy, k, DORMANT_STATES, seed)
    obs, actions = experience.observations[:, :-1], policy.to_action(experience.actions)
    critic = policy.critic_nets[0]
    critic_inputs = obs if critic.inputs == obs.shape[1] else th.cat([obs, actions], dim=1)
    head = min(k, policy.slots - 1)
    return DormantShare(
        actor=dormant_share(policy.actor_net, obs, head),
        critic=dormant_share(critic, critic_inputs, head),
    )
