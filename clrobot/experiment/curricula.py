"""The named curricula."""

from __future__ import annotations

from clrobot.experiment.curriculum import Curriculum, Stage


def _curriculum(name: str, *stages: tuple[str, int] | tuple[str, int, dict[str, float]]) -> Curriculum:
    return Curriculum(
        name=name,
        stages=tuple(Stage(task=t, steps=n, overrides=o[0] if o else {}) for t, n, *o in stages),
    )


# Neighbours differ in what the hand does: it presses, pushes, pulls, turns, grasps. Easy and hard take turns, so that
# the long training of a hard skill, which makes an agent forget, follows each easy one. What is most alike stands at
# least four stages apart (pick-place and shelf-place, drawer-open and lever-pull), so that transfer shows beside
# forgetting, and nothing undoes another. The steps are at least 1.7 times what PPO needs for a success of 0.9 in the
# task alone (`clrobot learning`).
_CR10 = _curriculum(
    "cr10",
    ("button-press", 80_000),
    ("push", 150_000),
    ("drawer-open", 100_000),
    ("pick-place", 250_000),
    ("door-close", 100_000),
    ("hammer", 320_000),
    ("lever-pull", 100_000),
    ("shelf-place", 360_000),
    ("dial-turn", 120_000),
    ("peg-unplug", 120_000),
)

CURRICULA: dict[str, Curriculum] = {
    c.name: c
    for c in (
        # Minutes, for a first look.
        _curriculum("quick", ("reach", 40_000), ("button-press", 60_000), ("drawer-open", 60_000)),
        # The same and then a harder skill, long enough for an unprotected agent to forget.
        _curriculum(
            "cr4", ("reach", 40_000), ("button-press", 60_000), ("drawer-open", 60_000), ("pick-place", 240_000)
        ),
        _CR10,
        # Everything once more: can an agent that has learned ten skills still learn, and how fast does it relearn?
        Curriculum(name="cr20", stages=(2 * _CR10).stages),
        # Two skills whose worlds change: what the agent sees does not tell in which one it is, but its slot does.
        _curriculum(
            "shift5",
            ("push", 150_000),
            ("drawer-open", 120_000, {"joint.damping": 4.0, "joint.friction": 5.0}),
            ("push", 150_000, {"object.friction": 0.3, "object.mass": 1.0}),
            ("drawer-open", 120_000, {"action.delay": 3}),
            ("push", 150_000, {"object.size": 1.3, "sensor.noise": 0.05}),
        ),
    )
}
