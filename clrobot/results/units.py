"""What has become of a network's hidden units: the part of `metrics.json` that says whether it can still learn."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from clrobot.results.fields import MAX_SLOTS, Count, Rate, Record

_MOST_LAYERS: Final = 64 * MAX_SLOTS  # a column for each slot, of more layers than a column may have


class LayerUnits(Record):
    """What has become of a hidden layer's units, on states of a stage's task.

    Attributes:
        width: how many units there are.
        dormant: the share whose activity is almost none beside the layer's mean (Sokar et al. 2023).
        saturated: the share that is at an end of tanh in nearly every state: it passes no gradient.
        still: the share that hardly changes from state to state: it tells nothing apart.
        effective_rank: the number of directions that hold nearly all of the layer (Kumar et al. 2021).
    """

    width: Count
    dormant: Rate
    saturated: Rate
    still: Rate
    effective_rank: Count


class Units(Record):
    """The hidden layers of actor and critic, each from the input on."""

    actor: Annotated[tuple[LayerUnits, ...], Field(max_length=_MOST_LAYERS)]
    critic: Annotated[tuple[LayerUnits, ...], Field(max_length=_MOST_LAYERS)]
