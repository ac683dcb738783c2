"""A task, a method and a curriculum for clrobot, from outside."""
