"""The methods. Adding one is its file and one line here."""

from __future__ import annotations

from clrobot.agents.methods.agem import AGEM
from clrobot.agents.methods.distillation import Distillation
from clrobot.agents.methods.ewc import EWC
from clrobot.agents.methods.finetune import Finetune
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
from clrobot.agents.methods.si import SI

METHODS: tuple[type[Method], ...] = (
    # Bounds of every comparison.
    Finetune,
    Scratch,
    Multitask,
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
