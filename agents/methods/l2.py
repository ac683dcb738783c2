"""L2: the quadratic penalty with one weight for every parameter, which the others' importances are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field
from typing_extensions import override

from clrobot.agents.deferred import th
from clrobot.agents.methods.shared.quadratic import Importance, QuadraticMethod, protected_parameters

if TYPE_CHECKING:
    from clrobot.agents.algorithms.learner import Learner
    from clrobot.agents.methods.shared.method import Collect


class L2(QuadraticMethod):
    """EWC with F = 1 (the L2 of Kirkpatrick et al. 2017, figure 2).

    The anchor is then the mean of all old solutions, unless `anchor` says that it is the newest.
    """

    name: ClassVar = "l2"
    summary: ClassVar = "a penalty on moving any shared weight from where earlier tasks were learned"

    class Settings(QuadraticMethod.Settings):
        """L2's penalty."""

        strength: float = Field(0.04, ge=0)
        """λ; 0 is fine-tuning, to the bit."""

    settings: Settings

    @override
    def importance(self, learner: Learner, k: int, collect: Collect) -> Importance:
        """Return ones."""
        return {name: th.ones_like(p) for name, p in protected_parameters(learner).items()}
