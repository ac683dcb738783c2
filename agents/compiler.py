"""Torch's compiler, which nothing here uses, and most of which a process need not load: a second of its start.

Torch loads it when some methods of its optimizers are first called, to mark them as none of the compiler's business,
and when `torch.func` is first used.
"""

from __future__ import annotations

from importlib import import_module
from inspect import unwrap
from threading import Thread

import torch as th


class Adam(th.optim.Adam):
    """Torch's Adam (Kingma & Ba 2015), to the last bit, but none differentiates through its steps."""

    step = th.no_grad()(unwrap(th.optim.Adam.step))
    add_param_group = unwrap(th.optim.Adam.add_param_group)
    zero_grad = unwrap(th.optim.Adam.zero_grad)
    state_dict = unwrap(th.optim.Adam.state_dict)
    load_state_dict = unwrap(th.optim.Adam.load_state_dict)


def load_compiler() -> None:
    """Load it now, before something does that needs it.

    The frames of that moment live on in it, and with them what they hold. A thread has its own.
    """
    thread = Thread(target=import_module, args=("torch._dynamo",))
    thread.start()
    thread.join()
