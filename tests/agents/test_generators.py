"""Torch's global generators, kept and put back."""

from __future__ import annotations

import pytest
import torch as th

from clrobot.agents.generators import generator_states, set_generator_states


def test_the_processors_generator_goes_on_where_it_was():
    states = generator_states(th.device("cpu"))
    drawn = th.rand(3)
    set_generator_states(states, th.device("cpu"))
    assert list(states) == ["torch"]
    assert th.equal(th.rand(3), drawn)


def test_networks_on_a_card_keep_its_generator_too(monkeypatch: pytest.MonkeyPatch):
    """They draw their actions from it. Here no card is: `tests/training/test_cuda.py` uses one."""
    card = {"cuda:1": th.tensor([1, 2], dtype=th.uint8)}
    monkeypatch.setattr(th.cuda, "get_rng_state", lambda device: card[str(device)].clone())
    monkeypatch.setattr(th.cuda, "set_rng_state", lambda state, device: card.update({str(device): state}))
    device = th.device("cuda:1")
    states = generator_states(device)
    card["cuda:1"] = th.tensor([3, 4], dtype=th.uint8)
    set_generator_states(states, device)
    assert card["cuda:1"].tolist() == [1, 2]
