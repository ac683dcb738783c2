"""Captions below and above pictures: of a film, of a tile, of a mosaic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from clrobot.films.pen import BACKGROUND, DESIGN_WIDTH, PAPER, QUIET, TEXT, CaptionText, Frame, Pen
from clrobot.results.numbers import number, percent

_BAR_HEIGHT: Final = 92
_MARGIN: Final = 16
_LINE_1, _LINE_2 = 40, 73  # baselines


@dataclass(frozen=True)
class Label:
    """What a caption says.

    Attributes:
        task: the skill shown.
        stage: the last stage trained, from 1; 0 is the untrained agent.
        stages: how many the curriculum has.
        method: the continual-learning method's name.
        success_rate: of the skill at this stage, in [0, 1]; None where nothing tells it.
        episode: the episode shown, from 1.
        episodes: how many the film shows.
        solved: whether the task has been solved in this episode, up to this frame.
        return_mean: shown in the place of a success that nothing tells.
    """

    task: str
    stage: int
    stages: int
    method: str
    success_rate: float | None
    episode: int
    episodes: int
    solved: bool = False
    return_mean: float | None = None


def label(frame: Frame, text: Label) -> Frame:
    """Return `frame` (h, w, 3) with a caption bar below it: (h + about w / 5, w, 3). The picture stays as it is."""
    height, width = frame.shape[:2]
    caption = _caption(width, text)
    labelled = np.empty((height + len(caption), width, 3), np.uint8)
    labelled[:height] = frame
    labelled[height:] = caption
    return labelled


@lru_cache(maxsize=64)
def _caption(width: int, text: Label) -> Frame:
    """Draw the caption bar (bar height, width, 3); all frames that share it share one drawing."""
    scale = width / DESIGN_WIDTH
    size = (width, max(2, 2 * round(_BAR_HEIGHT * scale / 2)))
    pen = Pen(size, scale)
    left, right = _MARGIN, DESIGN_WIDTH - _MARGIN
    task = CaptionText(text.task, 28, bold=True)
    reached = f"stage {text.stage} of {text.stages}" if text.stage else "untrained"
    stage = CaptionText(f"{reached} · {text.method}", 18)
    room = right - left - 14
    stage = pen.fitted(stage, room - min(pen.width(task), 200), smallest=14)
    task = pen.fitted(task, room - pen.width(stage), smallest=18)
    pen.write(left, _LINE_1, task, TEXT)
    pen.write(right - pen.width(stage), _LINE_1, stage, QUIET)
    if text.success_rate is None:
        told = (
            "success not measured" if text.return_mean is None else f"return {number(text.return_mean, decimals=1)}"
        )
        pen.write(left, _LINE_2, CaptionText(told, 20), QUIET if text.return_mean is None else TEXT)
    else:
        pen.write(left, _LINE_2, CaptionText(f"success {percent(text.success_rate)}", 20), TEXT)
        # The gauge stands where the widest text would end, so that it does not jump from film to film.
        pen.gauge(left + pen.width(CaptionText("success 100 %", 20)) + 12, _LINE_2 - 12, text.success_rate)
    if text.solved:
        pen.badge(right, _LINE_2, CaptionText("solved", 18, bold=True))
    else:
        episode = pen.fitted(CaptionText(f"episode {text.episode} of {text.episodes}", 18), 160, smallest=12)
        pen.write(right - pen.width(episode), _LINE_2, episode, QUIET)
    return pen.picture(size)


_TILE_BAR: Final = 96
_TILE_LINE_1, _TILE_LINE_2 = 38, 78  # baselines
_TILE_MARGIN: Final = 14
_TITLE_HEIGHT: Final = 40  # pixels, at any width, as the gap
_GAP: Final = 6
_DIMMED: Final = 0.3  # how much is left of the picture of a skill that is not trained yet


@dataclass(frozen=True)
class Tile:
    """What the caption of a picture says that is one of many.

    Attributes:
        task: the skill shown.
        stage: the last stage trained, from 1.
        success_rate: of the skill at this stage, in [0, 1]; None if it has not been trained yet, or nothing tells it.
        solved: whether the task has been solved in this episode, up to this frame.
        return_mean: shown in the place of a success that nothing tells.
    """

    task: str
    stage: int
    success_rate: float | None
    solved: bool = False
    return_mean: float | None = None

    @property
    def trained(self) -> bool:
        """Whether the skill has been trained."""
        return self.success_rate is not None or self.return_mean is not None


def tile_width(columns: int, room: int, largest: int) -> int:
    """Return the even width of each of `columns` pictures side by side in a mosaic `room` pixels wide."""
    return max(2, min(largest, (room - _GAP * (columns + 1)) // columns) // 2 * 2)


def tile(frame: Frame, text: Tile) -> Frame:
    """Return `frame` (h, w, 3) with a small caption below it; a skill that is not trained yet is dimmed."""
    if not text.trained:
        frame = (_DIMMED * frame + (1 - _DIMMED) * np.array(BACKGROUND)).astype(np.uint8)
    return np.concatenate([frame, _tile_caption(frame.shape[1], text)])


@lru_cache(maxsize=512)
def _tile_caption(width: int, text: Tile) -> Frame:
    """Draw a tile's caption (bar height, width, 3): larger letters than a film's own, for a smaller picture."""
    scale = width / DESIGN_WIDTH
    size = (width, max(2, 2 * round(_TILE_BAR * scale / 2)))
    pen = Pen(size, scale)
    left, right = _TILE_MARGIN, DESIGN_WIDTH - _TILE_MARGIN
    stage = pen.fitted(CaptionText(f"stage {text.stage}", 25), 160, smallest=16)
    task = pen.fitted(CaptionText(text.task, 30, bold=True), right - left - pen.width(stage) - 16, smallest=20)
    pen.write(left, _TILE_LINE_1, task, TEXT if text.trained else QUIET)
    pen.write(right - pen.width(stage), _TILE_LINE_1, stage, QUIET)
    if not text.trained:
        pen.write(left, _TILE_LINE_2, CaptionText("not trained yet", 25), QUIET)
    elif text.success_rate is None:
        pen.write(left, _TILE_LINE_2, CaptionText(f"return {number(text.return_mean, decimals=1)}", 25), TEXT)
    else:
        pen.write(left, _TILE_LINE_2, CaptionText(percent(text.success_rate), 30), TEXT)
        pen.gauge(left + pen.width(CaptionText("100 %", 30)) + 14, _TILE_LINE_2 - 18, text.success_rate, 126, 14)
    if text.solved:
        pen.badge(right, _TILE_LINE_2 - 2, CaptionText("solved", 25, bold=True))
    return pen.picture(size)


def mosaic(rows: Sequence[Sequence[Frame]], title: str, subtitle: str) -> Frame:
    """Return the tiles of `rows` (each of one size, as many in every row) in one picture, under a title."""
    height, width = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    across = _GAP + columns * (width + _GAP)
    picture = np.empty((_TITLE_HEIGHT + len(rows) * (height + _GAP), across, 3), np.uint8)
    picture[:] = PAPER
    picture[:_TITLE_HEIGHT] = _title(across, title, subtitle)
    for i, row in enumerate(rows):
        top = _TITLE_HEIGHT + i * (height + _GAP)
        for j, frame in enumerate(row):
            start = _GAP + j * (width + _GAP)
            picture[top : top + height, start : start + width] = frame
    return picture


@lru_cache(maxsize=8)
def _title(width: int, title: str, subtitle: str) -> Frame:
    size = (width, _TITLE_HEIGHT)
    pen = Pen(size, 1.0, PAPER)
    room = width - 4 * _GAP
    name = pen.fitted(CaptionText(title, 17, bold=True), room, smallest=11)
    pen.write(2 * _GAP, 26, name, TEXT)
    rest = room - pen.width(name) - 20
    if rest > 100:
        words = pen.fitted(CaptionText(subtitle, 14), rest, smallest=11)
        pen.write(width - 2 * _GAP - pen.width(words), 26, words, QUIET)
    return pen.picture(size)
