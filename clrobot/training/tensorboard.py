"""TensorBoard events without doubled rows, however often the training was killed."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat
from torch.utils.tensorboard import SummaryWriter

from clrobot.results.scores import Score

_SHOWN = ("success_any", "success_final", "return_mean", "length_mean")


class _TensorBoard(TensorBoardOutputFormat):
    """Stable-Baselines3's, telling readers to forget what a killed process wrote beyond `purge_step`."""

    def __init__(self, folder: Path, purge_step: int | None) -> None:
        self.writer = SummaryWriter(log_dir=str(folder), purge_step=purge_step)
        self._is_closed = False


def tensorboard_logger(folder: Path, purge_step: int | None = None) -> Logger:
    """Return a logger that writes TensorBoard events into `folder`."""
    # Readers order event files by the second in their names: the new one must come after those of a killed process.
    earlier = [path.name.split(".")[3] for path in folder.glob("events.out.tfevents.*")]
    newest = max((int(second) for second in earlier if re.fullmatch("[0-9]{1,15}", second)), default=0)
    if 0 <= newest - time.time() + 1 < 2:
        time.sleep(newest - time.time() + 1.01)
    return Logger(str(folder), [_TensorBoard(folder, purge_step)])


def write_scores(logger: Logger, slots: Sequence[str], scores: Sequence[Score]) -> None:
    """Write scores into TensorBoard's events, and nowhere else, as `evaluation/NAME/SLOT` at their own steps."""
    for step in sorted({score.step for score in scores}):
        values = {
            f"evaluation/{name}/{slots[score.slot]}": value
            for score in scores
            if score.step == step
            for name in _SHOWN
            if (value := getattr(score, name)) is not None
        }
        for output in logger.output_formats:
            if isinstance(output, TensorBoardOutputFormat):
                output.write(values, dict.fromkeys(values, ()), step)


@contextmanager
def without_traces() -> Iterator[None]:
    """Keep TensorBoard's writing thread from printing its traceback: the next write raises the error again."""
    before = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        if type(failure.thread).__name__ != "_AsyncWriterThread":
            before(failure)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
