"""The gradient steps that a method takes beside the algorithm's, counted from outside: none can forget to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch.optim.optimizer import register_optimizer_step_post_hook


@dataclass
class StepCount:
    """How many steps there were so far."""

    steps: int = 0


@contextmanager
def optimizer_steps() -> Iterator[StepCount]:
    """Count the steps of every optimizer that takes one inside the block, in this thread."""
    count, thread = StepCount(), threading.get_ident()

    def stepped(*_: Any) -> None:
        count.steps += threading.get_ident() == thread

    handle = register_optimizer_step_post_hook(stepped)
    try:
        yield count
    finally:
        handle.remove()
