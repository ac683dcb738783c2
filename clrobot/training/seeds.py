"""One seed for each purpose and stage of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

_PURPOSES = ("learner", "training", "collecting", "stage", "units", "inference", "snapshot", "trial")


def seed_for(seed: int, purpose: str, stage: int = 0, *numbers: int) -> int:
    """Return a seed of its own for each purpose and stage of a run, and for each of its numbers there."""
    state: Any = np.random.SeedSequence([seed, _PURPOSES.index(purpose), stage, *numbers]).generate_state(1)
    return int(state[0] >> 1)
