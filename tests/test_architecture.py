"""Three rooms and one direction: who imports whom, and under which name."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LEARNING = ("torch", "stable_baselines3")
ROOMS = ("clrobot", "envs", "agents")
# The floor of the house: every room stands on these modules, and they on no room.
FLOOR = ("clrobot.errors", "clrobot.registry")


def sources(room: str) -> list[Path]:
    """The Python files of a room; the links clrobot/envs and clrobot/agents belong to their own rooms."""
    files = [path for path in (ROOT / room).rglob("*.py") if path.resolve().is_relative_to(ROOT / room)]
    assert files
    return sorted(files)


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it; `from a import b` may be a.b, so it counts as both."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def outside(path: Path, room: str) -> list[str]:
    """What a file imports of clrobot beyond its room and the floor. (`from clrobot import x` is a way out too.)"""
    return sorted(
        name
        for name in imports(path)
        if (name == "clrobot" or name.startswith("clrobot."))
        and name != f"clrobot.{room}"
        and not name.startswith((f"clrobot.{room}.", *(f"{module}." for module in FLOOR)))
        and name not in FLOOR
    )


def top_levels(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False)


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


# What is written in the files ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sources("envs"), ids=ids)
def test_envs_know_neither_learning_nor_the_experiment(path: Path):
    assert outside(path, "envs") == []
    assert top_levels(path).isdisjoint(LEARNING)


@pytest.mark.parametrize("path", sources("agents"), ids=ids)
def test_agents_know_neither_tasks_nor_physics_nor_the_experiment(path: Path):
    assert outside(path, "agents") == []
    assert "mujoco" not in top_levels(path)


@pytest.mark.parametrize("module", FLOOR)
def test_the_floor_knows_no_room(module: str):
    assert outside(ROOT / f"{module.replace('.', '/')}.py", "floor") == []


@pytest.mark.parametrize("path", sources("clrobot"), ids=ids)
def test_the_experiment_leaves_physics_to_envs(path: Path):
    assert "mujoco" not in top_levels(path)


@pytest.mark.parametrize("path", [path for room in ROOMS for path in sources(room)], ids=ids)
def test_nothing_is_imported_by_a_room_s_bare_name(path: Path):
    assert top_levels(path).isdisjoint(("envs", "agents", "tests"))


# What is loaded --------------------------------------------------------------------------------------------


def test_every_module_of_envs_loads_without_learning(tmp_path: Path):
    code = f"""
import importlib, pkgutil, sys
import clrobot.envs
names = [module.name for module in pkgutil.walk_packages(clrobot.envs.__path__, "clrobot.envs.")]
assert "clrobot.envs.tasks.reach" in names, names
for name in names:
    importlib.import_module(name)
print([name for name in {LEARNING} if name in sys.modules])
"""
    done = python(code, tmp_path)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_a_bare_import_loads_no_learning_and_registers_the_environments(tmp_path: Path):
    code = f"""
import sys
import clrobot, gymnasium
print([name for name in {LEARNING} if name in sys.modules], "clrobot/Reach-v0" in gymnasium.registry)
"""
    done = python(code, tmp_path)
    assert (done.returncode, done.stdout) == (0, "[] True\n"), done.stderr


def test_the_curricula_load_no_learning(tmp_path: Path):
    code = f"import clrobot, sys; clrobot.CURRICULA; print([name for name in {LEARNING} if name in sys.modules])"
    done = python(code, tmp_path)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_every_public_name_is_there(tmp_path: Path):
    done = python("import clrobot; [getattr(clrobot, name) for name in clrobot.__all__]; clrobot.nothing", tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "AttributeError: module 'clrobot' has no attribute 'nothing'"


@pytest.mark.parametrize("room", ["envs", "agents"])
@pytest.mark.parametrize("first", ["", "import clrobot.envs, clrobot.agents; "])
def test_a_room_s_bare_name_is_refused(room: str, first: str):
    done = python(f"{first}import {room}", ROOT)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: imported as '{room}': this folder is the package clrobot.{room}; write `import clrobot.{room}`"
    )


# What is packed --------------------------------------------------------------------------------------------


def setuptools_table() -> dict:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return table["tool"]["setuptools"]


def test_every_package_is_listed_and_every_listed_one_is_there():
    folders = {
        path.parent.relative_to(ROOT) for room in ROOMS for path in sources(room) if path.name == "__init__.py"
    }
    names = {".".join(folder.parts) for folder in folders}
    packages = {name if name.split(".")[0] == "clrobot" else f"clrobot.{name}" for name in names}
    assert sorted(setuptools_table()["packages"]) == sorted(packages)


def test_every_source_lies_in_a_package():
    folders = {path.parent for room in ROOMS for path in sources(room)}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_rooms_are_mapped_under_the_one_name():
    assert setuptools_table()["package-dir"] == {"clrobot.envs": "envs", "clrobot.agents": "agents"}


def test_every_file_that_is_no_source_is_listed():
    listed = setuptools_table()["package-data"]
    folders = {"clrobot.envs": ROOT / "envs", "clrobot.agents": ROOT / "agents"}
    packed = {
        path.resolve()
        for package, patterns in listed.items()
        for pattern in patterns
        for path in folders.get(package, ROOT.joinpath(*package.split("."))).glob(pattern)
    }
    there = {
        path.resolve()
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and path.resolve().is_relative_to(ROOT / room)
    }
    assert packed == there
