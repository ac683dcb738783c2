"""The methods. Adding one is its file and one line here."""

from __future__ import annotations

from clrobot.agents.method import Method
from clrobot.agents.methods.distillation import Distillation
from clrobot.agents.methods.ewc import EWC
from clrobot.agents.methods.finetune import Finetune
from clrobot.agents.methods.progressive import Progressive

METHODS: tuple[type[Method], ...] = (
    Finetune,
    EWC,
    Progressive,
    Distillation,
)
