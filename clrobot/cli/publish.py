"""The verbs of published data: put finished runs into it, and draw tables from it."""

from __future__ import annotations

import re
from pathlib import Path

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

    The same runs make the same bytes. Forward transfer is against the references that come with clrobot.

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
    folders, out = expand_runs(runs), at_home(out)
    if tuning:
        count = publish_tuning(folders, out, commit=commit, replace=replace)
    else:
        count = publish_results(folders, out, commit=commit, loaded=loaded, replace=replace)
    open_console().print(f"{out}: {count} runs, {len(folders)} of them from here", soft_wrap=True)
