"""Films: frames in, an H.264 or GIF file out, with a caption below the picture that says what is to be seen.

Frames are arrays (height, width, 3), uint8 RGB, of one size throughout a film.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import av
import av.filter
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from clrobot.errors import UserError

Frame = NDArray[np.uint8]  # (height, width, 3), RGB

ENCODER: Final = "libx264"
QUALITY: Final = 23  # x264's constant rate factor: lower is better and larger


class VideoError(UserError):
    """A film cannot be written; the message says what is missing."""


# ------------------------------------------------------------------------------------------------------- files


def write_video(path: str | os.PathLike[str], frames: Iterable[Frame], fps: float = 25) -> Path:
    """Write an H.264 film (mp4, yuv420p, its index in front, so that it starts at once in a browser).

    The file appears under its name when it is complete. Odd sizes are padded by one pixel: H.264 has even ones only.

    Args:
        path: the file to write; its folder is made.
        frames: at least one, each (height, width, 3), uint8.
        fps: frames a second.

    Returns:
        The path.

    Raises:
        VideoError: this PyAV has no H.264 encoder.
        ValueError: no frames, or frames that are no RGB pictures of one size.
    """
    _require_encoder(ENCODER)
    with (
        _complete_or_absent(path) as unfinished,
        av.open(str(unfinished), "w", format="mp4", options={"movflags": "+faststart"}) as container,
    ):
        stream: Any = None
        for frame in _checked(frames):
            picture = _even(frame)
            if stream is None:
                stream = container.add_stream(ENCODER, rate=Fraction(fps), options={"crf": str(QUALITY)})
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return Path(path)


def write_gif(path: str | os.PathLike[str], frames: Iterable[Frame], fps: float = 25) -> Path:
    """Write an endlessly looping GIF whose 256 colours are chosen from all its frames, which are held in memory.

    Args:
        path: the file to write; its folder is made.
        frames: at least one, each (height, width, 3), uint8.
        fps: frames a second; GIF counts in hundredths of a second, so divisors of 100 play exactly.

    Returns:
        The path.

    Raises:
        ValueError: no frames, or frames that are no RGB pictures of one size.
    """
    with (
        _complete_or_absent(path) as unfinished,
        av.open(str(unfinished), "w", format="gif") as container,
    ):
        graph: Any = None
        for index, frame in enumerate(_checked(frames)):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            if graph is None:
                graph = _palette_graph(frame.shape[1], frame.shape[0], fps)
                stream: Any = container.add_stream("gif", rate=Fraction(fps))
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = "pal8"
            picture.pts = index
            graph.vpush(picture)
        graph.vpush(None)
        for picture in _pulled(graph):
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return Path(path)


def _palette_graph(width: int, height: int, fps: float) -> av.filter.Graph:
    """Return FFmpeg's two-pass palette in one graph."""
    graph = av.filter.Graph()
    source = graph.add(
        "buffer", f"video_size={width}x{height}:pix_fmt=rgb24:time_base=1/{fps}:frame_rate={fps}:pixel_aspect=1/1"
    )
    split, palette = graph.add("split"), graph.add("palettegen", "stats_mode=full")
    use, sink = graph.add("paletteuse", "dither=bayer:bayer_scale=4:diff_mode=rectangle"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph


def _pulled(graph: Any) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (EOFError, BlockingIOError):
            return


def _require_encoder(name: str) -> None:
    try:
        av.codec.Codec(name, "w")
    except av.codec.codec.UnknownCodecError as error:
        raise VideoError(
            f"PyAV {av.__version__} was built without the encoder {name!r}; the wheels of `pip install av` have it"
        ) from error


def _checked(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Pass `frames` on; refuse none, and any that is no RGB picture of the first one's size."""
    shape: tuple[int, ...] | None = None
    for index, frame in enumerate(frames):
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise ValueError(f"frame {index} is {frame.dtype} {frame.shape}; expected uint8 (height, width, 3)")
        if shape is not None and frame.shape != shape:
            raise ValueError(f"frame {index} has shape {frame.shape}; the first one has {shape}")
        shape = frame.shape
        yield frame
    if shape is None:
        raise ValueError("no frames; a film needs at least one")


def _even(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    padded = (
        np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge") if height % 2 or width % 2 else frame
    )
    return np.ascontiguousarray(padded)


@contextmanager
def _complete_or_absent(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Lend a temporary name beside `path`; rename it at the end, or remove it after an error."""
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    unfinished = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        yield unfinished
        unfinished.replace(final)
    finally:
        unfinished.unlink(missing_ok=True)


# ----------------------------------------------------------------------------------------------------- caption

Colour = tuple[int, int, int]
BACKGROUND: Final[Colour] = (20, 24, 32)
TEXT: Final[Colour] = (244, 246, 249)
QUIET: Final[Colour] = (163, 172, 186)
TRACK: Final[Colour] = (52, 60, 74)
FILL: Final[Colour] = (96, 156, 240)
SOLVED: Final[Colour] = (46, 160, 92)
_PAPER: Final[Colour] = (9, 11, 15)  # between the tiles of a mosaic

_DESIGN_WIDTH: Final = 480  # lengths below are in pixels of a film this wide, and grow with it
_BAR_HEIGHT: Final = 92
_MARGIN: Final = 16
_LINE_1, _LINE_2 = 40, 73  # baselines
_GAUGE: Final = (84, 10)  # width and height


@dataclass(frozen=True)
class Label:
    """What a caption says.

    Attributes:
        task: the skill shown.
        stage: the last stage trained, from 1; 0 is the untrained agent.
        stages: how many the curriculum has.
        method: the continual-learning method's name.
        success_rate: of the skill at this stage, in [0, 1]; None if it was not measured.
        episode: the episode shown, from 1.
        episodes: how many the film shows.
        solved: whether the task has been solved in this episode, up to this frame.
    """

    task: str
    stage: int
    stages: int
    method: str
    success_rate: float | None
    episode: int
    episodes: int
    solved: bool = False


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
    scale = width / _DESIGN_WIDTH
    size = (width, max(2, 2 * round(_BAR_HEIGHT * scale / 2)))
    pen = _Pen(size, scale)
    left, right = _MARGIN, _DESIGN_WIDTH - _MARGIN
    task = _Text(text.task, 28, bold=True)
    reached = f"stage {text.stage} of {text.stages}" if text.stage else "untrained"
    stage = _Text(f"{reached} · {text.method}", 18)
    room = right - left - 14
    stage = pen.fitted(stage, room - min(pen.width(task), 200), smallest=14)
    task = pen.fitted(task, room - pen.width(stage), smallest=18)
    pen.write(left, _LINE_1, task, TEXT)
    pen.write(right - pen.width(stage), _LINE_1, stage, QUIET)
    if text.success_rate is None:
        pen.write(left, _LINE_2, _Text("success not measured", 20), QUIET)
    else:
        pen.write(left, _LINE_2, _Text(f"success {100 * text.success_rate:.0f} %", 20), TEXT)
        # The gauge stands where the widest text would end, so that it does not jump from film to film.
        pen.gauge(left + pen.width(_Text("success 100 %", 20)) + 12, _LINE_2 - 12, text.success_rate)
    if text.solved:
        pen.badge(right, _LINE_2, _Text("solved", 18, bold=True))
    else:
        episode = pen.fitted(_Text(f"episode {text.episode} of {text.episodes}", 18), 160, smallest=12)
        pen.write(right - pen.width(episode), _LINE_2, episode, QUIET)
    return pen.picture(size)


# -------------------------------------------------------------------------------------------------------- mosaic

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
        success_rate: of the skill at this stage, in [0, 1]; None if it has not been trained yet.
        solved: whether the task has been solved in this episode, up to this frame.
    """

    task: str
    stage: int
    success_rate: float | None
    solved: bool = False


def tile_width(columns: int, room: int, largest: int) -> int:
    """Return the even width of each of `columns` pictures side by side in a mosaic `room` pixels wide."""
    return max(2, min(largest, (room - _GAP * (columns + 1)) // columns) // 2 * 2)


def tile(frame: Frame, text: Tile) -> Frame:
    """Return `frame` (h, w, 3) with a small caption below it; a skill that is not trained yet is dimmed."""
    if text.success_rate is None:
        frame = (_DIMMED * frame + (1 - _DIMMED) * np.array(BACKGROUND)).astype(np.uint8)
    return np.concatenate([frame, _tile_caption(frame.shape[1], text)])


@lru_cache(maxsize=512)
def _tile_caption(width: int, text: Tile) -> Frame:
    """Draw a tile's caption (bar height, width, 3): larger letters than a film's own, for a smaller picture."""
    scale = width / _DESIGN_WIDTH
    size = (width, max(2, 2 * round(_TILE_BAR * scale / 2)))
    pen = _Pen(size, scale)
    left, right = _TILE_MARGIN, _DESIGN_WIDTH - _TILE_MARGIN
    stage = pen.fitted(_Text(f"stage {text.stage}", 25), 160, smallest=16)
    task = pen.fitted(_Text(text.task, 30, bold=True), right - left - pen.width(stage) - 16, smallest=20)
    trained = text.success_rate is not None
    pen.write(left, _TILE_LINE_1, task, TEXT if trained else QUIET)
    pen.write(right - pen.width(stage), _TILE_LINE_1, stage, QUIET)
    if text.success_rate is None:
        pen.write(left, _TILE_LINE_2, _Text("not trained yet", 25), QUIET)
    else:
        pen.write(left, _TILE_LINE_2, _Text(f"{100 * text.success_rate:.0f} %", 30), TEXT)
        pen.gauge(left + pen.width(_Text("100 %", 30)) + 14, _TILE_LINE_2 - 18, text.success_rate, 126, 14)
    if text.solved:
        pen.badge(right, _TILE_LINE_2 - 2, _Text("solved", 25, bold=True))
    return pen.picture(size)


def mosaic(rows: Sequence[Sequence[Frame]], title: str, subtitle: str) -> Frame:
    """Return the tiles of `rows` (each of one size, as many in every row) in one picture, under a title."""
    height, width = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    across = _GAP + columns * (width + _GAP)
    picture = np.empty((_TITLE_HEIGHT + len(rows) * (height + _GAP), across, 3), np.uint8)
    picture[:] = _PAPER
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
    pen = _Pen(size, 1.0, _PAPER)
    room = width - 4 * _GAP
    name = pen.fitted(_Text(title, 17, bold=True), room, smallest=11)
    pen.write(2 * _GAP, 26, name, TEXT)
    rest = room - pen.width(name) - 20
    if rest > 100:
        words = pen.fitted(_Text(subtitle, 14), rest, smallest=11)
        pen.write(width - 2 * _GAP - pen.width(words), 26, words, QUIET)
    return pen.picture(size)


@dataclass(frozen=True)
class _Text:
    content: str
    size: float
    bold: bool = False


class _Pen:
    """Draws in the design's lengths, several times too large, so that shrinking smooths every edge."""

    OVERSIZE: Final = 4

    def __init__(self, size: tuple[int, int], scale: float, colour: Colour = BACKGROUND) -> None:
        self._canvas = Image.new("RGB", (size[0] * self.OVERSIZE, size[1] * self.OVERSIZE), colour)
        self._draw = ImageDraw.Draw(self._canvas)
        self._scale = scale * self.OVERSIZE

    def picture(self, size: tuple[int, int]) -> Frame:
        picture: Frame = np.asarray(self._canvas.resize(size, Image.Resampling.LANCZOS))
        return picture

    def width(self, text: _Text) -> float:
        return self._font(text).getlength(text.content) / self._scale

    def write(self, x: float, baseline: float, text: _Text, colour: Colour) -> None:
        place = (x * self._scale, baseline * self._scale)
        self._draw.text(place, text.content, fill=colour, font=self._font(text), anchor="ls")

    def fitted(self, text: _Text, room: float, smallest: float) -> _Text:
        """Return `text` no wider than `room`: smaller down to `smallest`, then with its end left out."""
        size = max(smallest, min(text.size, text.size * room / max(self.width(text), 1.0)))
        content, fitted = text.content, replace(text, size=size)
        while content and self.width(fitted) > room + 0.5:
            content = content[:-1]
            fitted = replace(fitted, content=content.rstrip("-_ ·") + "…")
        return fitted

    def gauge(self, x: float, y: float, share: float, width: float = _GAUGE[0], height: float = _GAUGE[1]) -> None:
        self._rounded(x, y, width, height, TRACK)
        if share > 0:
            self._rounded(x, y, width * min(share, 1.0), height, FILL)

    def badge(self, right: float, baseline: float, text: _Text) -> None:
        """Draw a filled pill that ends at `right`: a tick, then the text."""
        k = text.size / 18
        tick, gap, height = 14 * k, 8 * k, 30 * k
        width = self.width(text) + tick + gap + height
        x, y = right - width, baseline - 7 * k - height / 2
        self._rounded(x, y, width, height, SOLVED)
        start = x + height / 2
        corners = [(start, y + 15.5 * k), (start + 5 * k, y + 20.5 * k), (start + tick, y + 9.5 * k)]
        places = [(a * self._scale, b * self._scale) for a, b in corners]
        self._draw.line(places, fill=TEXT, width=round(3 * k * self._scale), joint="curve")
        self.write(start + tick + gap, y + height / 2 + 6.5 * k, text, TEXT)

    def _rounded(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        box = [edge * self._scale for edge in (x, y, x + width, y + height)]
        self._draw.rounded_rectangle(box, radius=min(width, height) / 2 * self._scale, fill=colour)

    def _font(self, text: _Text) -> ImageFont.FreeTypeFont:
        return font(text.bold, max(1, round(text.size * self._scale)))


@lru_cache(maxsize=64)
def font(bold: bool, size: int) -> ImageFont.FreeTypeFont:
    """Return matplotlib's own DejaVu Sans, the one font that is everywhere clrobot is."""
    from matplotlib import get_data_path

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(os.path.join(get_data_path(), "fonts", "ttf", name), size)
