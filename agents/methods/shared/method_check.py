"""Whether a method that is not ours is what `Method` says, in one sentence."""

from __future__ import annotations

import re
from typing import Final, get_args

from pydantic import ValidationError

from clrobot.agents.algorithms import ALGORITHMS
from clrobot.agents.methods.shared.method import Family, Method
from clrobot.agents.settings import FrozenSettings
from clrobot.errors import UserError, explain, shown

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")  # flags and `ewc+replay` are made of it


def method_name(method: object) -> str:
    """Return the name of a method's class, whose attributes are as they should be.

    Raises:
        UserError: one is not, or this is no method's class.
    """
    if not (isinstance(method, type) and issubclass(method, Method)):
        raise UserError(f"{shown(method)} is no method; give a class that derives from clrobot.Method")
    name = getattr(method, "name", None)
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        has = "has no name" if name is None else f"has the name {shown(name)}"
        raise UserError(f"method {method.__name__} {has}; expected words of lower case joined by hyphens")
    if name in [algorithm.name for algorithm in ALGORITHMS]:
        raise UserError(f"method {name} has the name of an algorithm; give it another")
    if not isinstance(getattr(method, "summary", None), str):
        raise UserError(f"method {name} has no summary; give its class one, a line for clrobot methods")
    if getattr(method, "family", None) not in get_args(Family):
        raise UserError(
            f"method {name}: family is {shown(getattr(method, 'family', None))}; "
            f"expected one of {', '.join(get_args(Family))}"
        )
    if isinstance(method.network_class, type):
        raise UserError(f"method {name}: network_class is a class; expected a class method that returns it")
    if not (isinstance(method.Settings, type) and issubclass(method.Settings, FrozenSettings)):
        raise UserError(f"method {name}: its Settings must derive from Method.Settings; derive them from it")
    try:
        method.Settings()
    except ValidationError as error:
        raise UserError(f"method {name}: its Settings have no defaults ({explain(error)}); give each one") from error
    return name
