"""Writing films: H.264 in MP4, or GIF."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import av.filter
import numpy as np

from clrobot.errors import UserError
from clrobot.files import atomic
from clrobot.films.pen import Frame

ENCODER: Final = "libx264"
QUALITY: Final = 23  # x264's constant rate factor: lower is better and larger


class VideoError(UserError):
    """A film cannot be written; the message says what is missing."""


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
                stream = container.add_stream(
                    ENCODER, rate=Fraction(fps).limit_denominator(1_000), options={"crf": str(QUALITY)}
                )
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
                stream: Any = container.add_stream("gif", rate=Fraction(fps).limit_denominator(1_000))
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
    """Lend a name for the film, which is then whole in its place, or not there."""
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    with atomic(final) as unfinished:
        yield unfinished
