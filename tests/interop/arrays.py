"""Arrays in the forms that JSON clients send: nested lists, or base64 with dtype and shape."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np


def to_base64(array: np.ndarray) -> dict[str, Any]:
    """The array as `{"dtype", "shape", "data"}`."""
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": str(array.dtype), "shape": list(array.shape), "data": data}


def from_base64(value: dict[str, Any]) -> np.ndarray:
    """The array that such a value holds; raises for anything else."""
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data"}:
        raise AssertionError(f"no array in base64: {value!r:.300}")
    return np.frombuffer(base64.b64decode(value["data"], validate=True), value["dtype"]).reshape(value["shape"])


def from_lists(value: list[Any]) -> np.ndarray:
    """The array that nested lists hold; raises for anything else."""
    if not isinstance(value, list):
        raise AssertionError(f"no nested lists: {value!r:.300}")
    return np.asarray(value)


def from_numpy(value: np.ndarray) -> np.ndarray:
    """The array itself; raises for anything else."""
    if not isinstance(value, np.ndarray):
        raise AssertionError(f"no array: {value!r:.300}")
    return value


Form = tuple[str, str, Callable[[np.ndarray], Any], Callable[[Any], np.ndarray]]

# Name of the form, serialization format, how an array is sent, and how one is read from the answer.
FORMS: list[Form] = [
    ("pickle", "pickle", lambda array: array, from_numpy),
    ("JSON lists", "json", lambda array: array.tolist(), from_lists),
    ("JSON base64", "json", to_base64, from_base64),
]
