"""What the records of a run are made of: numbers with bounds, and slots, which count from 1 in files alone."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, ValidationInfo


class Record(BaseModel):
    """Part of a file: frozen, of exactly these keys, each of exactly its type, and no number infinite or nan."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Rate = Annotated[float, Field(ge=0, le=1)]
Change = Annotated[float, Field(ge=-1, le=1)]  # the difference of two rates
# More than anything here ever counts or measures; what lies beyond is somebody's invention, and would overflow where
# it is added up or shown. Up to here every whole number is exactly a float too.
MAX_COUNT: Final = 2**53
MAX_NUMBER: Final = 1e12

MAX_SLOTS: Final = 1024  # and stages: the slot's index in an observation is at most 1023

Positive = Annotated[float, Field(ge=0, le=MAX_NUMBER)]  # zero or more
Number = Annotated[float, Field(ge=-MAX_NUMBER, le=MAX_NUMBER)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Stage = Annotated[int, Field(ge=0, le=MAX_SLOTS)]  # 0 is the untrained agent
Row = Annotated[tuple[Rate | None, ...], Field(max_length=MAX_SLOTS)]
# Rates by row and column; None where one is undefined.
Changes = Annotated[
    tuple[Annotated[tuple[Change | None, ...], Field(max_length=MAX_SLOTS)], ...], Field(max_length=MAX_SLOTS)
]
Matrix = Annotated[tuple[Row, ...], Field(max_length=MAX_SLOTS + 1)]


def _from_file(value: int, info: ValidationInfo) -> int:
    first = 1 if info.mode == "json" else 0
    if not first <= value < first + MAX_SLOTS:
        raise ValueError(f"{str(value)[:20]}; expected a slot, which counts from {first}, up to {MAX_SLOTS}")
    return value - first


# A slot's index: from 0 in Python, from 1 in JSON, as the papers count. Here alone one becomes the other.
Slot = Annotated[
    int, AfterValidator(_from_file), PlainSerializer(lambda slot: slot + 1, return_type=int, when_used="json")
]


def own_stage(slot: int) -> int:
    """Return the stage (from 1) that trains the slot of this index (from 0)."""
    return slot + 1
