"""Online EWC: one anchor, and a Fisher information in which earlier tasks fade."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from clrobot.agents.methods.ewc import EWC


class OnlineEWC(EWC):
    """Online elastic weight consolidation (Schwarz et al. 2018, section 4).

        F ← γ F + F_k   and   θ* ← θ,  after each task k

    As there, every F_k is normalised first, so that a task whose Fisher information happens to be large does not
    drown the others; F's mean after k tasks is 1 + γ + … + γ^(k-1). The paper's penalty has one more factor γ, which
    here is part of λ.
    """

    name: ClassVar = "online-ewc"
    summary: ClassVar = "EWC with one anchor, the newest, and a Fisher information in which earlier tasks fade"

    class Settings(EWC.Settings):
        """Online EWC's penalty."""

        anchor: Literal["summed", "newest"] = "newest"
        """θ*: of the sum of all tasks' quadratics, or where the newest task ended."""
        decay: float = Field(0.95, ge=0, le=1)
        """γ: what a later task leaves of the earlier ones' Fisher information."""

    settings: Settings

    @property
    @override
    def decay(self) -> float:
        return self.settings.decay
