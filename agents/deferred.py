"""torch, imported when something of it is first used.

`clrobot methods` and `clrobot train --help` import every method's file, for its name, its summary and its settings.
None of these computes anything, and torch with Stable-Baselines3 would be seconds of waiting. So what they import
(the methods, what methods derive from, the algorithms) writes

    from clrobot.agents.deferred import nn, th

where it would write `import torch as th`; it imports networks, policies and Stable-Baselines3 where it uses them, and
under `TYPE_CHECKING` what stands in annotations alone. A network of a method's own therefore lives in `networks/`.
Everything else writes `import torch as th`, and so may a user's own method: the lists then take as long as torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clrobot.deferred import Deferred

__all__ = ["nn", "th"]

if TYPE_CHECKING:
    import torch as th
    from torch import nn
else:
    th, nn = Deferred("torch"), Deferred("torch.nn")
