"""A page for each method, from its docstrings, its settings, the networks it builds and published results."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from clrobot.agents.algorithms import ALGORITHMS
from clrobot.agents.methods import METHODS
from clrobot.agents.methods.shared.composite import why_not_together
from clrobot.agents.methods.shared.kept import bytes_beside
from clrobot.agents.methods.shared.method import Method
from clrobot.comparison.markdown import table
from clrobot.experiment.config import make_config
from clrobot.results.numbers import grouped, size
from clrobot.training.untrained import untrained
from making import published
from making.markdown import in_a_line, literal, page, prose

CURRICULUM = "cr10"  # whose tasks the costs are of
COUNTS = (1, 4, 10)  # of tasks

# What a family is good for, as a whole. Each sentence is a consequence of what its methods keep.
FAMILIES = {
    "bound": "Bounds: they say what there is to gain. Show them beside every other method.",
    "regularisation": "Penalties on moving the weights that earlier tasks need. The memory stays the same however "
    "many tasks come, and no observation is kept.",
    "architecture": "Weights of their own for each task. Earlier tasks' actions stay as they were where the weights "
    "are frozen; what a task may use is limited, or the network grows.",
    "distillation": "Earlier policies teach the one that learns. Observations of every task are kept.",
    "replay": "Old experience, kept or generated, is mixed into learning.",
}


class Cost(NamedTuple):
    """What an agent is after so many tasks."""

    tasks: int
    parameters: int
    kept: int  # bytes beside one actor and critic, at most


@cache
def costs(method: type[Method]) -> tuple[Cost, ...]:
    """Return what a method's agent is after each of COUNTS tasks, with PPO and all settings at their defaults.

    The networks are built and counted. What the method remembers is the bound that it promises before training.
    """
    found = []
    config = make_config(curriculum=CURRICULUM, method=method.name, threads=1)
    learner, rule = untrained(config)
    for count in COUNTS:
        while learner.policy.slots < count:
            learner.policy.add_slot()
        parameters = sum(p.numel() for p in learner.policy.parameters())
        kept = bytes_beside(learner.policy, rule) + rule.memory_bound(learner, count)
        found.append(Cost(count, parameters, kept))
    return tuple(found)


def goes_with(method: type[Method]) -> list[str]:
    """Return the methods that it can be composed with: `ewc+replay`."""
    return [other.name for other in METHODS if other is not method and why_not_together(method, other) is None]


def learns_with(method: type[Method]) -> str:
    """Return the algorithms that it can work with, and why not the others."""
    can = ", ".join(a.name.upper() for a in ALGORITHMS if a.name not in method.refuses)
    cannot = "; ".join(f"not {name.upper()}: {literal(why)}" for name, why in method.refuses.items())
    return "; ".join(filter(None, (can, cannot)))


def method_page(method: type[Method]) -> str:
    """Return a method's page, in Markdown."""
    name, module = method.name, sys.modules[method.__module__]
    fields = method.Settings.model_fields
    flag = "strength" if "strength" in fields else next(iter(fields), None)
    value = None if flag is None else method.Settings().model_dump(mode="json")[flag]
    set_flag = "" if flag is None else f" --{name}.{flag.replace('_', '-')} {value}"
    return page(
        f"# {name}",
        f"*{literal(method.summary)}*",
        prose(module.__doc__),
        "## What it does",
        *(prose(text) for text in _docstrings(method)),
        "## When to use it",
        FAMILIES[method.family],
        table(
            ("", ""),
            [
                ("family", method.family),
                ("learns with", learns_with(method)),
                (
                    "goes with",
                    ", ".join(f"[{other}]({other}.md)" for other in goes_with(method)) or "no other method",
                ),
                ("network", in_a_line(method.network_class().__doc__)),
            ],
        ),
        "## What it keeps and costs",
        f"Counted from the networks that it builds for `{CURRICULUM}` with PPO and default settings; memory is the "
        "most that it may keep, task inference (2.2 kB a task) included. "
        "[finetune](finetune.md) is what every agent has.",
        table(
            ("after … tasks", "parameters", "kept beside one actor and critic, at most"),
            [(str(cost.tasks), grouped(cost.parameters), size(cost.kept)) for cost in costs(method)],
            numbers=(0, 1, 2),
        ),
        "## Published result",
        "Success is at any step, in brackets the 95 % interval; [how it is measured](../benchmarks.md).",
        published.result(name),
        "## Settings",
        _settings(method),
        "## Try it",
        f"```console\n$ clrobot train --curriculum quick --method {name}{set_flag} --out runs/{name}\n```",
        "From Python:",
        f'```python\nimport clrobot\n\nconfig = clrobot.make_config(curriculum="quick", method="{name}")\n```',
        f"Source: `agents/methods/{module.__name__.rpartition('.')[2]}.py`, imported as `{module.__name__}`.",
    )


def index_page() -> str:
    """Return the page that sets the methods side by side."""
    rows = []
    for method in METHODS:
        *_, last = costs(method)
        rows.append(
            (
                f"[{method.name}]({method.name}.md)",
                literal(method.summary),
                grouped(last.parameters),
                size(last.kept),
                ", ".join(a.name.upper() for a in ALGORITHMS if a.name not in method.refuses),
            )
        )
    parts = [part for name, text in FAMILIES.items() for part in (f"**{name.capitalize()}** ({_names(name)}).", text)]
    return page(
        "# Methods",
        f"After ten tasks of `{CURRICULUM}`, with PPO and default settings; memory is the most that one may keep.",
        table(("method", "what it does", "parameters", "kept beside", "learns with"), rows, numbers=(2, 3)),
        "## Which one?",
        "Begin with what you can afford, then measure: the bounds say whether there is anything to gain, and "
        "frozen-copies forgets nothing at the price of one actor a task.",
        *(" ".join(pair) for pair in zip(parts[::2], parts[1::2], strict=True)),
        "```console\n$ clrobot methods\n```",
    )


def _names(family: str) -> str:
    return ", ".join(f"[{method.name}]({method.name}.md)" for method in METHODS if method.family == family)


def _docstrings(method: type[Method]) -> Iterator[str]:
    """Yield the docstrings that say what a method does: its own, of its kinds, and of the functions beside it."""
    module = sys.modules[method.__module__]
    for kind in method.__mro__:
        if kind is Method:
            break
        if issubclass(kind, Method) and kind.__doc__:
            yield kind.__doc__
    if (network := method.network_class()) is not Method.network_class():
        yield f"Its network, `{network.__name__}`: {network.__doc__}"
    for name, function in vars(module).items():
        beside = inspect.isfunction(function) and function.__module__ == module.__name__
        if beside and not name.startswith("_") and "  " in (function.__doc__ or "").partition("Args:")[0]:
            yield f"`{name}`: {function.__doc__}"


def _settings(method: type[Method]) -> str:
    defaults: dict[str, Any] = method.Settings().model_dump(mode="json")
    if not defaults:
        return "It has none."
    fields = method.Settings.model_fields.items()
    return table(
        ("setting", "default", "meaning"),
        [(f"`{method.name}.{name}`", f"`{defaults[name]}`", in_a_line(field.description)) for name, field in fields],
    )


def pages() -> dict[str, str]:
    """Return every page of methods, by its file."""
    return {"methods/index.md": index_page()} | {f"methods/{m.name}.md": method_page(m) for m in METHODS}
