"""How the experts go that hook or push a mechanism's handle with closed fingers."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from typing_extensions import override

from clrobot.envs.arrays import Array, horizontal_distance
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.simulation.actions import CLOSED, MAX_STEP
from clrobot.envs.simulation.features import Mask, MechanismFeatures


class HandleExpert(Expert[MechanismFeatures]):
    """Closed fingers down beside the handle, then on with it. Phases: 0 over, 1 down, 2 moving it, 3 there."""

    offset: ClassVar[tuple[float, float, float]]  # m, from the handle to where the fingers go down
    clearance: ClassVar[float]  # m above that place, from where they come down
    over_within: ClassVar[float] = 0.01  # m, aside of it: over it
    down_within: ClassVar[float] = 0.006  # m, above it: down
    descent: ClassVar[float]  # m, the stride on the way down
    stride: ClassVar[float]  # m, one with which the hand does not sink into the handle

    def beside(self, f: MechanismFeatures) -> Array:
        """Return where the fingers go down, (N, 3), m."""
        place: Array = f.object + self.offset
        return place

    @abstractmethod
    def ahead(self, f: MechanismFeatures) -> Array:
        """Return where the hand moves towards once the fingers are down, (N, 3), m."""

    @abstractmethod
    def there(self, f: MechanismFeatures) -> Mask:
        """Return whose mechanism is where it should be, (N,)."""

    @override
    def act(self, f: MechanismFeatures) -> Array:
        hand, beside = self.sim.hand, self.beside(f)
        self.advance(2, self.there(f))
        self.advance(1, hand[:, 2] - beside[:, 2] < self.down_within)
        self.advance(0, horizontal_distance(hand, beside) < self.over_within)
        over, still = above(beside, self.clearance), self.sim.delayed_target
        point = self.by_phase(over, beside, self.ahead(f), still)
        return self.towards(point, CLOSED, self.by_phase(MAX_STEP, self.descent, self.stride))


class OpeningExpert(HandleExpert):
    """Until the joint is beyond its goal."""

    @override
    def there(self, f: MechanismFeatures) -> Mask:
        return f.joint > 1.0


class ClosingExpert(HandleExpert):
    """Until the joint is all but shut."""

    @override
    def there(self, f: MechanismFeatures) -> Mask:
        return f.joint < 0.02
