"""From a configuration to its method, without torch: what is read of a run asks its method too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clrobot.agents.methods.shared.composite import Composite
from clrobot.agents.methods.shared.kickstart import Kickstart
from clrobot.agents.methods.shared.plasticity import Plasticity
from clrobot.experiment.choices import method_classes

if TYPE_CHECKING:
    from clrobot.agents.methods.shared.method import Method
    from clrobot.experiment.config import RunConfig


def make_method(config: RunConfig) -> Method:
    """Return the configured method with its settings, and with the options that are on: plasticity, kickstarting."""
    parts: list[Method] = [c(getattr(config, c.name, c.Settings())) for c in method_classes(config.method)]
    plasticity = Plasticity(config.plasticity)
    if plasticity.is_on:
        parts.insert(0, plasticity)  # so that what a method restores is restored last
    start = config.warm_start
    if start.is_on and start.kickstart > 0:
        parts.insert(0, Kickstart(start.kickstart, start.kickstart_share))
    return parts[0] if len(parts) == 1 else Composite(parts)
