"""What can be seen of a tanh network's ability to learn: of each hidden layer, what its units do over states.

A tanh unit is hardly ever dormant by its activity |h|: one that is stuck is stuck at -1 or 1, fully active. So beside
dormancy stand saturation, spread over states, and the rank of the layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from clrobot.agents.deferred import th
from clrobot.agents.methods.shared.plasticity import DORMANT, dormant_units

if TYPE_CHECKING:
    from clrobot.agents.networks.slot_network import SlotNetwork

SATURATED = 0.95  # |h| beyond which tanh passes less than a tenth of a gradient, and the share of states that counts
STILL = 0.05  # the standard deviation over states up to which a unit tells none of them apart
RANK_LEFT_OUT = 0.01  # share of the singular values' sum that an effective rank leaves out


class LayerMeasures(NamedTuple):
    """What a hidden layer's units do over some states; shares in [0, 1].

    Attributes:
        width: how many units there are.
        dormant: the share with almost no activity beside the layer's mean.
        saturated: the share at an end of tanh in nearly every state.
        still: the share that hardly changes from state to state.
        effective_rank: directions that hold nearly all of the layer, 1 … width.
    """

    width: int
    dormant: float
    saturated: float
    still: float
    effective_rank: int


def layer_measures(network: SlotNetwork, x: th.Tensor, slot: int) -> list[LayerMeasures]:
    """Return what each hidden layer's units do, from the input on.

    Args:
        network: an actor or a critic.
        x: inputs (n, d), without the slot's index.
        slot: whose activations are looked at.
    """
    with th.no_grad():
        hidden = network.activations(x, slot)[:-1]
    dormant = dormant_units(network, x, slot, DORMANT)
    return [
        LayerMeasures(
            width=h.shape[1],
            dormant=_share(asleep),
            # |h_i(x)| > .95 in 95 % of the states x
            saturated=_share((h.abs() > SATURATED).float().mean(0) >= SATURATED),
            # √Var_x h_i(x) ≤ .05
            still=_share(h.std(0, correction=0) <= STILL),
            effective_rank=effective_rank(h),
        )
        for h, asleep in zip(hidden, dormant, strict=True)
    ]


def effective_rank(h: th.Tensor) -> int:
    """Return the effective rank of a layer's activations h (n, width) over n states (Kumar et al. 2021, section 3).

    srank_δ(h) = min {k: Σ_{i≤k} σ_i / Σ_i σ_i ≥ 1 - δ},  σ_1 ≥ σ_2 ≥ … its singular values, δ = .01
    """
    sigma = th.linalg.svdvals(h.double())
    reached = sigma.cumsum(0) >= (1 - RANK_LEFT_OUT) * sigma.sum()
    return int((~reached).sum()) + 1


def _share(mask: th.Tensor) -> float:
    return float(mask.float().mean())
