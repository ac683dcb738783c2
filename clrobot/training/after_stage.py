"""What follows a stage's learning: remember, infer, evaluate, checkpoint, film, measure."""

from __future__ import annotations

import torch as th

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.methods.shared.kept import bytes_beside
from clrobot.agents.methods.shared.method import Experience, Method
from clrobot.agents.methods.shared.unit_measures import layer_measures
from clrobot.agents.policies.policy import SlotPolicy
from clrobot.evaluation.agent import Agent
from clrobot.evaluation.collect import Collector, collect, control_steps
from clrobot.evaluation.evaluator import INFERENCE_STEPS
from clrobot.experiment.config import RunConfig
from clrobot.experiment.layout import layout
from clrobot.films.drawable import Drawable
from clrobot.films.record import Film, record
from clrobot.results.scores import Score
from clrobot.results.stage_record import Parameters
from clrobot.results.units import LayerUnits, Units
from clrobot.runs.checkpoint import save_checkpoint
from clrobot.runs.folder import stage_name
from clrobot.training.context import RunContext
from clrobot.training.ledger import Ledger
from clrobot.training.measuring import Measuring
from clrobot.training.plan import StagePlan
from clrobot.training.seeds import seed_for

INFERENCE_STATES = 1_000
UNIT_STATES = 500


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
        stop.pause(f"{config.method}: remembering {config.curriculum.slots[plan.slot]}", stage, step, plan.start)
        remember(config, learner, method, plan, ledger)
    with ledger.timed("train"):  # a part of the agent that learns too
        learn_first_states(config, policy, plan, ledger)
    stop.pause("evaluating", stage, step, plan.start)
    learned = method.heads(plan.slot, len(config.curriculum.stages))
    row = measuring.all_slots(policy, stage, step, learned=learned)
    with ledger.timed("save"):
        save_checkpoint(context.folder, stage, learner.model, method)
    if config.video.enabled:
        with ledger.timed("record"):
            film(context, learner, plan, row, drawable)
    with ledger.timed("evaluate"):
        units = hidden_units(config, policy, plan)
    ledger.close_stage(stage, Parameters(**policy.parameter_counts()), bytes_beside(policy, method), units)
    return row


def remember(config: RunConfig, learner: Learner, method: Method, plan: StagePlan, ledger: Ledger) -> None:
    """Let the method keep what matters of the task, and count what it takes for that."""
    seed = seed_for(config.seed, "collecting", plan.stage)
    stage = config.curriculum.stages[plan.slot]
    collector = Collector(
        learner.policy,
        stage,
        plan.slot,
        seed,
        rollout=learner.last_rollout,
        layout=layout(config.curriculum),
        threads=config.threads,
    )
    with ledger.steps_of_method():
        method.after_task(learner, plan.slot, collector)
    ledger.method_environment_steps += collector.steps


def learn_first_states(config: RunConfig, policy: SlotPolicy, plan: StagePlan, ledger: Ledger) -> None:
    """Learn how the stage's task looks at first, for acting without a label; not where that is left out.

    One head for all stages needs no label.
    """
    if not config.task_inference.enabled or config.curriculum.heads == "one":
        return
    seed = seed_for(config.seed, "inference", plan.stage)
    for slot in plan.trained:
        seen = _collect(config, policy, slot, INFERENCE_STATES, seed, INFERENCE_STEPS)
        policy.task_inference.learn(slot, seen.observations[:, :-1])
        ledger.task_inference_steps += control_steps(
            config.curriculum.stages[slot], INFERENCE_STATES, INFERENCE_STEPS
        )


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
    for slot in filter(drawable, range(agent.known)):
        name = config.curriculum.slots[slot]
        context.stop.pause(f"recording {name}", plan.stage, learner.step, plan.start)
        path = context.folder.videos / stage_name(plan.stage) / f"{name}.mp4"
        caption = Film(config.method, row[slot].success_any, row[slot].return_mean)
        try:
            record(path, agent, slot, caption, config.video.episodes, config.threads)
        except Exception as error:
            context.ledger.film_failures += 1
            context.observer.warn(f"{path.name} of stage {plan.stage} was not recorded: {error}")


def hidden_units(config: RunConfig, policy: SlotPolicy, plan: StagePlan) -> Units:
    """Return what the hidden units of actor and critic do in states of the stage's task."""
    k, seed = plan.slot, seed_for(config.seed, "units", plan.stage)
    experience = _collect(config, policy, k, UNIT_STATES, seed)
    obs, actions = experience.observations[:, :-1], policy.to_action(experience.actions)
    critic = policy.critic_nets[0]
    critic_inputs = obs if critic.inputs == obs.shape[1] else th.cat([obs, actions], dim=1)
    head = min(k, policy.slots - 1)
    return Units(
        actor=tuple(LayerUnits(**layer._asdict()) for layer in layer_measures(policy.actor_net, obs, head)),
        critic=tuple(LayerUnits(**layer._asdict()) for layer in layer_measures(critic, critic_inputs, head)),
    )
