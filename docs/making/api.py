"""The reference of the public names of clrobot, in the order in which a reader meets them."""

from __future__ import annotations

import clrobot
from making.markdown import page

# By what they are for; every public name stands in one of these.
GROUPS = {
    "Train": ("make_config", "train", "resume", "extend"),
    "Look": ("load", "evaluate", "Agent", "Evaluator"),
    "What is to be learned": ("Curriculum", "Stage", "CURRICULA", "load_curriculum", "make_env"),
    "Your own": ("Task", "register_task", "Method", "register_method", "register_curriculum"),
    "Errors": ("UserError",),
}


def reference() -> str:
    """Return the page of every public name.

    Raises:
        ValueError: one is in no group, or a group has one that is not public.
    """
    grouped = [name for names in GROUPS.values() for name in names]
    if sorted(grouped) != sorted(clrobot.__all__):
        raise ValueError(
            f"the reference's groups and clrobot.__all__ differ in {set(grouped) ^ set(clrobot.__all__)}"
        )
    parts = []
    for title, names in GROUPS.items():
        parts.append(f"## {title}")
        parts += [_entry(name) for name in names]
    return page(
        "# Reference",
        "These names of `clrobot` may be built upon; everything else may change. They are loaded at their first use, "
        "so that `import clrobot` takes no torch.",
        "```python\nimport clrobot\n\nprint(clrobot.__version__, len(clrobot.__all__))\n```",
        *parts,
        "The command line has the same and more; `clrobot --help`, and `--help` after any verb, say what.",
        "```console\n$ clrobot --help\n$ clrobot train --help\n```",
    )


def _entry(name: str) -> str:
    home = clrobot._LAZY.get(name, "clrobot.errors")
    return f"::: {home}.{name}\n    options:\n      heading: clrobot.{name}"


def pages() -> dict[str, str]:
    """Return the page, by its file."""
    return {"reference.md": reference()}
