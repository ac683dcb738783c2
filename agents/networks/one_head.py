"""One head for all tasks, which is then shared as the trunk is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from torch import nn
from typing_extensions import override

from clrobot.agents.networks.multi_head import MultiHeadNetwork


class OneHeadNetwork(MultiHeadNetwork):
    """A network that keeps its first head: every slot acts through it, and a later task changes it.

    So what protects shared parameters protects the head too. PPO's noise has one scale then, which is the policy's
    and no part of the network: it is kept by what rehearses behaviour, and not by penalties on moving weights.
    """

    one_head: ClassVar = True

    @override
    def shared_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        yield from super().shared_parameters()
        yield from self.heads.named_parameters(prefix="heads")
