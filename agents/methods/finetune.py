"""Fine-tuning: go on training, protect nothing. The lower line of every comparison."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from clrobot.agents.methods.shared.method import Method


class Finetune(Method):
    """Train each task in turn with the shared trunk free to move."""

    name: ClassVar = "finetune"
    family: ClassVar = "bound"
    summary: ClassVar = "no protection: the lower line"

    @classmethod
    @override
    def why_not_with(cls, other: type[Method]) -> str | None:
        return f"{cls.name} protects nothing, so it adds nothing to {other.name}"
