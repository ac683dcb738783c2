"""Online EWC: one anchor, and a Fisher information in which earlier tasks fade."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from typing_extensions import override

from clrobot.agents.methods.ewc import EWC
from clrobot.agents.methods.shared.quadratic import Quadratic, recentred


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

        decay: float = Field(0.95, ge=0, le=1)
        """γ: what a later task leaves of the earlier ones' Fisher information."""

    settings: Settings

    @override
    def merge(self, old: Quadratic, new: Quadratic) -> Quadratic:
        """Let the earlier importances fade, and move the anchor."""
        return recentred(old, new, self.settings.decay)
