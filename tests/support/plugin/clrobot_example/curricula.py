"""A curriculum of one of clrobot's tasks and of this distribution's own."""

import clrobot

EXAMPLE2 = clrobot.Curriculum(
    name="example2",
    stages=(clrobot.Stage(task="reach", steps=40_000), clrobot.Stage(task="nudge", steps=80_000)),
)
