"""What a study is: curricula × methods × algorithms × seeds × orders × settings.

Its file is YAML, of which only the first three keys are needed:

    name: lambda-study
    curricula: [cr4, my-curriculum.yaml]     # names, files beside this one, or what such a file holds
    methods:
      finetune: {}
      ewc: {strength: [0.01, 0.1, 1.0]}      # a list is a grid; names are the method's own settings
      ewc+replay: {ewc.strength: 0.05}
    algorithms: [ppo]
    seeds: 10..14                            # or a list
    orders: [0, 1]                           # 0: as written; others: seeded shuffles of the stages
    settings: {ppo.learning_rate: [1e-3, 2e-3]}
    imports: [my_package.tasks]              # as --import, and passed on to every process

What a method is given stands in its runs' names, and so does what is a list under `settings`: a list of one value
may grow later, and its runs stay what they are.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_serializer, field_validator

from clrobot.errors import shown
from clrobot.experiment.curricula import CURRICULA
from clrobot.experiment.curriculum import Curriculum

Where = tuple[int | str, ...]  # the keys and places on the way to something in a study

_MOST = 10_000  # seeds or orders
_RANGE = re.compile(r"([0-9]{1,10})\.\.([0-9]{1,10})")


class Wrong(Exception):
    """Something in a study cannot be.

    Attributes:
        where: it stands.
        sentence: what is wrong, and what to do.
    """

    def __init__(self, where: Where, sentence: str) -> None:
        super().__init__(sentence)
        self.where = where
        self.sentence = sentence


def _numbers(value: Any) -> Any:
    """Return what `10..14` or a single number stands for."""
    if isinstance(value, str) and (found := _RANGE.fullmatch(value.strip())):
        first, last = int(found[1]), int(found[2])
        if last < first or last - first >= _MOST:
            raise ValueError(f"{shown(value)}; expected FIRST..LAST, rising, of {_MOST:,} numbers at most")
        return list(range(first, last + 1))
    if isinstance(value, str):
        raise ValueError(f"{shown(value)}; expected a list of whole numbers, or FIRST..LAST as 10..14")
    if isinstance(value, int) and not isinstance(value, bool):
        return [value]
    return value


Numbers = Annotated[
    tuple[Annotated[int, Field(ge=0, lt=2**31, strict=True)], ...],
    BeforeValidator(_numbers),
    Field(min_length=1, max_length=_MOST),
]
Names = Annotated[tuple[str, ...], Field(min_length=1, max_length=1_000)]


class Study(BaseModel):
    """Runs, described together."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = Field(min_length=1, max_length=100)
    """The study's own; its runs go into runs/NAME by default."""
    curricula: tuple[Curriculum, ...] = Field(min_length=1, max_length=1_000)
    """In a file a name, a path relative to it, or what a curriculum's file holds."""
    methods: dict[str, dict[str, Any]] = Field(min_length=1, max_length=1_000)
    """Each with its own settings; a list is a grid."""
    algorithms: Names = ("ppo",)
    """ppo, sac, or both."""
    seeds: Numbers = (0,)
    """A list, or FIRST..LAST."""
    orders: Numbers = (0,)
    """Of each curriculum's stages: 0 as written, others seeded shuffles."""
    settings: dict[str, Any] = {}
    """Of all runs, by their full names; a list is a grid."""
    imports: tuple[str, ...] = ()
    """Modules of the user's own, as `--import`; a file's path is relative to the study's."""

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if name in (".", "..") or any(character in name for character in "/\\\0"):
            raise ValueError(f"{shown(name)} cannot name a folder; expected a name without slashes")
        return name

    @field_validator("methods", mode="before")
    @classmethod
    def _none_is_no_setting(cls, methods: Any) -> Any:
        """Let `finetune:` stand for `finetune: {}`, and a list of names for methods as they are."""
        if isinstance(methods, list | tuple) and all(isinstance(name, str) for name in methods):
            if len(set(methods)) < len(methods):
                raise ValueError(f"{shown(methods)} names a method twice; name each once")
            return {name: {} for name in methods}
        if isinstance(methods, dict):
            return {name: {} if value is None else value for name, value in methods.items()}
        return methods

    @field_validator("algorithms", "seeds", "orders", "imports")
    @classmethod
    def _each_once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        for i, value in enumerate(values):
            if value in values[:i]:
                raise ValueError(f"{shown(value)} is given twice; name each once")
        return values

    @field_serializer("curricula")
    def _plain(self, curricula: tuple[Curriculum, ...]) -> list[Any]:
        """Return names of ours as names, and everything else with its stages: no other file is needed."""
        return [c.name if CURRICULA.ours.get(c.name) == c else c.model_dump(mode="json") for c in curricula]

    def to_data(self) -> dict[str, Any]:
        """Return what a file of this study holds, in JSON's types; what is as it is where nobody says is left out."""
        return self.model_dump(mode="json", exclude_defaults=True)
