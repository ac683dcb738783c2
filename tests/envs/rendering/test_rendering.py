"""Pictures: the ray caster against closed forms and against OpenGL, and the choice between them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from clrobot.envs import gl
from clrobot.envs import rendering as render
from clrobot.envs.rendering import RaycastRenderer, RenderError, open_renderer, opengl
from clrobot.envs.rendering.base import smooth
from clrobot.envs.rendering.raster import Raster

SIZE = 160
STATE = int(mujoco.mjtState.mjSTATE_INTEGRATION)
EYE, LOOK, FOVY = np.array([1.2, -1.0, 0.9]), np.array([0.0, 0.0, 0.1]), 40.0

SCENE = """
<mujoco>
  <visual><headlight ambient=".3 .3 .3" diffuse=".3 .3 .3" specular="0 0 0"/></visual>
  <asset>
    <texture name="sky" type="skybox" builtin="gradient" rgb1=".9 .95 1" rgb2=".5 .6 .8" width="32" height="192"/>
    <material name="floor" rgba=".7 .7 .75 1" specular="0"/>
    <material name="shell" rgba=".9 .9 .92 1" specular=".3"/>
  </asset>
  <worldbody>
    <light pos="0 0 2" dir=".3 .2 -1" type="directional" diffuse=".6 .6 .6" specular=".2 .2 .2"/>
    <camera name="film" pos="1.2 -1 .9" xyaxes="{axes}" fovy="40"/>
    <geom name="floor" type="plane" size="2 2 .1" material="floor"/>
    <geom name="post" type="cylinder" pos="-.35 .25 .2" size=".05 .2" material="shell"/>
    <body name="arm" pos="-.35 .25 .4">
      <joint name="arm" axis="0 0 1"/>
      <geom type="capsule" fromto="0 0 0 .35 -.1 .1" size=".04" material="shell"/>
      <geom type="box" pos=".35 -.1 .05" size=".03 .05 .06" rgba=".2 .22 .25 1"/>
    </body>
    <body name="cube" pos="0 0 .1">
      <freejoint/>
      <geom name="cube" type="box" size=".06 .06 .06" rgba=".85 .1 .08 1"/>
    </body>
    <body name="goal" mocap="true" pos=".3 .35 .15">
      <geom name="goal" type="sphere" size=".07" rgba=".1 .8 .3 .4" contype="0" conaffinity="0"/>
    </body>
    <geom name="unseen" type="box" pos="0 -.4 .1" size=".1 .1 .1" rgba="0 0 1 1" group="3"/>
  </worldbody>
</mujoco>
"""


def _axes(look: NDArray[np.float64]) -> str:
    right = np.cross(look - EYE, [0.0, 0.0, 1.0])
    up = np.cross(right, look - EYE)
    return " ".join(f"{number:.9f}" for number in (*right, *up))


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(SCENE.format(axes=_axes(LOOK)))


def _state(
    model: mujoco.MjModel,
    cube: tuple[float, float, float] = (0.0, 0.0, 0.1),
    arm: float = 0.0,
    goal: tuple[float, float, float] = (0.3, 0.35, 0.15),
) -> NDArray[np.float64]:
    data = mujoco.MjData(model)
    data.qpos[0], data.qpos[1:4] = arm, cube
    data.mocap_pos[0] = goal
    row = np.empty(mujoco.mj_stateSize(model, STATE))
    mujoco.mj_getState(model, data, row, STATE)
    return row


def _project(point: NDArray[np.float64] | tuple[float, float, float], size: int = SIZE) -> NDArray[np.float64]:
    """Where a pinhole camera at EYE sees `point`: (column, row), pixel centres at whole numbers."""
    forward = (LOOK - EYE) / np.linalg.norm(LOOK - EYE)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    offset = np.asarray(point) - EYE
    scale = 0.5 * size / np.tan(np.radians(FOVY) / 2) / (offset @ forward)
    return np.array([offset @ right, -(offset @ up)]) * scale + 0.5 * size - 0.5


def _centroid(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The mean (column, row) of the red pixels."""
    colours = image.astype(int)
    rows, columns = np.nonzero((colours[..., 0] > 60) & (colours[..., 0] > 2.5 * colours[..., 1:].max(axis=2)))
    assert len(rows) > 20
    return np.array([columns.mean(), rows.mean()])


def _pixel(image: NDArray[np.uint8], point: tuple[float, float, float]) -> NDArray[np.int_]:
    column, row = np.rint(_project(point)).astype(int)
    return image[row, column].astype(int)


def _draw(model: mujoco.MjModel, *states: NDArray[np.float64]) -> list[NDArray[np.uint8]]:
    with RaycastRenderer(model, SIZE, SIZE) as renderer:
        return list(renderer.frames(np.array(states)))


# -------------------------------------------------------------------------------------- what the ray caster draws


@pytest.mark.parametrize("place", [(0.0, 0.0, 0.1), (0.2, -0.15, 0.3), (-0.3, -0.2, 0.06)])
def test_a_cube_is_drawn_where_a_pinhole_camera_sees_it(
    model: mujoco.MjModel, place: tuple[float, float, float]
) -> None:
    (image,) = _draw(model, _state(model, cube=place))
    assert image.shape == (SIZE, SIZE, 3)
    assert image.dtype == np.uint8
    np.testing.assert_allclose(_centroid(image), _project(place), atol=1.5)


def test_a_matt_floor_has_the_colour_of_lamberts_law() -> None:
    xml = """<mujoco>
      <visual><headlight active="0"/></visual>
      <asset><material name="matt" rgba=".8 .5 .25 1" specular="0"/></asset>
      <worldbody>
        <light type="directional" dir="0 .6 -.8" ambient=".1 .1 .1" diffuse=".5 .6 .7" specular="0 0 0"/>
        <camera name="film" pos="0 0 1"/>
        <geom type="plane" size="5 5 .1" material="matt"/>
      </worldbody></mujoco>"""
    model = mujoco.MjModel.from_xml_string(xml)
    image = _draw(model, np.zeros(mujoco.mj_stateSize(model, STATE)))[0]
    expected = 255 * np.array([0.8, 0.5, 0.25]) * (0.1 + 0.8 * np.array([0.5, 0.6, 0.7]))
    np.testing.assert_allclose(image.reshape(-1, 3), np.tile(expected, (SIZE * SIZE, 1)), atol=1.0)


def test_where_nothing_is_seen_there_is_the_skys_gradient() -> None:
    xml = """<mujoco>
      <asset><texture type="skybox" builtin="gradient" rgb1="1 .5 0" rgb2="0 .5 1" width="64" height="384"/></asset>
      <worldbody>
        <light type="directional"/>
        <camera name="film" xyaxes="1 0 0 0 0 1" fovy="150"/>
      </worldbody></mujoco>"""
    model = mujoco.MjModel.from_xml_string(xml)
    middle = _draw(model, np.zeros(mujoco.mj_stateSize(model, STATE)))[0][:, SIZE // 2].astype(int)
    assert np.all(np.diff(middle[:, 0]) <= 0)  # from rgb1, straight up, to rgb2
    assert np.all(np.diff(middle[:, 2]) >= 0)
    np.testing.assert_allclose(middle[:, 1], 127.5, atol=1.0)
    np.testing.assert_allclose(middle, middle[::-1, ::-1], atol=4.0)


def test_a_shadow_falls_where_the_light_is_blocked(model: mujoco.MjModel) -> None:
    high, away = _draw(model, _state(model, cube=(0.0, -0.1, 0.4)), _state(model, cube=(1.5, 1.5, 0.1)))
    below = (0.3 * 0.4, -0.1 + 0.2 * 0.4, 0.0)  # along the light's direction (.3, .2, -1) down to the floor
    np.testing.assert_array_less(_pixel(high, below), 0.75 * _pixel(away, below))
    beside = (0.5, -0.3, 0.0)
    np.testing.assert_array_equal(_pixel(high, beside), _pixel(away, beside))


def test_a_translucent_marker_is_laid_over_what_lies_behind(model: mujoco.MjModel) -> None:
    place, gone = (0.15, -0.35, 0.35), (3.0, 3.0, 0.5)
    marked, plain = _draw(model, _state(model, goal=place), _state(model, goal=gone))
    before, after = _pixel(plain, place), _pixel(marked, place)
    assert after[1] - after[0] > before[1] - before[0] + 40  # greener
    # Drawn twice, as in OpenGL, 0.6 ** 2 of the floor shows through; the marker is lit, so it adds its own.
    assert after[0] > 0.36 * before[0]
    below = (place[0] + 0.3 * place[2], place[1] + 0.2 * place[2], 0.0)
    np.testing.assert_array_equal(_pixel(marked, below), _pixel(plain, below))  # it throws no shadow


def test_hidden_groups_are_not_drawn(model: mujoco.MjModel) -> None:
    image = _draw(model, _state(model))[0].astype(int)
    assert not np.any((image[..., 2] > 100) & (image[..., 0] < 40))


def test_drawing_only_what_can_change_loses_nothing(model: mujoco.MjModel, monkeypatch: pytest.MonkeyPatch) -> None:
    states = [_state(model, cube=(0.1 * i - 0.2, -0.1, 0.1 + 0.1 * i), arm=0.4 * i) for i in range(4)]
    quick = _draw(model, *states)
    everywhere = np.ones(SIZE * SIZE, np.bool_)
    monkeypatch.setattr(RaycastRenderer, "_reach", lambda *_: (everywhere.copy(), everywhere.copy()))
    for one, other in zip(quick, _draw(model, *states), strict=True):
        np.testing.assert_array_equal(one, other)


PLACED = """
<mujoco>
  <worldbody>
    <light pos="0 0 2" dir=".3 .2 -1" type="directional" diffuse=".6 .6 .6"/>
    <light pos="0 0 2" dir="-.4 .1 -1" type="directional" diffuse=".2 .2 .2"/>
    <camera name="film" pos="0 -1.5 1.2" xyaxes="1 0 0 0 .62 .78" fovy="45"/>
    <geom type="plane" size="2 2 .1" rgba=".7 .7 .75 1"/>
    <geom type="cylinder" pos="-.3 0 .15" size=".05 .15" rgba=".9 .9 .9 1"/>
    <body name="cube"><freejoint/><geom type="box" size=".06 .06 .06" rgba=".85 .1 .08 1"/></body>
    <body name="cupboard" mocap="true">
      <geom type="box" pos="0 0 .1" size=".12 .05 .1" rgba=".2 .4 .6 1"/>
      <geom type="box" pos="0 -.1 .1" size=".1 .005 .08" rgba=".6 .8 .9 .5"/>
    </body>
  </worldbody>
</mujoco>
"""


def test_a_fixture_elsewhere_is_drawn_over_the_same_world(monkeypatch: pytest.MonkeyPatch) -> None:
    model = mujoco.MjModel.from_xml_string(PLACED)
    states = []
    for place, cube in [((0.1, 0.2, 0.0), (0.0, 0.0, 0.5)), ((0.3, -0.1, 0.0), (0.3, 0.0, 0.26))]:
        data = mujoco.MjData(model)
        data.mocap_pos[0], data.qpos[:3] = place, cube  # the cube's shadow falls on the cupboard, or on the floor
        states.append(np.empty(mujoco.mj_stateSize(model, STATE)))
        mujoco.mj_getState(model, data, states[-1], STATE)
    with RaycastRenderer(model, SIZE, SIZE) as renderer:
        images = [renderer.frame(states[0])]
        world = renderer._world
        images.append(renderer.frame(states[1]))
        assert renderer._world is world
    assert np.mean(images[0] != images[1]) > 0.03
    everywhere = np.ones(SIZE * SIZE, np.bool_)
    monkeypatch.setattr(RaycastRenderer, "_reach", lambda *_: (everywhere.copy(), everywhere.copy()))
    for image, state in zip(images, states, strict=True):
        np.testing.assert_array_equal(image, _draw(model, state)[0])


def test_an_outline_covers_the_box_and_little_more() -> None:
    raster = Raster(np.zeros(3), np.eye(3), np.array([-0.5, -0.5]), np.array([0.01, 0.01]), (100, 100))
    # A slab across the picture's diagonal, seen from the origin along z: 0.8 long and 0.02 wide at depth 1.
    long, wide = np.array([0.4, 0.4, 0.0]) / np.sqrt(2), np.array([0.01, -0.01, 0.0]) / np.sqrt(2)
    corners = np.array([[0, 0, 1] + i * long + j * wide for i in (-1, 1) for j in (-1, 1) for _ in range(2)])
    covered = raster.covered(corners[None])
    rows, columns = np.indices((100, 100))
    x, y = (columns + 0.5) / 100 - 0.5, (rows + 0.5) / 100 - 0.5
    along, off = np.abs(x + y) / np.sqrt(2), np.abs(x - y) / np.sqrt(2)
    assert covered[(along <= 0.4) & (off <= 0.01)].all()
    assert not covered[(along > 0.43) | (off > 0.1)].any()
    assert not raster.covered(np.empty((0, 8, 3))).any()


def test_pictures_do_not_depend_on_threads_or_on_earlier_pictures(model: mujoco.MjModel) -> None:
    goals = [(0.3, 0.35, 0.15), (0.1, 0.3, 0.2)]
    states = np.array([_state(model, arm=0.2 * i, goal=goals[i // 3]) for i in range(6)])
    with RaycastRenderer(model, 80, 60, threads=1) as one, RaycastRenderer(model, 80, 60, threads=3) as three:
        alone, together = list(one.frames(states)), list(three.frames(states))
        np.testing.assert_array_equal(alone, together)
        np.testing.assert_array_equal(alone[0], three.frame(states[0]))
    assert alone[0].shape == (60, 80, 3)


def test_the_callers_model_is_left_alone(model: mujoco.MjModel) -> None:
    groups, size = model.geom_group.copy(), (model.vis.global_.offwidth, model.vis.quality.shadowsize)
    _draw(model, _state(model))
    np.testing.assert_array_equal(model.geom_group, groups)
    assert (model.vis.global_.offwidth, model.vis.quality.shadowsize) == size


# ---------------------------------------------------------------------------------------------- mistakes and choices


def test_errors_name_what_was_wrong_and_what_is_there(model: mujoco.MjModel) -> None:
    with pytest.raises(ValueError, match=r"camera 'side'.*'film'"):
        RaycastRenderer(model, camera="side")
    with pytest.raises(ValueError, match="0 x 10 pixels"):
        RaycastRenderer(model, 0, 10)
    with pytest.raises(ValueError, match=r"'vulkan'.*auto, gl, raycast"):
        open_renderer(model, backend="vulkan")
    with RaycastRenderer(model, 8, 8) as renderer:
        with pytest.raises(ValueError, match=r"\(1, 3\); expected \(T, "):
            renderer.frames(np.zeros((1, 3)))
        with pytest.raises(ValueError, match="2 states; expected one"):
            renderer.frame(np.array([_state(model)] * 2))


def test_the_environment_can_ask_for_rays(model: mujoco.MjModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(render.ENVIRONMENT, "raycast")
    with open_renderer(model, 8, 8) as renderer:
        assert renderer.backend == "raycast"
    monkeypatch.setenv(render.ENVIRONMENT, "rays")
    with pytest.raises(render.RenderError, match="CLROBOT_RENDER='rays'"):
        open_renderer(model, 8, 8)


def test_a_context_that_fails_to_open_falls_back_to_rays(
    model: mujoco.MjModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ImportError("Cannot initialize a EGL device display")

    monkeypatch.delenv(render.ENVIRONMENT, raising=False)
    monkeypatch.setattr(opengl, "gl_problem", lambda: None)
    monkeypatch.setattr(mujoco, "Renderer", fail)
    with open_renderer(model, 8, 8) as renderer:
        assert renderer.backend == "raycast"
    with pytest.raises(RenderError, match="Cannot initialize a EGL"):
        open_renderer(model, 8, 8, backend="gl")


@pytest.mark.parametrize(
    ("asked", "screen", "libraries", "chosen_and_set"),
    [
        ("", False, {"EGL", "GL"}, ("egl", "egl")),
        ("", True, {"EGL", "OpenGL"}, ("egl", "egl")),
        ("", False, {"EGL", "OSMesa"}, ("osmesa", "osmesa")),
        ("", False, {"GL"}, (None, "disable")),
        ("egl", False, {"OSMesa"}, (None, "disable")),
        ("osmesa", False, {"OSMesa"}, ("osmesa", "osmesa")),
        ("osmesa", True, {"EGL", "GL"}, (None, "disable")),
        ("glfw", True, set(), ("glfw", "glfw")),
        ("glfw", False, {"EGL", "GL"}, ("egl", "egl")),
        ("off", True, {"EGL", "GL"}, (None, "off")),
        ("metal", True, {"EGL", "GL"}, (None, "disable")),
    ],
)
def test_opengl_is_chosen_by_what_is_there(
    asked: str,
    screen: bool,
    libraries: set[str],
    chosen_and_set: tuple[str | None, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen, setting = chosen_and_set
    monkeypatch.delitem(sys.modules, "mujoco")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(gl, "_problem", None)
    monkeypatch.setattr(gl, "_loads", lambda name: name in libraries)
    monkeypatch.setattr(gl, "has_screen", lambda: screen)
    monkeypatch.setenv("PYOPENGL_PLATFORM", "")
    monkeypatch.setenv("MUJOCO_GL", asked)
    assert gl.choose_gl() == chosen
    assert gl.os.environ["MUJOCO_GL"] == setting
    if chosen in ("egl", "osmesa"):
        assert gl.os.environ["PYOPENGL_PLATFORM"] == chosen
    assert (gl.gl_problem() is None) == (chosen is not None)


def test_once_mujoco_is_imported_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    assert gl.choose_gl() == "osmesa"
    monkeypatch.setattr(gl, "_problem", None)
    monkeypatch.delenv("MUJOCO_GL")
    monkeypatch.setattr(gl, "has_screen", lambda: False)
    assert gl.choose_gl() is None
    if sys.platform.startswith("linux"):
        assert "imported before" in str(gl.gl_problem())


# -------------------------------------------------------------------------------------------- in a process of its own

CHILD = """
import sys
from clrobot.envs.gl import choose_gl, gl_problem
choose_gl()
import mujoco, numpy as np
from clrobot.envs.rendering import open_renderer
model = mujoco.MjModel.from_xml_path(sys.argv[1])
with open_renderer(model, {size}, {size}) as renderer:
    np.save(sys.argv[3], list(renderer.frames(np.load(sys.argv[2]))))
    print(renderer.backend)
print(gl_problem())
"""
WITHOUT_LIBRARIES = """
import ctypes
load = ctypes.CDLL
def missing(name, *args, **kwargs):
    if any(part in str(name) for part in ("EGL", "GL.so", "OSMesa")):
        raise OSError(name)
    return load(name, *args, **kwargs)
ctypes.CDLL = missing
"""


def _draw_elsewhere(
    states: NDArray[np.float64], folder: Path, before: str = "", **environment: str
) -> tuple[NDArray[np.uint8], list[str]]:
    """Draw in a new process; return its pictures (T, h, w, 3) and the lines that it printed."""
    scene, rows, pictures = folder / "scene.xml", folder / "states.npy", folder / "pictures.npy"
    scene.write_text(SCENE.format(axes=_axes(LOOK)))
    np.save(rows, states)
    inherited = {
        name: value
        for name, value in gl.os.environ.items()
        if name not in ("MUJOCO_GL", "PYOPENGL_PLATFORM", render.ENVIRONMENT)
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", before + CHILD.format(size=SIZE), scene, rows, pictures],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return np.load(pictures), done.stdout.splitlines()


@pytest.mark.parametrize("asked", ["egl", "osmesa", ""])
def test_without_libraries_rays_are_cast_and_the_reason_is_known(
    model: mujoco.MjModel, tmp_path: Path, asked: str
) -> None:
    states = np.array([_state(model)])
    pictures, printed = _draw_elsewhere(states, tmp_path, WITHOUT_LIBRARIES, MUJOCO_GL=asked)
    assert printed[0] == "raycast"
    assert f"{asked or 'egl'} needs lib" in printed[1]
    np.testing.assert_array_equal(pictures, _draw(model, *states))


def test_edges_are_averaged_and_nothing_else() -> None:
    image = np.full((7, 8, 3), 16, np.uint8)
    image[:, 4:] = (16, 96, 176)
    averaged = smooth(image).astype(int)
    np.testing.assert_array_equal(averaged[1:-1, 3], [[16, 36, 56]] * 5)  # a quarter of what is beyond the edge
    np.testing.assert_array_equal(averaged[1:-1, 4], [[16, 76, 136]] * 5)
    rest = np.ones((7, 8), np.bool_)
    rest[1:-1, 3:5] = False
    np.testing.assert_array_equal(averaged[rest], image[rest])


@pytest.mark.gl
def test_rays_and_opengl_make_the_same_picture(model: mujoco.MjModel, tmp_path: Path) -> None:
    places = [(0.0, 0.0, 0.1), (0.25, -0.2, 0.3), (-0.1, -0.3, 0.06)]
    states = np.array([_state(model, cube=place, arm=0.3 * i) for i, place in enumerate(places)])
    opengl, printed = _draw_elsewhere(states, tmp_path)
    assert printed == ["gl", "None"]
    for place, theirs, ours in zip(places, opengl, _draw(model, *states), strict=True):
        np.testing.assert_allclose(_centroid(theirs), _centroid(ours), atol=1.0)
        np.testing.assert_allclose(_centroid(theirs), _project(place), atol=2.0)
        difference = np.abs(theirs.astype(int) - ours)
        assert difference.mean() < 2.0
        assert np.mean(difference.max(axis=2) > 40) < 0.005  # edges and the rims of shadows


@pytest.mark.gl
def test_the_environment_overrules_a_working_opengl(model: mujoco.MjModel, tmp_path: Path) -> None:
    _, printed = _draw_elsewhere(np.array([_state(model)]), tmp_path, CLROBOT_RENDER="raycast")
    assert printed == ["raycast", "None"]
