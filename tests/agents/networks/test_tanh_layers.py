"""The written-out backward pass of linear layers with tanh: equal to autograd's."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch as th

from clrobot.agents.networks.tanh_layers import tanh_layers

SIZES = [(5, 7, 6, 3), (5, 7, 2), (4, 3), (3, 5, 5, 5, 1)]


def layers_of(sizes: tuple[int, ...], dtype: th.dtype) -> list[tuple[th.Tensor, th.Tensor]]:
    generator = th.Generator().manual_seed(1)
    return [
        (
            th.randn(b, a, generator=generator, dtype=dtype).requires_grad_(),
            th.randn(b, generator=generator, dtype=dtype).requires_grad_(),
        )
        for a, b in pairwise(sizes)
    ]


def by_autograd(x: th.Tensor, layers: list[tuple[th.Tensor, th.Tensor]]) -> th.Tensor:
    for i, (weight, bias) in enumerate(layers):
        x = th.nn.functional.linear(x, weight, bias)
        if i < len(layers) - 1:
            x = th.tanh(x)
    return x


def rows(sizes: tuple[int, ...], dtype: th.dtype, n: int = 11) -> th.Tensor:
    return th.randn(n, sizes[0], generator=th.Generator().manual_seed(2), dtype=dtype)


@pytest.mark.parametrize("sizes", SIZES)
def test_its_derivatives_are_those_of_finite_differences(sizes) -> None:
    layers = layers_of(sizes, th.float64)
    flat = [tensor for layer in layers for tensor in layer]

    def function(x: th.Tensor, *tensors: th.Tensor) -> th.Tensor:
        return tanh_layers(x, list(zip(tensors[::2], tensors[1::2], strict=True)))

    assert th.autograd.gradcheck(function, (rows(sizes, th.float64).requires_grad_(), *flat))


@pytest.mark.parametrize("sizes", SIZES)
def test_values_and_gradients_are_autograds_within_rounding(sizes) -> None:
    x, layers = rows(sizes, th.float32, 64), layers_of(sizes, th.float32)
    tensors = [tensor for layer in layers for tensor in layer]
    expected, found = by_autograd(x, layers), tanh_layers(x, layers)
    assert th.allclose(found, expected, rtol=1e-6, atol=1e-6)
    with th.no_grad():
        assert th.equal(tanh_layers(x, layers), found)  # what acts is what is learned from, to the bit
    factor = th.randn(expected.shape, generator=th.Generator().manual_seed(3))
    wanted = th.autograd.grad((expected * factor).sum(), tensors)
    for mine, theirs in zip(th.autograd.grad((found * factor).sum(), tensors), wanted, strict=True):
        assert th.allclose(mine, theirs, rtol=1e-5, atol=1e-6 * float(theirs.abs().max()))


@pytest.mark.parametrize("trained", [{0}, {1}, {2}, {3, 4}, {0, 6}, {5}, {6}])
def test_gradients_are_taken_of_what_asks_for_them_and_of_nothing_else(trained) -> None:
    """Whatever part is frozen: the inputs are number 0, then come weight and bias of each layer."""
    sizes = SIZES[0]
    x, layers = rows(sizes, th.float64), layers_of(sizes, th.float64)
    tensors = [x, *(tensor for layer in layers for tensor in layer)]
    for i, tensor in enumerate(tensors):
        tensor.requires_grad_(i in trained)
    wanted = th.autograd.grad(by_autograd(x, layers).square().sum(), [tensors[i] for i in sorted(trained)])
    tanh_layers(x, layers).square().sum().backward()
    for i, expected in zip(sorted(trained), wanted, strict=True):
        assert th.allclose(tensors[i].grad, expected, rtol=1e-12)
    assert all(tensor.grad is None for i, tensor in enumerate(tensors) if i not in trained)


def test_constant_layers_pass_the_gradient_on_and_get_none() -> None:
    x, layers = rows(SIZES[0], th.float64).requires_grad_(), layers_of(SIZES[0], th.float64)
    (expected,) = th.autograd.grad(by_autograd(x, layers).square().sum(), [x])
    tanh_layers(x, layers, constant=True).square().sum().backward()
    assert th.allclose(x.grad, expected, rtol=1e-12)
    assert all(tensor.grad is None for layer in layers for tensor in layer)
