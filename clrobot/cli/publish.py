"""The verbs of published data: put finished runs into it, and draw tables from it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import tyro

from clrobot.cli.common import RunPaths, check_file, expand_runs, open_console
from clrobot.errors import UserError, shown

_COMMIT = re.compile(r"[0-9a-f]{7,40}(-dirty)?")


def publish(
    runs: RunPaths,
    out: Path,
    tuning: bool = False,
    commit: str = "",
    loaded: bool = False,
    replace: bool = False,
) -> None:
    """Put finished runs into a file of published data: a row for each run and metric.

    The same runs make the same bytes.

    Forward transfer is against the references that come with clrobot.

    Args:
        runs: run folders; a folder that holds runs stands for those in it.
        out: the file, such as clrobot/published/results.csv; what it holds stays.
        tuning: a row for each run instead, of what settings are chosen on, such as clrobot/published/tuning.csv.
        commit: of the clrobot that trained them, where the runs do not say.
        loaded: their seconds were measured while the machine did other work too, and are marked so.
        replace: let runs take the place of the same ones in the file; else they are refused.
    """
    from clrobot.comparison.publish import publish as publish_results
    from clrobot.comparison.publish import publish_tuning
    from clrobot.files import at_home

    check_file(out)
    if commit and not _COMMIT.fullmatch(commit):
        raise UserError(f"--commit {shown(commit)}; expected 7 to 40 digits of a commit's hash, such as 48527b3")
    if tuning and loaded:
        raise UserError("--loaded marks seconds, and --tuning has none; leave one out")
    folders, out = expand_runs(runs), at_home(out)
    if tuning:
        count = publish_tuning(folders, out, commit=commit, replace=replace)
    else:
        count = publish_results(folders, out, commit=commit, loaded=loaded, replace=replace)
    open_console().print(f"{out}: {count} runs, {len(folders)} of them from here", soft_wrap=True)


def tables(
    page: Annotated[Path, tyro.conf.Positional] = Path("README.md"),
    check: bool = False,
    results: Path | None = None,
    tuning: Path | None = None,
    speed: Path | None = None,
) -> None:
    """Draw a page's tables and pictures from the published data.

    Tables go into its blocks, from <!-- table: NAME --> to <!-- end -->.

    NAME is a curriculum, such as cr4, or one of its other tables: "cr4 costs".

    With the name "tuning" it is the table of what settings were chosen on.

    "speed", "speed skills" and "speed tasks" are what clrobot bench measured.

    Pictures go into the files that blocks of <!-- figure: NAME --> show.

    Args:
        page: a Markdown file.
        check: change nothing, say which of them differ from the data, and end with exit code 1 where one does.
        results: in place of the results that come with clrobot.
        tuning: in place of the tries that come with clrobot.
        speed: in place of the bench's figures that come with clrobot.
    """
    from clrobot.comparison.readme import blocks, with_tables
    from clrobot.files import atomic, read_plain
    from clrobot.report.pictures import pictures

    try:
        text = read_plain(page).decode("utf-8")
    except OSError as error:
        raise UserError(f"{page}: {error.strerror}; give a Markdown file") from None
    except UnicodeDecodeError:
        raise UserError(f"{page} is not UTF-8 text; give a Markdown file") from None
    found, pictured = blocks(text, results, tuning, speed), pictures(page, text, results)
    console = open_console()
    if not found and not pictured:
        console.print(f"{page} has no block for a table: <!-- table: NAME --> … <!-- end -->", soft_wrap=True)
        return
    other = [block.name for block in found if block.there != block.drawn]
    old = [picture for picture in pictured if not picture.is_drawn]
    for name in [*other, *(f"{picture.name} (figure)" for picture in old)]:
        console.print(f"{'differs' if check else 'drawn  '}  {name}", soft_wrap=True)
    if check and (other or old):
        sys.exit(1)
    for picture in old:
        picture.write()
    if other:
        with atomic(page) as file:
            file.write_text(with_tables(text, found), encoding="utf-8")
    console.print(f"{page}: {len(found)} tables and {len(pictured)} figures as the data has them", soft_wrap=True)
