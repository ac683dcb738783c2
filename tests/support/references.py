"""Made-up rows of shipped reference curves."""

from __future__ import annotations

from typing import Any

from clrobot.experiment.config import make_config
from clrobot.published.references import Reference, learner_settings
from clrobot.published.rows import settings_text

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
        "physics": 1,
        "commit": "0123456789ab",
        "torch": "2.13.0",
        "mujoco": "4.0.0",
        "numpy": "2.4.6",
        "stable_baselines3": "2.9.2",
        "gymnasium": "1.4.0",
    }
    return Reference(**usual | columns)
