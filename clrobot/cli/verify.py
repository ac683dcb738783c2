"""The verb that tells whether a run can be had here again, bit for bit."""

from __future__ import annotations

import sys
from typing import Any

from clrobot.cli.common import Column, Format, RunPath, open_console, show_rows
from clrobot.errors import UserError


def verify(run: RunPath, again: bool = False, stage: int | None = None, format: Format = "table") -> None:
    """Tell whether this machine computes what the run's did, and which version moved.

    Exit code 0: the same bits. 3: the same, but for rounding. 4: another world.

    Args:
        run: the run's folder.
        again: also train one stage anew, elsewhere, and compare its checkpoint and scores.
        stage: which, with --again; by default the first.
        format: table or json.
    """
    if stage is not None and not again:
        raise UserError(f"--stage {stage} says which stage --again trains; give both")
    from clrobot.cli.common import print_json
    from clrobot.runs.folder import RunFolder

    folder = RunFolder.open(run)  # refused at once where it is none: what follows needs torch
    from clrobot.runs.verify import EXIT_CODES, Agreement
    from clrobot.runs.verify import verify as compare

    found = compare(folder)
    agreement: Agreement = found.agreement
    rows: list[dict[str, Any]] = [
        {"what": "physics", "found": found.physics},
        {"what": "learning", "found": found.learning},
        *({"what": name, "found": f"{then} → {now}"} for name, (then, now) in found.moved.items()),
    ]
    if any(found.features):
        then, now = (", ".join(words) or "nothing else" for words in found.features)
        rows.append({"what": "processor", "found": f"{then} → {now}"})
    if found.environments > 1:
        rows.append({"what": "environments", "found": f"{found.environments}, of which the furthest is compared"})
    if not again:
        rows += [{"what": task, "found": "not in the fingerprint; --again tells"} for task in found.unseen]
    result = None
    if again:
        from clrobot.training.again import train_again
        from clrobot.training.observer import Silent

        result = train_again(folder, 1 if stage is None else stage, Silent())
        if not result.same and agreement == "the same bits":
            agreement = "another world"  # the same libraries, and another clrobot, or files that it did not write
        differ = f"{len(result.files)} files and {result.scores} of {result.of} scores differ"
        rows.append({"what": f"stage {result.stage} again", "found": "the same bits" if result.same else differ})
    if format == "json":
        print_json(
            {
                "run": str(folder.path),
                "verdict": agreement,
                "physics": found.physics,
                "learning": found.learning,
                "moved": {name: {"then": then, "now": now} for name, (then, now) in found.moved.items()},
                "processor": {"then_alone": found.features[0], "now_alone": found.features[1]},
                "unseen": found.unseen,
                "environments": found.environments,
                "again": None if result is None else result._asdict() | {"same": result.same},
            }
        )
    else:
        show_rows(rows, [Column("what", "what"), Column("found", "then and now")], "table", title=agreement)
        if agreement == "another world" and not found.moved:
            open_console().print(
                "No version moved: clrobot's own code did, the processor, or the run's files.", style="dim"
            )
    sys.exit(EXIT_CODES[agreement])
