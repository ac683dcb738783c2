"""MkDocs' hook: adds the pages that are made, puts them into the navigation, and says what tests run of each page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from making import api, benchmarks, concepts, methods, tasks
from making.blocks import note
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from clrobot.agents.methods import METHODS
from clrobot.envs.tasks import TASKS


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill in the two parts of the navigation that the code decides."""
    lists = {
        "Methods": ["methods/index.md", *({m.name: f"methods/{m.name}.md"} for m in METHODS)],
        "Tasks": ["tasks/index.md", *({task.id: f"tasks/{task.id}.md"} for task in TASKS)],
    }
    assert config.nav is not None
    for entry in config.nav:
        for title in entry:
            entry[title] = lists.get(title, entry[title])
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made."""
    pages = methods.pages() | tasks.pages() | api.pages() | {"benchmarks.md": benchmarks.benchmarks()}
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Fill in the numbers and pictures of a real run, and end with what is run of it by tests."""
    only_read = page.file.src_uri in {f"methods/{method.name}.md" for method in METHODS}
    return concepts.filled(markdown) + note(markdown, only_read=only_read)


def on_post_build(config: MkDocsConfig) -> None:
    """Write the search's index as a script too: a page that is opened from the disk may read no other file."""
    index = Path(config.site_dir) / "search" / "search_index.json"
    index.with_suffix(".js").write_text(f"var __index = {index.read_text(encoding='utf-8')}", encoding="utf-8")
