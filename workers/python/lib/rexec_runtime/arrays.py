"""Arrays of numpy, where there is no numpy.

They arrive out of pickles, can be read, and go back into pickles as the arrays of numpy that they were.
Source of the pickles' form: `array_reduce` and `arraydescr_reduce` in numpy's `_core/src/multiarray`.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Iterator
from typing import Any

_CODES = {
    "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q",
    "f2": "e", "f4": "f", "f8": "d", "c8": "f", "c16": "d", "M8": "q", "m8": "q",
}  # fmt: skip
_NAMES = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex", "S": "bytes", "U": "str", "O": "object"}
_MALFORMED = "Cannot unpickle: the state of an array is not one that numpy writes"


class DType:
    """The type of an array's elements, as `numpy.dtype` names it."""

    __module__ = "numpy"
    __qualname__ = "dtype"

    def __init__(self, text: str, align: bool = False, copy: bool = True) -> None:
        self._order = text[0] if text[:1] in "<>|=" else "<"
        self._code = text[1:] if text[:1] in "<>|=" else text
        self.kind = self._code[:1]
        self.itemsize = 8 if self.kind in "OMm" else int(self._code[1:] or 0) * (4 if self.kind == "U" else 1)
        self._state: tuple[Any, ...] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._order = state[1]
        self._state = state
        if isinstance(state[5], int) and state[5] > 0:
            self.itemsize = state[5]

    def __reduce__(self) -> tuple[Any, ...]:
        state = self._state or (3, self._order, None, None, None, -1, -1, 0)
        return DType, (self._code, False, True), state

    @property
    def byteorder(self) -> str:
        return "|" if self.itemsize == 1 or self.kind in "SVO" else self._order

    @property
    def str(self) -> str:
        return self.byteorder + self._code

    @property
    def name(self) -> str:
        if self.kind == "b" or self.kind == "O":
            return _NAMES[self.kind]
        return f"{_NAMES.get(self.kind, 'void')}{8 * self.itemsize}"

    @property
    def names(self) -> tuple[str, ...] | None:
        return self._state[3] if self._state else None

    def __eq__(self, other: object) -> bool:
        if isinstance(other, DType):
            return self.str == other.str and self.names == other.names
        return other in (self.name, self.str, self._code) and (self._order != ">" or other == self.str)

    def __hash__(self) -> int:
        return hash(self.str)

    def __repr__(self) -> str:
        return f"dtype({str(self)!r})"

    def __str__(self) -> str:
        return self.str if self.kind in "SUV" or self.byteorder == ">" else self.name

    def swapped(self, data: bytes) -> tuple[DType, bytes]:
        """The same with the other order of bytes."""
        width = 4 if self.kind == "U" else self.itemsize // 2 if self.kind == "c" else self.itemsize
        turned = bytearray(len(data))
        for at in range(width):
            turned[at::width] = data[width - 1 - at :: width]
        made = DType(self._code)
        if self._state is not None:
            made.__setstate__((self._state[0], "<", *self._state[2:]))
        return made, bytes(turned)

    def elements(self, data: bytes) -> list[Any]:
        """The elements that bytes hold; those of a kind that Python does not have are bytes."""
        code = _CODES.get(self._code)
        size = self.itemsize
        if code is not None:
            width = struct.calcsize(f"={code}")
            order = ">" if self._order == ">" else "<"
            values = list(struct.unpack(f"{order}{len(data) // width}{code}", data))
            if self.kind == "c":
                return [complex(real, imaginary) for real, imaginary in zip(values[::2], values[1::2])]
            return values
        chunks = [data[at : at + size] for at in range(0, len(data), size)] if size else []
        if self.kind == "U":
            name = "utf-32-be" if self._order == ">" else "utf-32-le"
            return [chunk.decode(name, "surrogatepass").rstrip("\0") for chunk in chunks]
        return [chunk.rstrip(b"\0") for chunk in chunks] if self.kind == "S" else chunks


class Array:
    """An array as it was pickled. It can be read, not computed with: for that a task needs numpy."""

    __module__ = "numpy"
    __qualname__ = "ndarray"

    #: Whether any was made, so that pickles may need numpy's names.
    made = False

    def __init__(self, shape: Any, dtype: DType, data: Any, *, fortran: bool = False) -> None:
        Array.made = True
        self._fill(shape, dtype, data, fortran)

    def _fill(self, shape: Any, dtype: DType, data: Any, fortran: bool) -> None:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        if not isinstance(dtype, DType) or not all(isinstance(length, int) and length >= 0 for length in shape):
            raise ValueError(_MALFORMED)
        size = math.prod(shape)
        if isinstance(data, list):
            if len(data) != size:
                raise ValueError(_MALFORMED)
        elif memoryview(data).nbytes != size * dtype.itemsize:
            raise ValueError(_MALFORMED)
        self.shape = shape
        self.dtype = dtype
        self._data = data if isinstance(data, (bytes, list)) else bytes(data)
        self._fortran = bool(fortran) and len(shape) > 1

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        shape, dtype, fortran, data = state[-4:]
        data = data.encode("latin-1") if isinstance(data, str) else data
        if isinstance(dtype, DType) and dtype.str[0] == ">" and not isinstance(data, list):
            dtype, data = dtype.swapped(data)  # numpy turns it as well
        self._fill(shape, dtype, data, fortran)

    def __reduce__(self) -> tuple[Any, ...]:
        return reconstruct, (Array, (0,), b"b"), (1, self.shape, self.dtype, self._fortran, self._data)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        strides: list[int] = []
        step = self.itemsize
        for length in self.shape if self._fortran else reversed(self.shape):
            strides.append(step)
            step *= length
        return tuple(strides if self._fortran else reversed(strides))

    @property
    def data(self) -> memoryview:
        """The elements where they lie, with their type and shape where Python's buffers have them."""
        view = memoryview(self.tobytes())
        code = _CODES.get(self.dtype.str[1:])
        is_native = self.dtype.byteorder in ("|", "<" if sys.byteorder == "little" else ">")
        if code is None or not is_native or self.dtype.kind in "cMm" or not self.size or not self.shape:
            return view
        try:
            return view.cast(code, self.shape)
        except ValueError:
            return view  # half floats, before Python 3.12

    def __buffer__(self, flags: int) -> memoryview:
        return self.data

    def tobytes(self) -> bytes:
        """The elements in C order."""
        if isinstance(self._data, list):
            raise TypeError("an array of objects has no bytes")
        if not self._fortran:
            return self._data
        size = self.itemsize
        return b"".join(self._data[at : at + size] for at in self._offsets())

    def _offsets(self) -> Iterator[int]:
        """Where the elements lie, in C order."""
        strides = self.strides
        offsets = [0]
        for length, stride in zip(self.shape, strides):
            offsets = [offset + index * stride for offset in offsets for index in range(length)]
        return iter(offsets)

    def _flat(self) -> list[Any]:
        if not isinstance(self._data, list):
            return self.dtype.elements(self.tobytes())
        if not self._fortran:
            return self._data
        return [self._data[offset // self.itemsize] for offset in self._offsets()]

    def tolist(self) -> Any:
        """Nested lists of Python's own numbers and strings; the one element of an array without dimensions."""
        items = self._flat()
        if not self.shape:
            return items[0]
        for length in reversed(self.shape[1:]):
            count = len(items) // length if length else math.prod(self.shape[:-1])
            items = [items[at * length : (at + 1) * length] for at in range(count)]
        return items

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without dimensions")
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        """Along the first axis: an element, or an array with one dimension less; a slice gives an array."""
        length = len(self)
        width = math.prod(self.shape[1:])
        if isinstance(index, slice):
            return self._rows(list(range(length))[index], width)
        if isinstance(index, bool) or not hasattr(index, "__index__"):
            raise TypeError("arrays are indexed by an int or a slice here; for more, a task needs numpy")
        at = index.__index__()
        if not -length <= at < length:
            raise IndexError(f"index {at} is out of bounds for axis 0 with size {length}")
        row = self._rows([at % length], width)
        if len(self.shape) == 1:
            return row._flat()[0]
        return Array(self.shape[1:], self.dtype, row._data)

    def _rows(self, rows: list[int], width: int) -> Array:
        shape = (len(rows), *self.shape[1:])
        if isinstance(self._data, list):
            flat = self._flat()
            return Array(shape, self.dtype, [item for at in rows for item in flat[at * width : (at + 1) * width]])
        data, step = self.tobytes(), width * self.itemsize
        return Array(shape, self.dtype, b"".join(data[at * step : (at + 1) * step] for at in rows))

    def __iter__(self) -> Iterator[Any]:
        return (self[at] for at in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Array):
            return NotImplemented
        return self.shape == other.shape and self.dtype == other.dtype and self._flat() == other._flat()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        text = repr(self.tolist()) if self.size <= 1000 else f"<{self.size} elements>"
        return f"array({text}, shape={self.shape}, dtype={self.dtype})"


def reconstruct(kind: Any, shape: Any, code: Any) -> Array:
    """`_reconstruct(ndarray, (0,), b"b")`: an empty array, to be filled."""
    if kind is not Array:
        raise ValueError(_MALFORMED)
    return Array((0,), DType("i1"), b"")


def from_buffer(buffer: Any, dtype: Any, shape: Any, order: Any) -> Array:
    """`_frombuffer(buffer, dtype, shape, order)` of protocol 5."""
    return Array(shape, dtype, buffer, fortran=order == "F")


def scalar(dtype: Any, data: Any = b"") -> Any:
    """`scalar(dtype, data)`: the value as Python's own; as an array without dimensions where Python has none."""
    array = Array((), dtype, data)
    return array if dtype.kind in "VMm" or dtype.str[1:] in ("f16", "f12", "c32", "c24") else array.tolist()
