"""The native tasks. Adding one is its file and one line here."""

from __future__ import annotations

from clrobot.envs.task import Task
from clrobot.envs.tasks.button_press import ButtonPress
from clrobot.envs.tasks.drawer_open import DrawerOpen
from clrobot.envs.tasks.pick_place import PickPlace
from clrobot.envs.tasks.reach import Reach

TASKS: tuple[type[Task], ...] = (
    Reach,
    ButtonPress,
    DrawerOpen,
    PickPlace,
)

TASKS_BY_ID = {task.id: task for task in TASKS}
