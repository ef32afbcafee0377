"""The video nodes, against what numpy makes of the same frames."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from arrays import FORMS, Form
from harness import case, expect, expect_equal, rows
from same import expect_same
from service import Service


def picture(channels: int = 3, height: int = 4, width: int = 6) -> np.ndarray:
    """A frame in which no two pixels are alike."""
    return np.random.default_rng(7).integers(0, 256, (height, width, channels), np.uint8)


def call(service: Service, node: str, form: Form, frame: np.ndarray, config: dict[str, str]) -> np.ndarray:
    """The node's answer to one frame."""
    _, format, send, read = form
    answer = read(service.value(node, send(frame), format=format, config=config))
    if form[0] != "JSON lists":
        expect_equal(answer.dtype, np.dtype(np.uint8), "dtype")
    return answer


def expect_frame(actual: np.ndarray, expected: np.ndarray) -> None:
    """Fails unless both are equal to the pixel."""
    expect_equal(actual.shape, expected.shape, "shape")
    expect(np.array_equal(actual, expected), f"the pixels differ: {actual.tolist()!r:.200}, {expected.tolist()!r:.200}")


def gray(frame: np.ndarray) -> np.ndarray:
    """BT.601 luma of an RGB(A) frame, as (height, width, 1)."""
    return (frame[..., :3] @ np.array([0.299, 0.587, 0.114]))[..., np.newaxis]


FLIPS = {
    "horizontal": lambda frame: frame[:, ::-1],
    "vertical": lambda frame: frame[::-1],
    "both": lambda frame: frame[::-1, ::-1],
    "None": lambda frame: frame,
}
# numpy turns counter-clockwise.
TURNS = {"0": 0, "90": -1, "180": -2, "270": -3, "-90": 1, "360": 0, "450": -1, "None": 0}


@rows("VideoTransform: flip {0} ({1[0]})", itertools.product(FLIPS, FORMS))
def flip(service: Service, name: str, form: Form) -> None:
    for channels in (1, 3, 4):
        frame = picture(channels)
        answer = call(service, "VideoTransform", form, frame, {"resolution": "None", "flip": name})
        expect_frame(answer, FLIPS[name](frame))


@rows("VideoTransform: rotate {0} ({1[0]})", itertools.product(TURNS, FORMS))
def rotate(service: Service, degrees: str, form: Form) -> None:
    frame = picture()
    answer = call(service, "VideoTransform", form, frame, {"resolution": "None", "rotate": degrees})
    expect_frame(answer, np.rot90(frame, TURNS[degrees]))


@rows("VideoTransform: colours ({0[0]})", [(form,) for form in FORMS])
def colours(service: Service, form: Form) -> None:
    def convert(frame: np.ndarray, color: str) -> np.ndarray:
        return call(service, "VideoTransform", form, frame, {"resolution": "None", "color": color})

    rgb, rgba, luma = picture(3), picture(4), picture(1)
    expect_frame(convert(rgb, "keep"), rgb)
    expect_frame(convert(rgb, "rgb"), rgb)
    expect_frame(convert(rgb, "bgr"), rgb[..., ::-1])
    expect_frame(convert(rgba, "rgb"), rgba[..., :3])
    expect_frame(convert(rgba, "bgr"), rgba[..., 2::-1])
    expect_frame(convert(luma, "rgb"), luma.repeat(3, axis=2))
    for frame in (rgb, rgba):
        answer = convert(frame, "gray")
        expect_equal(answer.shape, (4, 6, 1), "shape")
        # The weights are rounded, so a luma that lies half way between two values may go either way.
        error = np.abs(answer - gray(frame)).max()
        expect(error <= 0.51, f"luma is off by {error}")


@case("VideoTransform: the pure colours have their luma")
def pure_colours(service: Service) -> None:
    frame = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0]]], np.uint8)
    answer = call(service, "VideoTransform", FORMS[0], frame, {"resolution": "None", "color": "gray"})
    expect_equal(answer[0, :, 0].tolist(), [76, 150, 29, 255, 0])


@case("VideoTransform: the default resolution is 1920 × 1080, given as (width, height)")
def default_resolution(service: Service) -> None:
    answer = call(service, "VideoTransform", FORMS[0], np.full((9, 16, 3), 77, np.uint8), {})
    expect_frame(answer, np.full((1080, 1920, 3), 77, np.uint8))


@rows("VideoTransform: resolution {0}", [("(8, 3)",), ("[8, 3]",), ("8x3",), ("'8x3'",)])
def resolutions(service: Service, text: str) -> None:
    answer = call(service, "VideoTransform", FORMS[0], np.full((5, 5, 3), 9, np.uint8), {"resolution": text})
    expect_frame(answer, np.full((3, 8, 3), 9, np.uint8))


@case("VideoTransform: a quarter turn comes after the resize")
def order(service: Service) -> None:
    config = {"resolution": "(8, 3)", "rotate": "90", "color": "bgr", "flip": "horizontal"}
    frame = np.broadcast_to(np.array([10, 20, 30], np.uint8), (5, 5, 3))
    expect_frame(
        call(service, "VideoTransform", FORMS[0], frame, config),
        np.broadcast_to(np.array([30, 20, 10], np.uint8), (8, 3, 3)),
    )


NO_FRAME: list[tuple[str, Any]] = [
    ("text", "no frame"),
    ("None", None),
    ("floats", np.zeros((2, 2, 3), np.float32)),
    ("five channels", np.zeros((2, 2, 5), np.uint8)),
    ("a row", np.zeros(4, np.uint8)),
    ("an empty frame", np.zeros((0, 4, 3), np.uint8)),
]


@rows("{0}: {1} passes through", [(node, *row) for node in ("VideoTransform", "VideoResizer") for row in NO_FRAME])
def passes(service: Service, node: str, _: str, item: Any) -> None:
    expect_same(service.value(node, item), item)


METHODS = ["lanczos", "bicubic", "bilinear", "mitchell", "nearest"]


@rows("VideoResizer: {0} of a constant frame is constant ({1[0]})", itertools.product(METHODS, FORMS))
def constant(service: Service, method: str, form: Form) -> None:
    for (width, height), channels in itertools.product([(3, 2), (7, 11), (20, 30)], (1, 3, 4)):
        colour = np.array([200, 100, 0, 255][:channels], np.uint8)
        config = {"target_resolution": f"({width}, {height})", "method": method}
        answer = call(service, "VideoResizer", form, np.broadcast_to(colour, (8, 9, channels)), config)
        expect_frame(answer, np.broadcast_to(colour, (height, width, channels)))


@case("VideoResizer: the default is 1920 × 1080")
def resizer_default(service: Service) -> None:
    answer = call(service, "VideoResizer", FORMS[0], np.full((4, 4, 1), 3, np.uint8), {})
    expect_frame(answer, np.full((1080, 1920, 1), 3, np.uint8))


@case("VideoResizer: nearest repeats pixels")
def nearest(service: Service) -> None:
    frame = picture()
    config = {"target_resolution": "(12, 8)", "method": "nearest"}
    expect_frame(call(service, "VideoResizer", FORMS[0], frame, config), frame.repeat(2, axis=0).repeat(2, axis=1))


@case("VideoResizer: halving averages, so that brightness stays")
def halving(service: Service) -> None:
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    frame = board.astype(np.uint8)[..., np.newaxis]
    for method in METHODS[:-1]:
        config = {"target_resolution": "(32, 32)", "method": method}
        answer = call(service, "VideoResizer", FORMS[0], frame, config)
        inner = answer[4:-4, 4:-4].astype(float)
        expect(np.abs(inner - 127.5).max() < 16, f"{method} gives {inner.min()} to {inner.max()} for a chessboard")


@case("VideoResizer: the frame's own size is the frame")
def same_size(service: Service) -> None:
    frame = picture()
    expect_frame(call(service, "VideoResizer", FORMS[0], frame, {"target_resolution": "(6, 4)"}), frame)


@rows("VideoBuffer: one frame is flushed as an array of one ({0[0]})", [(form,) for form in FORMS])
def buffer(service: Service, form: Form) -> None:
    frame = picture()
    expect_frame(call(service, "VideoBuffer", form, frame, {}), frame[np.newaxis])
    expect_frame(call(service, "VideoBuffer", form, frame, {"buffer_size": "1"}), frame[np.newaxis])
