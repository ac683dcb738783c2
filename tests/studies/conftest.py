"""What waits in a study waits for milliseconds here; processes of their own keep the real pauses."""

from __future__ import annotations

import pytest

from clrobot.studies import driver, turns
from clrobot.studies.executors import there


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (driver, turns, there):
        monkeypatch.setattr(module, "_PAUSE", 0.02)
