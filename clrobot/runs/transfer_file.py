"""The transfer matrix as a file: how much a task, learned first, helps another; one row a training."""

from __future__ import annotations

import csv
import importlib.resources
import io
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from clrobot.errors import UserError, explain
from clrobot.results.fields import MAX_COUNT, MAX_NUMBER

Transfer: TypeAlias = Mapping[tuple[str, str], float]  # FT(i → j) by the ids of i and j

PUBLISHED: Final = "published/transfer.csv"  # within the package
BUDGET: Final = 50_000  # control steps over which it takes areas


def _nothing(text: Any) -> Any:
    return None if text == "" else text


class TransferRow(BaseModel):
    """One training of a task after another, beside the task alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    source: Annotated[str, Field(alias="from", max_length=1_000)]
    """The task that was learned first."""
    target: Annotated[str, Field(alias="to", max_length=1_000)]
    """The task whose head began as a copy of that one's."""
    ft: Annotated[Annotated[float, Field(ge=-MAX_NUMBER, le=1)] | None, BeforeValidator(_nothing)]
    """(A - A_alone) / (1 - A_alone), of the areas under both learning curves; an empty cell where A_alone is 1.

    A task that is solved before any learning leaves nothing to be gained: the quotient is undefined.
    """
    area: Annotated[float, Field(ge=0, le=1)]
    """A: of the target after the source, over the budget; a curve that ended early stays where it was."""
    area_alone: Annotated[float, Field(ge=0, le=1)]
    """The same of the target from a fresh network, a mean."""
    trained_alone: Annotated[int, Field(ge=1, le=MAX_COUNT)]
    """Trainings of which it is the mean: the references that come with clrobot, or one of the seed's own."""
    final: Annotated[float, Field(ge=0, le=1)]
    """Success at the curve's end."""
    steps: Annotated[int, Field(ge=1, le=MAX_COUNT)]
    """Control steps trained on the target."""
    steps_before: Annotated[int, Field(ge=1, le=MAX_COUNT)]
    """Control steps trained on the source."""
    budget: Annotated[int, Field(ge=1, le=MAX_COUNT)]
    """Control steps over which the areas are taken."""
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    version: Annotated[str, Field(max_length=100)]
    """Of clrobot."""


COLUMNS: Final = tuple(field.alias or name for name, field in TransferRow.model_fields.items())


def parse_transfer(text: str, what: str) -> list[TransferRow]:
    """Return the rows of a file.

    Args:
        text: its content.
        what: what it is called in an error.

    Raises:
        UserError: it is not such a file.
    """
    reader = csv.DictReader(io.StringIO(text))
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise UserError(f"{what} is no transfer matrix: expected the columns {','.join(COLUMNS)}")
    try:
        rows = [TransferRow.model_validate(row) for row in reader]
    except ValidationError as error:
        raise UserError(f"{what} is damaged ({explain(error)}); delete what was added to it") from error
    return rows


def transfer_text(rows: Sequence[TransferRow]) -> str:
    """Return the content of a file with these rows."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {name: f"{v:.6g}" if isinstance(v, float) else v for name, v in row.model_dump(by_alias=True).items()}
        )
    return text.getvalue()


def mean_transfer(rows: Sequence[TransferRow]) -> Transfer:
    """Return FT(i → j) as the mean over the seeds in which it is defined; a pair without any is not in it."""
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row.ft is not None:
            found.setdefault((row.source, row.target), []).append(row.ft)
    return {pair: sum(values) / len(values) for pair, values in found.items()}


@cache
def published_transfer() -> Transfer:
    """Return the matrix that comes with the package, which is read once: every run of a comparison asks for it.

    Raises:
        UserError: it is damaged.
    """
    file = importlib.resources.files("clrobot").joinpath(PUBLISHED)
    return mean_transfer(parse_transfer(file.read_text(encoding="utf-8"), f"clrobot/{PUBLISHED}"))
