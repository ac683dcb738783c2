"""One seed for each purpose and stage of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

_PURPOSES = ("learner", "training", "collecting", "stage", "units", "inference")


def seed_for(seed: int, purpose: str, stage: int = 0) -> int:
    """Return a seed of its own for each purpose and stage of a run."""
    state: Any = np.random.SeedSequence([seed, _PURPOSES.index(purpose), stage]).generate_state(1)
    return int(state[0] >> 1)
