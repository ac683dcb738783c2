"""Physics: tasks for one robot arm, as Gymnasium environments and as a batched vector environment.

Knows numpy, mujoco and gymnasium; never torch or Stable-Baselines3.
"""

from __future__ import annotations

if __name__ != "clrobot.envs":
    # A second copy of every class would be loaded: `isinstance` would fail and tasks would register twice.
    raise ImportError(
        f"imported as {__name__!r}: this folder is the package clrobot.envs; write `import clrobot.envs`"
    )

from clrobot.envs.gl import choose_gl

choose_gl()  # MuJoCo reads its choice of OpenGL once, when it is first imported
