"""Tensors from a file, held against what they should be: their names, shapes and kinds; values play no part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clrobot.agents.deferred import th


def check_like(found: Mapping[str, th.Tensor], expected: Mapping[str, th.Tensor]) -> None:
    """Raise ValueError unless `found` has exactly the tensors of `expected`, each of its shape and dtype.

    torch's own `load_state_dict` casts what has another dtype.
    """
    if lacking := sorted(expected.keys() - found.keys()):
        raise ValueError(f"{lacking[0]} is missing")
    if more := sorted(found.keys() - expected.keys()):
        raise ValueError(f"{more[0]} is none of its tensors")
    for name, tensor in expected.items():
        if (found[name].dtype, found[name].shape) != (tensor.dtype, tensor.shape):
            raise ValueError(f"{name} is {_described(found[name])}; expected {_described(tensor)}")


def check_numbers(name: str, found: th.Tensor, shape: Sequence[int]) -> None:
    """Raise ValueError unless the tensor called `name` holds finite real numbers in this shape."""
    if tuple(found.shape) != tuple(shape) or not found.is_floating_point():
        raise ValueError(f"{name} is {_described(found)}; expected numbers of shape {tuple(shape)}")
    if not bool(found.isfinite().all()):
        raise ValueError(f"{name} has a number that is not finite")


def _described(tensor: th.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"
