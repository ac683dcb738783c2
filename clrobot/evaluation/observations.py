"""What a policy sees: an environment's observation, and the index of its slot as one more component."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def append_slot(obs: NDArray[np.float32], slot: int | NDArray[np.intp]) -> NDArray[np.float32]:
    """Return obs (…, d) with its slot's index as one more component, (…, d + 1); one for all, or one for each."""
    column = np.empty((*obs.shape[:-1], 1), np.float32)
    column[..., 0] = slot
    return np.concatenate([obs, column], axis=-1)
