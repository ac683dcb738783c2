"""Methods and algorithms by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clrobot.agents.algorithms import ALGORITHMS
from clrobot.agents.methods import METHODS_BY_NAME
from clrobot.agents.methods.shared.composite import why_not_together
from clrobot.errors import UserError, nearest, shown

if TYPE_CHECKING:
    from clrobot.agents.algorithms.algorithm import Algorithm
    from clrobot.agents.methods.shared.method import Method


def method_class(name: str) -> type[Method]:
    """Return the method of that name.

    Raises:
        UserError: there is none.
    """
    return METHODS_BY_NAME[name]


def method_classes(name: str) -> tuple[type[Method], ...]:
    """Return the methods in a name such as `ewc` or `ewc+replay`.

    Raises:
        UserError: one is unknown, or they do not go together.
    """
    parts = tuple(method_class(part) for part in name.split("+"))
    if len(parts) > 2:
        raise UserError(f"method {shown(name)} has {len(parts)} parts; expected one, or a regulariser and a memory")
    if len(parts) == 2 and (reason := why_not_together(*parts)) is not None:
        raise UserError(f"method {shown(name)}: {reason}; compose one of ewc's family with distillation or replay")
    return parts


def algorithm_class(name: str) -> type[Algorithm]:
    """Return the algorithm of that name.

    Raises:
        UserError: there is none.
    """
    for algorithm in ALGORITHMS:
        if algorithm.name == name:
            return algorithm
    raise UserError(f"unknown algorithm {shown(name)}{nearest(name, (a.name for a in ALGORITHMS))}")
