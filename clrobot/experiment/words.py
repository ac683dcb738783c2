"""How settings are read from words of the command line."""

from __future__ import annotations

from typing import Any

import tyro

from clrobot.experiment.curriculum import Curriculum
from clrobot.experiment.yaml_file import load_curriculum

# A curriculum is one word on the command line: a name or a file.
CURRICULUM_WORD = tyro.constructors.PrimitiveConstructorSpec(
    nargs=1,
    metavar="NAME|FILE",
    instance_from_str=lambda words: load_curriculum(words[0]),
    is_instance=lambda value: isinstance(value, Curriculum),
    str_from_instance=lambda value: [value.name],
)

# How settings are read from the command line; pass it to tyro as `registry`.
COMMAND_LINE = tyro.constructors.ConstructorRegistry()


def _number_word(metavar: str) -> tyro.constructors.PrimitiveConstructorSpec[Any]:
    """Let tyro pass on a word that is no number: RunConfig refuses it, and names the setting."""
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: _number(words[0]),
        is_instance=lambda value: value is None or isinstance(value, int | float),
        str_from_instance=lambda value: [str(value)],
    )


def _number(word: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


NUMBER_WORDS = {int: _number_word("INT"), float: _number_word("FLOAT")}
