"""Multitask training: all tasks at once. The upper line of every comparison."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from clrobot.agents.methods.shared.method import Method


class Multitask(Method):
    """Train one trunk and all heads on every task of the curriculum in every stage.

    Each task has its share of every stage's simulations, in proportion to its own stage's steps, and PPO's advantages
    are normalised within each. What it can do at the end is defined; forgetting and transfer, which compare with a
    stage of its own, are not.
    """

    name: ClassVar = "multitask"
    family: ClassVar = "bound"
    summary: ClassVar = "all tasks at once, in every stage: the upper line, which no sequence of tasks allows"

    @override
    def why_no_warm_start(self) -> str | None:
        return f"{self.name} trains every task in every stage: none comes after another"

    @classmethod
    @override
    def why_not_with(cls, other: type[Method]) -> str | None:
        return f"{cls.name} trains every task in every stage, so {other.name} has nothing to protect"

    @override
    def trained_slots(self, k: int, n: int) -> range:
        return range(n)
