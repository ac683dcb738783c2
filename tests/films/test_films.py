"""Films and captions: what is written decodes to what was put in, and a caption never touches the picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from clrobot.films import captions as video
from clrobot.films import encode, pen
from clrobot.films.captions import Label, Tile, label, mosaic, tile, tile_width
from clrobot.films.encode import VideoError, write_gif, write_video

LABEL = Label("drawer-open", stage=2, stages=3, method="ewc", success_rate=0.98, episode=1, episodes=2)


def _frames(count: int, height: int = 96, width: int = 128) -> Iterator[NDArray[np.uint8]]:
    """A bright square that moves right by two pixels a frame over a dark gradient."""
    for index in range(count):
        frame = np.empty((height, width, 3), np.uint8)
        frame[:] = np.linspace(20, 90, width).astype(np.uint8)[:, None]
        frame[30:60, 10 + 2 * index : 40 + 2 * index] = (220, 60, 40)
        yield frame


def _decoded(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


# ------------------------------------------------------------------------------------------------------------ files


def test_an_mp4_decodes_to_its_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "stage_02" / "drawer-open.mp4", _frames(12), fps=25)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert (stream.width, stream.height) == (128, 96)
        assert stream.average_rate == 25
    decoded = _decoded(path)
    assert len(decoded) == 12
    for ours, theirs in zip(_frames(12), decoded, strict=True):
        assert np.abs(ours.astype(int) - theirs).mean() < 6  # lossy, and colour at half resolution
    assert [file.name for file in path.parent.iterdir()] == ["drawer-open.mp4"]


def test_an_mp4_has_its_index_in_front(tmp_path: Path) -> None:
    content = write_video(tmp_path / "film.mp4", _frames(5)).read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


def test_odd_sizes_grow_by_one_pixel(tmp_path: Path) -> None:
    decoded = _decoded(write_video(tmp_path / "film.mp4", _frames(3, height=95, width=127)))
    assert [frame.shape for frame in decoded] == [(96, 128, 3)] * 3


def test_a_rate_may_be_any_number(tmp_path: Path) -> None:
    """Every sixth of 80 control steps a second."""
    with av.open(str(write_video(tmp_path / "film.mp4", _frames(3), fps=80.0 / 6.0))) as film:
        assert float(film.streams.video[0].average_rate) == pytest.approx(80.0 / 6.0)


@pytest.mark.parametrize("write", [write_video, write_gif])
def test_a_film_that_fails_leaves_the_old_one_and_nothing_else(tmp_path: Path, write: object) -> None:
    def breaks() -> Iterator[NDArray[np.uint8]]:
        yield from _frames(3)
        raise RuntimeError("the simulation exploded")

    assert callable(write)
    path = tmp_path / "film"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="exploded"):
        write(path, breaks())
    with pytest.raises(ValueError, match="no frames"):
        write(path, [])
    with pytest.raises(ValueError, match=r"frame 1 has shape \(8, 8, 3\); the first one has \(96, 128, 3\)"):
        write(path, [*_frames(1), np.zeros((8, 8, 3), np.uint8)])
    with pytest.raises(ValueError, match="frame 0 is float64"):
        write(path, [np.zeros((8, 8, 3))])
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_encoder_is_one_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "ENCODER", "libx264-is-missing")
    with pytest.raises(VideoError, match="without the encoder 'libx264-is-missing'"):
        write_video(tmp_path / "film.mp4", _frames(2))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("count", [1, 10])
def test_a_gif_decodes_to_its_frames(tmp_path: Path, count: int) -> None:
    path = write_gif(tmp_path / "film.gif", _frames(count), fps=20)
    with Image.open(path) as gif:
        assert gif.n_frames == count
        assert gif.size == (128, 96)
        for index, ours in enumerate(_frames(count)):
            gif.seek(index)
            assert np.abs(ours.astype(int) - np.asarray(gif.convert("RGB"))).mean() < 4
        if count > 1:
            assert gif.info["duration"] == 50
            assert gif.info["loop"] == 0


# ---------------------------------------------------------------------------------------------------------- caption


def _bar(text: Label, width: int = 480) -> NDArray[np.int_]:
    """The caption alone, drawn under a picture of one colour that no caption has."""
    frame = np.full((40, width, 3), (255, 0, 255), np.uint8)
    labelled = label(frame, text)
    np.testing.assert_array_equal(labelled[:40], frame)  # the picture is left as it was
    return labelled[40:].astype(int)


def _inked(bar: NDArray[np.int_]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(bar - pen.BACKGROUND).max(axis=2) > 24)


def _near(bar: NDArray[np.int_], colour: video.Colour) -> NDArray[np.bool_]:
    return np.asarray(np.abs(bar - colour).max(axis=2) < 12)


@pytest.mark.parametrize("width", [160, 240, 480, 641, 1280])
def test_a_caption_is_below_the_picture_and_keeps_its_margins(width: int) -> None:
    bar = _bar(LABEL, width)
    assert len(bar) % 2 == 0
    assert len(bar) == pytest.approx(92 * width / 480, abs=1.01)
    inked = _inked(bar)
    margin = int(0.025 * width)
    assert inked.any()
    assert not inked[:, :margin].any()
    assert not inked[:, -margin:].any()
    assert not inked[:2].any()
    assert not inked[-2:].any()


def test_task_and_stage_stand_apart_however_long_they_are() -> None:
    for task, method in (("drawer-open", "ewc"), ("pick-place-with-a-long-name-12", "progress-and-compress")):
        upper = _inked(_bar(replace(LABEL, task=task, method=method)))[:50]
        columns = np.flatnonzero(upper.any(axis=0))
        gaps = np.diff(columns)
        assert gaps.max() >= 12  # between the two texts; between letters and words it is less
        assert columns[0] < 20
        assert columns[-1] > 455


def test_the_badge_appears_when_the_task_is_solved() -> None:
    open_, solved = _bar(LABEL), _bar(replace(LABEL, solved=True))
    assert not _near(open_, pen.SOLVED).any()
    assert _near(solved, pen.SOLVED).sum() > 1000
    changed = np.abs(open_ - solved).max(axis=2) > 24
    assert changed[50:, 300:].any()
    assert not changed[:50].any()  # nothing else moves
    assert not changed[:, :300].any()


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 1.0])
def test_the_gauge_is_as_long_as_the_success_rate(rate: float) -> None:
    bar = _bar(replace(LABEL, success_rate=rate))[:, 165:270]  # where the gauge is
    rows = np.flatnonzero((_near(bar, pen.TRACK) | _near(bar, pen.FILL)).sum(axis=1) > 40)
    middle = bar[rows[len(rows) // 2]][None]
    filled, empty = _near(middle, pen.FILL).sum(), _near(middle, pen.TRACK).sum()
    assert filled / (filled + empty) == pytest.approx(rate, abs=0.04)


def test_what_a_caption_says_can_be_seen() -> None:
    bars = [
        _bar(text)
        for text in (
            LABEL,
            replace(LABEL, task="pick-place"),
            replace(LABEL, stage=0),
            replace(LABEL, stage=3),
            replace(LABEL, method="l2"),
            replace(LABEL, success_rate=0.5),
            replace(LABEL, episode=2),
        )
    ]
    for i, one in enumerate(bars):
        for other in bars[:i]:
            assert np.any(one != other)


def test_a_caption_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = replace(LABEL, task="drawn-once")
    frame = np.zeros((40, 480, 3), np.uint8)
    first = label(frame, text)
    monkeypatch.setattr(video, "Pen", None)
    np.testing.assert_array_equal(label(frame, text), first)
    first[:] = 7  # a caller's own array, not the one that is kept
    assert not np.array_equal(label(frame, text), first)


# ----------------------------------------------------------------------------------------------------------- mosaic

TILE = Tile("drawer-open", stage=2, success_rate=0.5)
MAGENTA = (255, 0, 255)


def _tile(text: Tile, width: int = 240) -> tuple[NDArray[np.uint8], NDArray[np.int_]]:
    """A tile of one colour: its picture, and the caption below."""
    framed = tile(np.full((40, width, 3), MAGENTA, np.uint8), text)
    return framed[:40], framed[40:].astype(int)


@pytest.mark.parametrize("width", [100, 160, 240])
@pytest.mark.parametrize("task", ["reach", "pick-place-with-a-long-name-12"])
def test_a_tile_s_caption_keeps_its_margins_and_its_texts_apart(width: int, task: str) -> None:
    picture, bar = _tile(replace(TILE, task=task, solved=True), width)
    assert (picture == MAGENTA).all()
    assert len(bar) % 2 == 0
    inked = _inked(bar)
    margin = int(0.02 * width)
    assert not inked[:, :margin].any()
    assert not inked[:, -margin:].any()
    assert not inked[-1:].any()
    upper = np.flatnonzero(inked[: int(0.09 * width)].any(axis=0))
    assert np.diff(upper).max() >= 0.02 * width


def test_a_tile_s_gauge_and_badge_say_how_it_went() -> None:
    for rate in (0.0, 0.5, 1.0):
        _, bar = _tile(replace(TILE, success_rate=rate))
        assert (_near(bar, pen.TRACK) | _near(bar, pen.FILL)).sum(axis=1).max() > 50
        middle = bar[32:36, 55:140]
        filled, empty = _near(middle, pen.FILL).sum(), _near(middle, pen.TRACK).sum()
        assert filled / (filled + empty) == pytest.approx(rate, abs=0.06)
        assert not _near(bar, pen.SOLVED).any()
    _, solved = _tile(replace(TILE, solved=True))
    assert _near(solved, pen.SOLVED).sum() > 300


def test_a_skill_that_is_not_trained_yet_is_dimmed_and_has_no_gauge() -> None:
    picture, bar = _tile(replace(TILE, success_rate=None))
    expected = [round(0.3 * a + 0.7 * b) for a, b in zip(MAGENTA, pen.BACKGROUND, strict=True)]
    assert np.abs(picture.astype(int) - expected).max() <= 1
    assert not _near(bar, pen.FILL).any()
    assert _near(bar, pen.TRACK).sum(axis=1).max() < 40  # some edges of letters; a row of a gauge has 60
    assert _inked(bar)[24:].any()  # and says so


def test_what_a_tile_says_can_be_seen() -> None:
    texts = (TILE, replace(TILE, task="reach"), replace(TILE, stage=3), replace(TILE, success_rate=0.75))
    bars = [_tile(text)[1] for text in texts]
    for i, one in enumerate(bars):
        for other in bars[:i]:
            assert np.any(one != other)


@pytest.mark.parametrize(("columns", "expected"), [(1, 240), (4, 240), (5, 240), (6, 206), (10, 120), (20, 56)])
def test_tiles_shrink_until_a_film_is_no_wider_than_it_may_be(columns: int, expected: int) -> None:
    width = tile_width(columns, 1280, 240)
    assert width == expected
    row = [np.zeros((8, width, 3), np.uint8)] * columns
    assert mosaic([row], "title", "subtitle").shape[1] <= 1280


def test_a_mosaic_holds_its_tiles_in_their_places_below_the_title() -> None:
    colours = np.arange(6).reshape(2, 3) * 40
    rows = [[np.full((20, 100, 3), colour, np.uint8) for colour in row] for row in colours]
    picture = mosaic(rows, "cr4 · ewc", "each row is one stage later")
    assert picture.shape == (40 + 2 * 26, 6 + 3 * 106, 3)
    for i in range(2):
        for j in range(3):
            top, start = 40 + 26 * i, 6 + 106 * j
            assert (picture[top : top + 20, start : start + 100] == colours[i, j]).all()
            assert (picture[top + 20 : top + 26] < 20).all()  # the gap
    assert picture[:40].max() > 200  # letters
