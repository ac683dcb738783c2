"""Torch's global generators that a learner draws from: the processor's, and that of the card its networks are on."""

from __future__ import annotations

from collections.abc import Mapping

import torch as th

_CARD = "torch.card"


def generator_states(device: th.device) -> dict[str, th.Tensor]:
    """Return their states by name; networks on `device` act by its generator."""
    states = {"torch": th.get_rng_state()}
    if device.type == "cuda":
        states[_CARD] = th.cuda.get_rng_state(device)
    return states


def set_generator_states(states: Mapping[str, th.Tensor], device: th.device) -> None:
    """Set what `generator_states` returned; other names in `states` are passed over.

    A card's generator stays as the stage has seeded it where the states are of networks on the processor.

    Raises:
        KeyError, RuntimeError: the processor's is missing, or one is of another kind.
    """
    th.set_rng_state(states["torch"])
    if device.type == "cuda" and _CARD in states:
        th.cuda.set_rng_state(states[_CARD], device)
