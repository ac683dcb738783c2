"""A trained agent acts for observations as the environments give them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import clrobot
from clrobot.errors import UserError


@pytest.mark.parametrize("shape", [(22,), (24,), (5, 24), (2, 5, 23), (), (0,), (0, 23)], ids=str)
def test_other_observations_are_one_sentence_that_names_the_size(shape: tuple[int, ...], tiny_run: Path) -> None:
    agent = clrobot.load(tiny_run)
    with pytest.raises(UserError) as failure:
        agent.predict(np.zeros(shape), "reach")
    expected = f"observations of shape {shape}; expected (23,), or (B, 23) of one or more"
    assert str(failure.value) == expected


def test_one_observation_or_many(tiny_run: Path) -> None:
    agent = clrobot.load(tiny_run)
    many = agent.predict(np.zeros((3, 23)), "reach")
    assert many.shape == (3, 4)
    assert agent.predict(np.zeros(23), "reach").shape == (4,)
    np.testing.assert_allclose(agent.predict(np.zeros(23), "reach"), many[0], atol=1e-6)
