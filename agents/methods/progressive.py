"""Progressive networks: a column for each task, earlier ones frozen and read through laterals."""

from __future__ import annotations

from typing import ClassVar

from clrobot.agents.method import Method
from clrobot.agents.networks import ProgressiveNetwork


class Progressive(Method):
    """Progressive networks (Rusu et al. 2016; for robots, Rusu et al. 2017). All of it is in the policy."""

    name: ClassVar = "progressive"
    summary: ClassVar = "a frozen column for each task, read by the later ones; never forgets, and grows"
    family: ClassVar = "architecture"
    network_class: ClassVar = ProgressiveNetwork
