"""Three rooms, their wings and one direction: who imports whom, and under which name."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LEARNING = ("torch", "stable_baselines3")
ROOMS = ("clrobot", "envs", "agents")
# The floor of the house: every room stands on these modules, and they on no room.
FLOOR = ("clrobot.deferred", "clrobot.errors", "clrobot.registry")

# The wings of each room, along the way of the data: arrows run only down a list.
WINGS = {
    "clrobot": (
        "cli",
        "report",
        "training",
        "studies",
        "comparison",
        "benchmarks",
        "films",
        "runs",
        "published",
        "evaluation",
        "experiment",
        "results",
    ),
    "clrobot.envs": ("worlds", "tasks", "experts", "rewards", "rendering", "simulation", "scene"),
    "clrobot.agents": ("methods", "algorithms", "policies", "networks"),
}
MOST_LINES = 350  # in a module


@cache
def sources(room: str) -> tuple[Path, ...]:
    """The Python files of a room; the links clrobot/envs and clrobot/agents belong to their own rooms."""
    files = [path for path in (ROOT / room).rglob("*.py") if path.resolve().is_relative_to(ROOT / room)]
    assert files
    return tuple(sorted(files))


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports, wherever in it; `from a import b` may be a.b, so it counts as both."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


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


@cache
def modules() -> dict[str, Path]:
    """Every module by its name; a package is its `__init__`."""
    found = {}
    for room in ROOMS:
        for path in sources(room):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts if room == "clrobot" else ("clrobot", *parts))
            found[name.removesuffix(".__init__")] = path
    return found


@cache
def arrows() -> dict[str, set[str]]:
    """Which modules each module imports, those for type checkers alone too."""
    there = modules()
    return {name: (imports(path) & there.keys()) - {name, "clrobot"} for name, path in there.items()}


def place(module: str) -> tuple[str, int] | None:
    """The room of a module and the number of its wing, from above; None for what lies in no wing."""
    for room in ("clrobot.envs", "clrobot.agents", "clrobot"):
        if module.startswith(f"{room}."):
            wing = module.removeprefix(f"{room}.").split(".")[0]
            return (room, WINGS[room].index(wing)) if wing in WINGS[room] else None
    return None


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Names that import each other in a circle, in that order; none if there is no circle."""
    done: set[str] = set()

    def look(name: str, way: list[str]) -> list[str]:
        if name in way:
            return way[way.index(name) :]
        if name not in done:
            for other in sorted(graph[name]):
                if found := look(other, [*way, name]):
                    return found
            done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := look(name, []))), [])


# Wings -----------------------------------------------------------------------------------------------------


def test_every_folder_is_a_wing_and_every_wing_a_folder():
    for room, folder in {
        "clrobot": ROOT / "clrobot",
        "clrobot.envs": ROOT / "envs",
        "clrobot.agents": ROOT / "agents",
    }.items():
        found = {path.parent.name for path in folder.glob("*/__init__.py") if not path.parent.is_symlink()}
        assert found == set(WINGS[room])


def test_arrows_run_only_down():
    up = []
    for module, imported in arrows().items():
        for other in imported:
            here, there = place(module), place(other)
            if here and there and here[0] == there[0] and here[1] > there[1]:
                up.append(f"{module} → {other}")
    assert up == []


def test_what_lies_below_all_wings_imports_none_of_them():
    for name in ("clrobot.errors", "clrobot.files"):
        assert [other for other in arrows()[name] if place(other)] == []


def test_no_circle():
    assert circle(arrows()) == []


def test_a_circle_would_be_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["b", "c"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("path", [path for room in ROOMS for path in sources(room)], ids=ids)
def test_no_module_is_longer_than_a_reader_s_patience(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", [p for room in ROOMS for p in sources(room) if p.name == "__init__.py"], ids=ids)
def test_every_folder_says_in_a_sentence_what_lives_there(path: Path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


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
