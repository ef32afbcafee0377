"""Whether two Python values are the same to the last bit, which `==` does not tell."""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

import numpy as np

NUMPY_FLOATS = (np.float16, np.float32, np.float64, np.longdouble)

# Two names of one such object are one object on the other side, too.
MUTABLE = (list, dict, set, bytearray, deque, np.ndarray)


def expect_same(actual: Any, expected: Any) -> None:
    """Fails unless both have the same types, values, order, aliases and, for arrays, dtype, shape and memory order."""
    Comparison().compare(actual, expected, "value")


class Comparison:
    """One walk through two values at once."""

    def __init__(self) -> None:
        self._expected_of: dict[int, int] = {}
        self._actual_of: dict[int, int] = {}
        # Keeps what was seen alive, so that no id is used twice.
        self._seen: list[Any] = []

    def compare(self, actual: Any, expected: Any, path: str) -> None:
        if type(actual) is not type(expected):
            raise AssertionError(f"{path} is a {type(actual)}, expected {type(expected)}: {actual!r:.300}")
        if isinstance(expected, MUTABLE) and self._met(actual, expected, path):
            return
        if type(expected) in (float, *NUMPY_FLOATS) and actual != actual and expected != expected:
            return  # one NaN is as good as another
        if isinstance(expected, np.generic):
            self._dtypes(actual.dtype, expected.dtype, path)
            self._equal(actual.tobytes(), expected.tobytes(), path)
        elif isinstance(expected, float):
            self._equal(struct.pack("<d", actual), struct.pack("<d", expected), path)
        elif isinstance(expected, complex):
            self.compare(actual.real, expected.real, f"{path}.real")
            self.compare(actual.imag, expected.imag, f"{path}.imag")
        elif isinstance(expected, (list, tuple, deque)):
            self._equal(len(actual), len(expected), f"len({path})")
            for index, (one, other) in enumerate(zip(actual, expected)):
                self.compare(one, other, f"{path}[{index}]")
            if isinstance(expected, deque):
                self._equal(actual.maxlen, expected.maxlen, f"{path}.maxlen")
        elif isinstance(expected, (dict, OrderedDict, defaultdict, Counter)):
            self._equal(len(actual), len(expected), f"len({path})")
            for index, (one, other) in enumerate(zip(actual.items(), expected.items())):
                self.compare(one[0], other[0], f"key {index} of {path}")
                self.compare(one[1], other[1], f"{path}[{other[0]!r}]")
            if isinstance(expected, defaultdict):
                self._equal(actual.default_factory, expected.default_factory, f"{path}.default_factory")
        elif isinstance(expected, (set, frozenset)):
            key = lambda item: (type(item).__name__, repr(item))
            self.compare(sorted(actual, key=key), sorted(expected, key=key), f"sorted({path})")
        elif isinstance(expected, slice):
            for name in ("start", "stop", "step"):
                self.compare(getattr(actual, name), getattr(expected, name), f"{path}.{name}")
        elif isinstance(expected, np.ndarray):
            self._arrays(actual, expected, path)
        elif isinstance(expected, np.dtype):
            self._dtypes(actual, expected, path)
        else:
            self._equal(actual, expected, path)
            self._equal(repr(actual), repr(expected), f"repr({path})")

    def _met(self, actual: Any, expected: Any, path: str) -> bool:
        if id(expected) in self._expected_of or id(actual) in self._actual_of:
            same = self._expected_of.get(id(expected)) == id(actual) and self._actual_of.get(id(actual)) == id(expected)
            if not same:
                raise AssertionError(f"{path} is another object than the one it is an alias of, or an alias of another")
            return True
        self._expected_of[id(expected)] = id(actual)
        self._actual_of[id(actual)] = id(expected)
        self._seen += [actual, expected]
        return False

    def _arrays(self, actual: np.ndarray, expected: np.ndarray, path: str) -> None:
        self._dtypes(actual.dtype, expected.dtype, path)
        self._equal(actual.shape, expected.shape, f"{path}.shape")
        for flag in ("F_CONTIGUOUS", "C_CONTIGUOUS"):
            self._equal(actual.flags[flag], expected.flags[flag], f"{path}.flags.{flag}")
        if expected.dtype.hasobject:
            self.compare(actual.ravel().tolist(), expected.ravel().tolist(), f"{path}.tolist()")
        else:
            self._equal(actual.tobytes(), expected.tobytes(), f"{path}.tobytes()")

    def _dtypes(self, actual: np.dtype, expected: np.dtype, path: str) -> None:
        self._equal(actual, expected, f"{path}.dtype")
        self._equal(actual.descr, expected.descr, f"{path}.dtype.descr")

    def _equal(self, actual: Any, expected: Any, path: str) -> None:
        if actual != expected:
            raise AssertionError(f"{path} is {actual!r:.300}, expected {expected!r:.300}")
