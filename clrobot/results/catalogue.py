"""Every metric once: its name in `metrics.json`, its title, which way is better, how it is written, what it means.

Tables, pages, figures and trackers take what they show from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

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
        optional: whether it is left out where no run has measured it.
    """

    name: str
    title: str
    better: Literal["higher", "lower"]
    meaning: str
    kind: Kind = "rate"
    optional: bool = False


# What runs are compared by.
RUN_METRICS: Final = (
    Metric("average_success", "average success", "higher", "mean success over the tasks trained, at the end"),
    Metric(
        "average_success_final_step",
        "average success (final step)",
        "higher",
        "the same, where only success at an episode’s last step counts",
    ),
    Metric(
        "average_success_stochastic",
        "average success (sampled actions)",
        "higher",
        "the same, with actions sampled from the policy",
        optional=True,
    ),
    Metric("forgetting", "forgetting", "lower", "mean fall since each task’s own stage; less is better"),
    Metric("backward_transfer", "backward transfer", "higher", "how later stages changed earlier tasks"),
    Metric("forward_transfer", "forward transfer", "higher", "faster (+) or slower (−) than learning from scratch"),
    Metric("zero_shot_transfer", "zero-shot transfer", "higher", "gain on a task before its own stage"),
    Metric("retention", "retention", "higher", "share of each learned skill that is left"),
    Metric("unlearned_share", "unlearned share", "lower", "share of the tasks trained that were not learned"),
    Metric(
        "plasticity",
        "plasticity",
        "higher",
        "how well tasks are learned in their place, as a share of learning each from scratch",
        optional=True,
    ),
    Metric("parameters.total", "parameters", "lower", "weights of the whole policy, at the end", "count"),
    Metric("memory_bytes", "memory", "lower", "what the method keeps beside the policy", "bytes"),
    Metric("seconds.train", "seconds training", "lower", "spent learning the tasks", "seconds"),
    Metric("seconds.evaluate", "seconds evaluating", "lower", "spent measuring", "seconds"),
    Metric("seconds.method", "seconds of the method", "lower", "what the method adds to learning", "seconds"),
    Metric("seconds.total", "seconds", "lower", "all of the run’s time", "seconds"),
    Metric("environment_steps", "environment steps", "lower", "control steps trained", "count"),
    Metric("gradient_steps", "gradient steps", "lower", "steps of the optimizers", "count"),
)

# What is shown of each task: names of `per_task`.
TASK_METRICS: Final = (
    Metric("learned", "learned", "higher", "success after the task’s own stage"),
    Metric("final", "final", "higher", "success at the end"),
    Metric("forgetting", "forgetting", "lower", "the difference of the two"),
    Metric("retention", "retention", "higher", "the share of the skill that is left"),
    Metric("auc", "area", "higher", "mean of the learning curve over the task’s own stage"),
    Metric("forward_transfer", "forward transfer", "higher", "faster (+) or slower (−) than learning from scratch"),
    Metric(
        "final_stochastic", "final, sampled actions", "higher", "success at the end, actions sampled", optional=True
    ),
    Metric(
        "plasticity", "plasticity", "higher", "the area as a share of that of learning from scratch", optional=True
    ),
)

_BY_NAME: Final = {metric.name: metric for metric in RUN_METRICS}


def run_metric(name: str) -> Metric:
    """Return the metric of a run that has this name."""
    return _BY_NAME[name]


def _named(*names: str) -> tuple[Metric, ...]:
    return tuple(map(run_metric, names))


# What a page shows first and a tracker gets.
HEADLINES: Final = _named(
    "average_success",
    "forgetting",
    "retention",
    "backward_transfer",
    "forward_transfer",
    "zero_shot_transfer",
)

# What the figure of a comparison shows.
PANELS: Final = _named("average_success", "forgetting", "forward_transfer")

# A comparison's tables, by their titles: five columns at most, which fit a terminal of 80 with their intervals.
LEARNING_SECTIONS: Final[dict[str, tuple[Metric, ...]]] = {
    "What was learned and kept": _named(
        "average_success", "average_success_final_step", "forgetting", "backward_transfer", "retention"
    ),
    "What came over from earlier tasks, and how learning went": _named(
        "forward_transfer", "zero_shot_transfer", "plasticity", "unlearned_share", "average_success_stochastic"
    ),
}
COST_SECTIONS: Final[dict[str, tuple[Metric, ...]]] = {
    "What it cost": _named(
        "parameters.total", "memory_bytes", "seconds.total", "environment_steps", "gradient_steps"
    ),
    "Where the seconds went": _named("seconds.train", "seconds.evaluate", "seconds.method"),
}
