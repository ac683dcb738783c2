"""Made-up rows of shipped reference curves."""

from __future__ import annotations

from typing import Any

from clrobot.experiment.config import make_config
from clrobot.published.references import Reference, learner_settings
from clrobot.published.rows import settings_text
from support.published import MADE

SETTINGS: dict[str, Any] = {"curriculum": "quick"}


def reference(**columns: Any) -> Reference:
    """Return a curve of reach alone with the default settings, which rises from 0 to 1 in 16,384 steps."""
    usual = {
        "task": "reach",
        "world": "",
        "settings": settings_text(learner_settings(make_config(**SETTINGS))),
        "seed": 0,
        "evaluation_seed": 2_000_000,
        "episodes": 20,
        "steps": 16384,
        "curve": "0:0 8192:0.5 16384:1",
        **MADE,
    }
    return Reference(**usual | columns)
