"""Arrays where there is numpy, and where there is none."""

from __future__ import annotations

import copy
import pickle
import struct
import sys
import unittest
from importlib.abc import MetaPathFinder

from interpreter import InterpreterTest

try:
    import numpy as np
except ImportError:
    np = None

MAIN = """
    def same(value):
        return value

    def described(array):
        view = memoryview(array.data)
        return {
            "list": array.tolist(), "shape": array.shape, "dtype": str(array.dtype), "ndim": array.ndim,
            "size": array.size, "itemsize": array.itemsize, "nbytes": array.nbytes, "strides": array.strides,
            "bytes": array.tobytes(), "len": len(array), "view": view.tobytes(),
        }
"""


class _NoNumpy(MetaPathFinder):
    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname.partition(".")[0] == "numpy":
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


@unittest.skipIf(np is None, "numpy is not installed")
class Arrays(InterpreterTest):
    def setUp(self) -> None:
        super().setUp()
        self.package(main=MAIN)

    def run_with(self, attribute: str, value: object, *, numpy: bool, protocol: int = 4) -> object:
        self.put("input", pickle.dumps(value, protocol))
        if numpy:
            self.expect(self.do("run", module="main", attribute=attribute), "done")
            return self.output()
        kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "numpy"}
        sys.meta_path.insert(0, _NoNumpy())
        try:
            answer = self.do("run", module="main", attribute=attribute)
            self.assertNotIn("numpy", sys.modules)
        finally:
            del sys.meta_path[0]
            sys.modules.update(kept)
        self.expect(answer, "done")
        return self.output()

    def arrays(self) -> list:
        made = [np.arange(6).astype(code).reshape(2, 3) for code in "?bhilqBHILQefd" "FD"]
        made += [np.asfortranarray(made[4]), made[4][:, ::2], made[5].astype(">i4"), np.zeros((0, 3), "f4"), np.array(5.5)]
        made += [np.array([["a", "bcd"], ["ü", ""]]), np.array([b"a", b"bcd"]), np.array([1, "x", None], object)]
        made += [np.array([1, 2], "M8[s]"), np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")]), np.zeros((2, 2, 2), "u1")]
        return made

    def test_arrays_come_back_as_they_were(self) -> None:
        for numpy in (True, False):
            for protocol in (0, 2, 4, 5):
                for array in self.arrays():
                    with self.subTest(f"{array!r} {numpy} {protocol}"):
                        array = pickle.loads(pickle.dumps(array, 4))  # as the answer's, in native byte order
                        back = self.run_with("same", array, numpy=numpy, protocol=protocol)
                        self.assertIs(type(back), np.ndarray)
                        self.assertEqual((back.dtype, back.shape), (array.dtype, array.shape))
                        if array.dtype != object:
                            self.assertEqual(back.tobytes(), array.tobytes())
                        self.assertEqual(back.tolist(), array.tolist())
                        same = array.flags.f_contiguous, array.flags.c_contiguous
                        if any(same):
                            self.assertEqual((back.flags.f_contiguous, back.flags.c_contiguous), same)

    def test_scalars_and_types_arrive(self) -> None:
        value = [np.float32(1.5), np.int64(-3), np.bool_(True), np.str_("x"), np.complex128(1j), np.float64(2)]
        self.assertEqual(self.run_with("same", value, numpy=False), [1.5, -3, True, "x", 1j, 2.0])
        self.assertEqual(self.run_with("same", value, numpy=True), value)
        named = [np.float32, np.dtype("f4"), np.dtype([("a", "i4")])]
        for numpy in (True, False):
            self.assertEqual(self.run_with("same", named, numpy=numpy), named)

    def test_without_numpy_an_array_says_what_numpys_says(self) -> None:
        for array in self.arrays():
            if not array.shape or array.dtype.kind in "OMV":
                continue
            with self.subTest(repr(array)):
                self.assertEqual(self.run_with("described", array, numpy=False) | {"strides": 0},
                                 self.run_with("described", array, numpy=True) | {"strides": 0})
        fortran = np.asfortranarray(np.arange(6).reshape(2, 3))
        self.assertEqual(self.run_with("described", fortran, numpy=False)["strides"], fortran.strides)


class SmallArrays(unittest.TestCase):
    """The array type by itself."""

    def setUp(self) -> None:
        from rexec_runtime.arrays import Array, DType

        self.array = Array((2, 3), DType("f4"), struct.pack("<6f", *range(6)))
        self.fortran = Array((2, 3), DType("i2"), struct.pack("<6h", 0, 3, 1, 4, 2, 5), fortran=True)

    def test_it_is_indexed_and_iterated_along_its_first_axis(self) -> None:
        for array in (self.array, self.fortran):
            self.assertEqual(array[1].tolist(), [3, 4, 5])
            self.assertEqual(array[-1][0], 3)
            self.assertEqual(array[::-1].tolist(), [[3, 4, 5], [0, 1, 2]])
            self.assertEqual([row.tolist() for row in array], [[0, 1, 2], [3, 4, 5]])
            for index, error in ((2, IndexError), (-3, IndexError), ((0, 1), TypeError), ("a", TypeError)):
                with self.assertRaises(error):
                    array[index]

    def test_it_has_the_buffer_of_its_elements(self) -> None:
        self.assertEqual((self.array.data.format, self.array.data.shape), ("f", (2, 3)))
        self.assertEqual(self.array.data.tolist(), [[0, 1, 2], [3, 4, 5]])
        if sys.version_info >= (3, 12):
            self.assertEqual(memoryview(self.array).tolist(), self.array.tolist())

    def test_it_compares_shows_and_copies_itself(self) -> None:
        self.assertEqual(copy.deepcopy(self.array), self.array)
        self.assertNotEqual(self.array, self.fortran)
        self.assertEqual(self.array.dtype, "float32")
        self.assertEqual(repr(self.array[0]), "array([0.0, 1.0, 2.0], shape=(3,), dtype=float32)")

    def test_it_refuses_states_that_numpy_does_not_write(self) -> None:
        from rexec_runtime.arrays import Array, DType

        for shape, data in (((2, 3), b"x"), ((-1,), b""), ((2,), [1]), (("a",), b"")):
            with self.assertRaises(ValueError):
                Array(shape, DType("f4"), data)
