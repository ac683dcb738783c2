"""The tasks: the native ones, each with its expert, and a user's own.

Adding a native one is its file and one line here; a user's comes through `TASKS_BY_ID` (see `clrobot.registry`).
"""

from __future__ import annotations

from clrobot.envs.simulation.task import Task
from clrobot.envs.simulation.task_check import task_id
from clrobot.envs.tasks.button_press import ButtonPress
from clrobot.envs.tasks.dial_turn import DialTurn
from clrobot.envs.tasks.door_close import DoorClose
from clrobot.envs.tasks.door_open import DoorOpen
from clrobot.envs.tasks.drawer_close import DrawerClose
from clrobot.envs.tasks.drawer_open import DrawerOpen
from clrobot.envs.tasks.hammer import Hammer
from clrobot.envs.tasks.lever_pull import LeverPull
from clrobot.envs.tasks.peg_insert import PegInsert
from clrobot.envs.tasks.peg_unplug import PegUnplug
from clrobot.envs.tasks.pick_place import PickPlace
from clrobot.envs.tasks.push import Push
from clrobot.envs.tasks.reach import Reach
from clrobot.envs.tasks.shelf_place import ShelfPlace
from clrobot.envs.tasks.stack import Stack
from clrobot.envs.tasks.window_close import WindowClose
from clrobot.registry import Registry

TASKS: tuple[type[Task], ...] = (
    Reach,
    ButtonPress,
    DrawerOpen,
    PickPlace,
    Push,
    Stack,
    PegUnplug,
    PegInsert,
    ShelfPlace,
    Hammer,
    DrawerClose,
    DoorOpen,
    DoorClose,
    WindowClose,
    LeverPull,
    DialTurn,
)

# These, and then a user's own.
TASKS_BY_ID: Registry[type[Task]] = Registry("task", "clrobot.tasks", {task.id: task for task in TASKS}, task_id)
