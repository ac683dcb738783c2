"""A user's own method: what is refused when it is registered."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from clrobot.agents.methods import METHODS, METHODS_BY_NAME, register_method
from clrobot.agents.methods.shared.method import Method
from clrobot.agents.methods.shared.method_check import method_name
from clrobot.agents.settings import FrozenSettings
from clrobot.errors import UserError


def variant(**changes: Any) -> type[Method]:
    return type("Mine", (Method,), {"name": "mine", "summary": "mine", "family": "bound"} | changes)


class Needing(FrozenSettings):
    """Settings without a default."""

    strength: float


class Other(BaseModel):
    """Settings that are not frozen."""


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_ours_pass(method: type[Method]) -> None:
    assert method_name(method) == method.name


REFUSED: dict[str, tuple[object, str]] = {
    "no method": (FrozenSettings, "is no method; give a class that derives from clrobot.Method"),
    "no name": (type("Mine", (Method,), {}), "method Mine has no name; expected words of lower case"),
    "a name that composes": (variant(name="ewc+mine"), "method Mine has the name 'ewc+mine'; expected"),
    "an algorithm's name": (variant(name="sac"), "method sac has the name of an algorithm; give it another"),
    "no summary": (variant(summary=None), "method mine has no summary; give its class one"),
    "no family": (variant(family="magic"), "method mine: family is 'magic'; expected one of bound, "),
    "a network in place of what returns it": (
        variant(network_class=Other),
        "method mine: network_class is a class; expected a class method that returns it",
    ),
    "settings of another kind": (
        variant(Settings=Other),
        "its Settings must derive from Method.Settings",
    ),
    "settings without defaults": (variant(Settings=Needing), "its Settings have no defaults (`strength` is missing)"),
}


@pytest.mark.parametrize(("method", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_method_is_refused_in_a_sentence(method: Any, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        register_method(method)
    assert sentence in str(caught.value)
    assert list(METHODS_BY_NAME) == [ours.name for ours in METHODS]


def test_a_taken_name_is_refused() -> None:
    with pytest.raises(UserError, match=r"^method 'ewc' is one of clrobot's own; give yours another name$"):
        register_method(variant(name="ewc"))
