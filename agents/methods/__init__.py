"""The methods. Adding one is its file and one line here."""

from __future__ import annotations

from clrobot.agents.method import Method
from clrobot.agents.methods.agem import AGEM
from clrobot.agents.methods.distillation import Distillation
from clrobot.agents.methods.ewc import EWC
from clrobot.agents.methods.finetune import Finetune
from clrobot.agents.methods.generative_replay import GenerativeReplay
from clrobot.agents.methods.progressive import Progressive
from clrobot.agents.methods.replay import Replay

METHODS: tuple[type[Method], ...] = (
    Finetune,
    EWC,
    Progressive,
    Distillation,
    Replay,
    GenerativeReplay,
    AGEM,
)
