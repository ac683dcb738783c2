"""The base of every settings class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from clrobot.errors import shown


class FrozenSettings(BaseModel):
    """The base of every settings class: frozen, and unknown names are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        revalidate_instances="always",
        allow_inf_nan=False,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false, which YAML also reads from `yes` and `on`, and Python takes for 1 and 0."""
        parts = value if isinstance(value, list | tuple) else (value,)
        if any(isinstance(part, bool) for part in parts):
            types = set(_types(cls.model_fields[str(info.field_name)].annotation))
            if types & {int, float} and bool not in types:
                raise ValueError(f"{shown(value)}; expected {'numbers' if parts is value else 'a number'}")
        return value

    def idle_with(self, algorithm: str) -> set[str]:
        """Return the names of settings that play no part beside an algorithm (`ppo`, `sac`); by default of none."""
        return set()


def _types(annotation: Any) -> Iterator[Any]:
    """Yield a type and all that it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from _types(part)
