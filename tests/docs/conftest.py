"""The code that makes the site, importable as MkDocs imports it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "docs"))


@pytest.fixture(scope="session", autouse=True)
def few_episodes() -> Iterator[None]:
    """What the site measures of experts takes seconds; tests/envs/experts judges them."""
    from making import tasks

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "EPISODES", 2)
        yield
