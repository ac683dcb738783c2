"""The page of one run."""

from __future__ import annotations

from pathlib import Path

from clrobot.report.contents import read_run
from clrobot.report.films import Films, Videos
from clrobot.report.html import write_page
from clrobot.report.run_section import run_section


def write_report(run: Path, out: Path | None = None, videos: Videos = "link") -> Path:
    """Write the page of one run, from nothing but what its folder holds.

    Args:
        run: the folder, with `metrics.json`, `scores.jsonl`, `config.yaml`, `environment.json` and the films
            `videos/stage_KK/<task>.mp4` that were recorded. The run may be unfinished.
        out: the page's file; None: `report.html` in the run's folder.
        videos: whether the page links to the films or holds them itself.

    Returns:
        The path of the page.

    Raises:
        UserError: a file is missing or is not what it should be, or the page cannot be written.
    """
    path = out or run / "report.html"
    films = Films(path.parent, videos)
    contents = read_run(run)
    section = run_section(contents, films, contents.name)
    return write_page(path, films, title=section.name, sections=[section], listed=[], comparison=None)
