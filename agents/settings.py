"""The base of every settings class."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class FrozenSettings(BaseModel):
    """The base of every settings class: frozen, and unknown names are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        revalidate_instances="always",
        allow_inf_nan=False,
    )

    def idle_with(self, algorithm: str) -> set[str]:
        """Return the names of settings that play no part beside an algorithm (`ppo`, `sac`); by default of none."""
        return set()
