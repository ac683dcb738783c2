"""Torch's threads, which are of the whole process: whoever sets them for a run puts them back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch as th


@contextmanager
def torch_threads_put_back() -> Iterator[None]:
    """Give torch back the number of threads that it had before the block, whatever a training in it needs."""
    before = th.get_num_threads()
    try:
        yield
    finally:
        th.set_num_threads(before)
