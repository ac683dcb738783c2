"""What a method keeps of earlier tasks: rows of tensors that belong together, and minibatches of them.

A memory draws from a generator of its own, never from torch's global one, so that remembering changes nothing else;
the generator's state is saved with the rows, so that a resumed training draws the same minibatches.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from typing_extensions import override

from clrobot.agents.deferred import th
from clrobot.agents.tensors import check_numbers

Rows = TypeVar("Rows", bound=NamedTuple)
RowSize: TypeAlias = "int | tuple[int, ...]"  # of one field of a row

_GENERATOR = "generator"
_WITH_SLOT = ("observations", "next_observations")  # fields whose last component is a slot's index


@cache
def generator_bytes() -> int:
    """Return the bytes of a generator's state."""
    return th.Generator().get_state().numel()


class Memory(Generic[Rows]):
    """Keeps every row that it is given.

    Args:
        kind: the NamedTuple of the tensors, each with one entry for each row in its first dimension.
    """

    def __init__(self, kind: type[Rows]) -> None:
        self._kind = kind
        self._rows: Rows | None = None

    @cached_property
    def generator(self) -> th.Generator:  # only once it is used: a method is also made to be asked about a run
        """Of all its draws."""
        return th.Generator()

    def __len__(self) -> int:
        return 0 if self._rows is None else len(self._rows[0])

    @property
    def rows(self) -> Rows:
        """All that is kept.

        Raises:
            IndexError: nothing is.
        """
        if self._rows is None:
            raise IndexError("an empty memory; add rows first")
        return self._rows

    def seed(self, seed: int) -> None:
        """Seed the memory's generator."""
        self.generator.manual_seed(seed)

    def add(self, rows: Rows) -> None:
        """Append copies of `rows`."""
        copies = [t.detach().clone(memory_format=th.contiguous_format) for t in rows]
        if self._rows is not None:
            copies = [th.cat([old, new]) for old, new in zip(self._rows, copies, strict=True)]
        self._rows = self._kind._make(copies)

    def sample(self, n: int) -> Rows:
        """Return n rows, drawn with replacement, each as likely as any other."""
        rows = self.rows
        chosen = th.randint(len(self), (n,), generator=self.generator).to(rows[0].device)
        return self._kind._make(t.index_select(0, chosen) for t in rows)

    def to(self, device: th.device) -> None:
        """Move the rows to where the networks are."""
        if self._rows is not None:
            self._rows = self._kind._make(t.to(device) for t in self._rows)

    def state_dict(self) -> dict[str, th.Tensor]:
        """Return the rows by field and the generator's state; nothing while the memory is empty."""
        if self._rows is None:
            return {}
        return self._rows._asdict() | {_GENERATOR: self.generator.get_state()}

    def load_state_dict(self, state: dict[str, th.Tensor]) -> None:
        """Restore what `state_dict` returned."""
        self._rows = self._kind._make(state[field] for field in self._kind._fields) if state else None
        if state:
            if len({len(tensor) for tensor in self.rows}) != 1:
                raise ValueError("a memory whose columns have other numbers of rows")
            self.generator.set_state(state[_GENERATOR].cpu())

    def check(self, **sizes: RowSize) -> None:
        """Look whether the rows that were loaded are of these sizes.

        Args:
            sizes: of one row, by field: how many numbers, or a shape.

        Raises:
            ValueError: a field has another size, or holds what is no number, or a slot that none can have.
        """
        from clrobot.agents.vec_env import MAX_SLOT

        if self._rows is None:
            return
        for field, tensor in self.rows._asdict().items():
            if field in sizes:
                size = sizes[field]
                check_numbers(field, tensor, (len(self), *((size,) if isinstance(size, int) else size)))
            if field in _WITH_SLOT and not bool(((tensor[..., -1] >= 0) & (tensor[..., -1] <= MAX_SLOT)).all()):
                raise ValueError(f"{field} with a slot that none can have")


class Reservoir(Memory[Rows]):
    """Keeps at most `total` rows: a uniform random sample of all that it was given, however they came.

    Each row draws a number when it comes, and those with the smallest numbers stay. (Reservoir sampling with a random
    sort, Vitter 1985, section 2: it needs no count of the rows seen, and takes a whole batch at once.)
    """

    def __init__(self, kind: type[Rows], total: int) -> None:
        super().__init__(kind)
        self.total = total

    @cached_property
    def _draws(self) -> th.Tensor:  # of the rows that are kept
        return th.zeros(0, dtype=th.float64)

    @override
    def add(self, rows: Rows) -> None:
        """Offer `rows`: some of them may be kept, in the place of others."""
        super().add(rows)
        new = th.rand(len(rows[0]), dtype=th.float64, generator=self.generator)
        draws = th.cat([self._draws, new])
        kept = draws.argsort(stable=True)[: self.total].sort().values  # in the order in which they came
        self._draws = draws[kept]
        self._rows = self._kind._make(t[kept.to(t.device)] for t in self.rows)

    @override
    def state_dict(self) -> dict[str, th.Tensor]:
        """Return the rows, each one's draw, and the generator's state."""
        state = super().state_dict()
        return state | {"draws": self._draws} if state else state

    @override
    def load_state_dict(self, state: dict[str, th.Tensor]) -> None:
        """Restore what `state_dict` returned."""
        super().load_state_dict(state)
        self._draws = state["draws"].cpu() if state else th.zeros(0, dtype=th.float64)
        check_numbers("draws", self._draws, (len(self),))
