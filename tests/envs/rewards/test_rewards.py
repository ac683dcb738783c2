"""The tolerance function and the distances, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from clrobot.envs.arrays import distance, horizontal_distance
from clrobot.envs.rewards.tolerance import tolerance


def test_tolerance_is_one_inside_the_bound() -> None:
    x = np.array([-1.0, 0.0, 0.05, 0.1])
    np.testing.assert_array_equal(tolerance(x, within=0.1, margin=0.2), np.ones(4))


@pytest.mark.parametrize("at_margin", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("within", [0.0, 0.03])
def test_tolerance_at_the_margin(within: float, at_margin: float) -> None:
    value = tolerance(np.array([within + 0.2]), within=within, margin=0.2, at_margin=at_margin)
    np.testing.assert_allclose(value, [at_margin], rtol=1e-12)


def test_tolerance_literal_values() -> None:
    # 1 / (1 + 9 u²) for u = 0, 1/3, 1, 2, 10
    x = np.array([0.0, 1 / 3, 1.0, 2.0, 10.0])
    np.testing.assert_allclose(tolerance(x, margin=1.0), [1.0, 1 / 2, 1 / 10, 1 / 37, 1 / 901], rtol=1e-12)


def test_tolerance_falls_strictly_and_smoothly_outside() -> None:
    x = np.linspace(0.02, 3.0, 500)
    value = tolerance(x, within=0.02, margin=0.15)
    assert (np.diff(value) < 0).all()
    assert value[-1] > 0
    # No kink where the bound ends: the slope starts from 0.
    assert 1.0 - tolerance(np.array([0.02 + 1e-6]), within=0.02, margin=0.15)[0] < 1e-9


def test_tolerance_keeps_the_shape_and_its_argument() -> None:
    x = np.array([[0.0, 0.5, 1.0], [1.5, 2.0, 2.5]])
    before = x.copy()
    assert tolerance(x, margin=1.0).shape == (2, 3)
    np.testing.assert_array_equal(x, before)


def test_distance_by_hand() -> None:
    a = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
    b = np.array([[3.0, 4.0, 0.0], [3.0, 5.0, 9.0], [1.0, 1.0, 1.0]])
    np.testing.assert_allclose(distance(a, b), [5.0, 7.0, 0.0], rtol=1e-15)


def test_horizontal_distance_by_hand() -> None:
    a = np.array([[0.0, 0.0, 5.0], [1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
    b = np.array([[3.0, 4.0, 0.0], [6.0, 14.0, 3.0], [1.0, 1.0, 9.0]])
    np.testing.assert_allclose(horizontal_distance(a, b), [5.0, 13.0, 0.0], rtol=1e-15)


def test_distance_is_a_metric() -> None:
    a, b, c = np.random.default_rng(0).normal(size=(3, 50, 3))
    np.testing.assert_array_equal(distance(a, b), distance(b, a))
    assert (distance(a, c) <= distance(a, b) + distance(b, c) + 1e-12).all()
    np.testing.assert_allclose(distance(a, b), np.linalg.norm(a - b, axis=1), rtol=1e-14)
