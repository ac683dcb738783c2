"""The methods: ours, and a user's own.

Adding one of ours is its file and one line here; a user's comes through `METHODS_BY_NAME` (see `clrobot.registry`).
"""

from __future__ import annotations

from clrobot.agents.methods.agem import AGEM
from clrobot.agents.methods.distillation import Distillation
from clrobot.agents.methods.ewc import EWC
from clrobot.agents.methods.finetune import Finetune
from clrobot.agents.methods.frozen_copies import FrozenCopies
from clrobot.agents.methods.generative_replay import GenerativeReplay
from clrobot.agents.methods.l2 import L2
from clrobot.agents.methods.mas import MAS
from clrobot.agents.methods.multitask import Multitask
from clrobot.agents.methods.online_ewc import OnlineEWC
from clrobot.agents.methods.packnet import PackNet
from clrobot.agents.methods.progress_compress import ProgressCompress
from clrobot.agents.methods.progressive import Progressive
from clrobot.agents.methods.replay import Replay
from clrobot.agents.methods.scratch import Scratch
from clrobot.agents.methods.shared.method import Method
from clrobot.agents.methods.shared.method_check import method_name
from clrobot.agents.methods.si import SI
from clrobot.registry import Registry

METHODS: tuple[type[Method], ...] = (
    # Bounds of every comparison.
    Finetune,
    Scratch,
    Multitask,
    FrozenCopies,
    # Penalties on moving what earlier tasks need.
    EWC,
    OnlineEWC,
    L2,
    SI,
    MAS,
    # Weights of their own for each task.
    Progressive,
    PackNet,
    ProgressCompress,
    # What the policy did, kept as it was.
    Distillation,
    Replay,
    GenerativeReplay,
    AGEM,
)

# These, and then a user's own.
METHODS_BY_NAME: Registry[type[Method]] = Registry(
    "method", "clrobot.methods", {method.name: method for method in METHODS}, method_name
)


def register_method(method: type[Method]) -> None:
    """Add a method of your own: to every verb, with its settings as flags.

    What a cell of a notebook has defined is replaced when the cell is run again.

    Args:
        method: a class that derives from `Method`.

    Raises:
        UserError: it is no such class, its `name` is taken, or an attribute is not as `Method` says.
    """
    METHODS_BY_NAME.register(method)
