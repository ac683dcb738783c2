"""MuJoCo, imported when something of it is first used.

A list of the tasks or of the curricula, and a line of help, simulate nothing; MuJoCo, with the OpenGL that it loads,
takes longer than all of it. So what `clrobot.envs.tasks` imports writes `from clrobot.envs.deferred import mujoco`
where it would write `import mujoco`. Everything else writes `import mujoco`, and so may a user's own task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clrobot.deferred import Deferred

__all__ = ["mujoco"]

if TYPE_CHECKING:
    import mujoco
else:
    mujoco = Deferred("mujoco")
