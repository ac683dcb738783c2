"""Every metric once: its name in `metrics.json`, its title, which way is better, how it is written, what it means.

Tables, pages, figures and trackers take what they show from here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from clrobot.errors import UserError, nearest, shown
from clrobot.results.numbers import Kind


@dataclass(frozen=True)
class Metric:
    """A number that is measured of a run, or of one of its tasks.

    Attributes:
        name: where it stands in `metrics.json`, with dots: `parameters.total`.
        title: in lower case, as it stands within a sentence.
        better: which way.
        meaning: what it says.
        kind: how it is written.
        least: no run can have less; an interval ends there.
        most: no run can have more.
        optional: whether it is left out where no run has measured it.
    """

    name: str
    title: str
    better: Literal["higher", "lower"]
    meaning: str
    kind: Kind = "rate"
    least: float = 0.0
    most: float = math.inf
    optional: bool = False

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the most that a run can have."""
        return self.least, self.most


def _rate(
    name: str, title: str, better: Literal["higher", "lower"], meaning: str, *, optional: bool = False
) -> Metric:
    return Metric(name, title, better, meaning, most=1.0, optional=optional)


def _change(name: str, title: str, better: Literal["higher", "lower"], meaning: str) -> Metric:
    """Return a metric that is the difference of two rates."""
    return Metric(name, title, better, meaning, least=-1.0, most=1.0)


# What runs are compared by.
RUN_METRICS: Final = (
    _rate("average_success", "average success", "higher", "mean success over the tasks trained, at the end"),
    _rate(
        "average_success_final_step",
        "average success (final step)",
        "higher",
        "the same, where only success at an episode’s last step counts",
    ),
    _rate(
        "average_success_stochastic",
        "average success (sampled actions)",
        "higher",
        "the same, with actions sampled from the policy",
        optional=True,
    ),
    _change("forgetting", "forgetting", "lower", "mean fall since each task’s own stage; less is better"),
    _change("backward_transfer", "backward transfer", "higher", "how later stages changed earlier tasks"),
    Metric(
        "steps_to_success",
        "steps to success",
        "lower",
        "control steps until a task is done, at the end; an episode without success counts whole",
        "steps",
    ),
    Metric(
        "forgetting_steps",
        "forgetting of steps",
        "lower",
        "control steps by which a task takes longer at the end than after its own stage",
        "steps",
        least=-math.inf,
    ),
    Metric(
        "relative_return",
        "relative return",
        "higher",
        "return at the end as a share of that after the task’s own stage",
        least=-math.inf,
    ),
    Metric(
        "forgetting_return",
        "forgetting of return",
        "lower",
        "share of its own return that a task has lost",
        least=-math.inf,
    ),
    Metric(
        "forward_transfer",
        "forward transfer",
        "higher",
        "faster (+) or slower (−) than learning from scratch",
        least=-math.inf,
        most=1.0,
    ),
    Metric(
        "forward_transfer_from_2",
        "forward transfer, tasks ≥ 2",
        "higher",
        "the same without the first task, which has nothing to transfer from",
        least=-math.inf,
        most=1.0,
    ),
    _change("zero_shot_transfer", "zero-shot transfer", "higher", "gain on a task before its own stage"),
    _change(
        "zero_shot_transfer_best",
        "zero-shot, best head",
        "higher",
        "the same through the best of all earlier tasks’ heads: an upper bound",
    ),
    Metric("retention", "retention", "higher", "share of each learned skill that is left", most=2.0),
    _rate("unlearned_share", "unlearned share", "lower", "share of the tasks trained that were not learned"),
    Metric(
        "plasticity",
        "plasticity",
        "higher",
        "how well tasks are learned in their place, as a share of learning each from scratch",
        optional=True,
    ),
    Metric("parameters.total", "parameters", "lower", "weights of the whole policy, at the end", "count"),
    Metric("memory_bytes", "memory", "lower", "what is kept beside one actor and critic", "bytes"),
    Metric("seconds.train", "seconds training", "lower", "spent learning the tasks", "seconds"),
    Metric("seconds.evaluate", "seconds evaluating", "lower", "spent measuring", "seconds"),
    Metric("seconds.method", "seconds of the method", "lower", "what the method adds to learning", "seconds"),
    Metric("seconds.total", "seconds", "lower", "all of the run’s time", "seconds"),
    Metric(
        "environment_steps.learning",
        "environment steps (learning)",
        "lower",
        "control steps in which the tasks were learned",
        "count",
    ),
    Metric(
        "environment_steps.method",
        "environment steps (method)",
        "lower",
        "control steps that the method took beside learning: to choose how a task begins, to keep what matters of it",
        "count",
    ),
    Metric(
        "gradient_steps.learning", "gradient steps (learning)", "lower", "steps of the actor’s optimizer", "count"
    ),
    Metric(
        "gradient_steps.method", "gradient steps (method)", "lower", "steps of the method’s own optimizers", "count"
    ),
    Metric(
        "task_inference_steps",
        "environment steps (task inference)",
        "lower",
        "control steps from which the agent learned how its tasks look at first",
        "count",
    ),
)

# What is shown of each task: names of `per_task`.
TASK_METRICS: Final = (
    _rate("learned", "learned", "higher", "success after the task’s own stage"),
    _rate("final", "final", "higher", "success at the end"),
    _change("forgetting", "forgetting", "lower", "the difference of the two"),
    Metric("retention", "retention", "higher", "the share of the skill that is left", most=2.0),
    Metric("steps_to_success", "steps to success", "lower", "control steps until it is done, at the end", "steps"),
    Metric(
        "forgetting_steps",
        "forgetting of steps",
        "lower",
        "how much longer that is than after its own stage",
        "steps",
        least=-math.inf,
    ),
    Metric(
        "relative_return",
        "relative return",
        "higher",
        "the return that is left, as a share of its own",
        least=-math.inf,
    ),
    Metric("forgetting_return", "forgetting of return", "lower", "the share that is lost", least=-math.inf),
    Metric("auc", "area", "higher", "mean of the learning curve over the task’s own stage"),
    Metric(
        "forward_transfer",
        "forward transfer",
        "higher",
        "faster (+) or slower (−) than learning from scratch",
        least=-math.inf,
    ),
    _rate(
        "final_stochastic", "final, sampled actions", "higher", "success at the end, actions sampled", optional=True
    ),
    Metric(
        "plasticity", "plasticity", "higher", "the area as a share of that of learning from scratch", optional=True
    ),
)

# What a comparison shows of each task, by the title of its table; it is left out where no row has any.
TASK_SECTIONS: Final = {
    "Success on each task at the end": "final",
    "Steps to success on each task at the end": "steps_to_success",
    "Return on each task at the end, relative to its own stage": "relative_return",
    "Forward transfer to each task": "forward_transfer",
}

RUN_METRICS_BY_NAME: Final = {metric.name: metric for metric in RUN_METRICS}


TASK_METRICS_BY_NAME: Final = {metric.name: metric for metric in TASK_METRICS}


def run_metric(name: str) -> Metric:
    """Return the metric of a run that has this name.

    Raises:
        UserError: there is none.
    """
    if name not in RUN_METRICS_BY_NAME:
        raise UserError(f"unknown metric {shown(name)}{nearest(name, RUN_METRICS_BY_NAME)}")
    return RUN_METRICS_BY_NAME[name]


def task_metric(name: str) -> Metric:
    """Return the metric of a task that has this name, which must be one."""
    return TASK_METRICS_BY_NAME[name]


def _named(*names: str) -> tuple[Metric, ...]:
    return tuple(map(run_metric, names))


# What a page shows first and a tracker gets.
HEADLINES: Final = _named(
    "average_success",
    "forgetting",
    "retention",
    "backward_transfer",
    "forward_transfer",
    "forward_transfer_from_2",
    "zero_shot_transfer",
    "steps_to_success",
    "relative_return",
)

# What the figures of a comparison show: what was kept and what came over, and how well it is still done.
PANELS: Final = _named("average_success", "forgetting", "forward_transfer")
SKILL_PANELS: Final = _named("steps_to_success", "forgetting_steps", "relative_return")

# What a claim rests on: differences between methods, paired by seed.
DIFFERENCE_PANELS: Final = _named("average_success", "forgetting", "forward_transfer_from_2")

# A comparison's tables, by their titles: five columns at most, which fit a terminal of 80 with their intervals.
LEARNING_SECTIONS: Final[dict[str, tuple[Metric, ...]]] = {
    "What was learned and kept": _named(
        "average_success", "average_success_final_step", "forgetting", "backward_transfer", "retention"
    ),
    "How well it is still done": _named(
        "steps_to_success", "forgetting_steps", "relative_return", "forgetting_return"
    ),
    "What came over from earlier tasks": _named(
        "forward_transfer", "forward_transfer_from_2", "zero_shot_transfer", "zero_shot_transfer_best"
    ),
    "How learning went": _named("plasticity", "unlearned_share", "average_success_stochastic"),
}
COST_SECTIONS: Final[dict[str, tuple[Metric, ...]]] = {
    "What it cost": _named("parameters.total", "memory_bytes", "seconds.total"),
    "Who took how many steps": _named(
        "environment_steps.learning",
        "environment_steps.method",
        "gradient_steps.learning",
        "gradient_steps.method",
        "task_inference_steps",
    ),
    "Where the seconds went": _named("seconds.train", "seconds.evaluate", "seconds.method"),
}
