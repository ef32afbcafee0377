"""What numpy's parts are called in pickles, for those that go out.

Where there is no numpy, modules of its names stand for it while a pickle is written. numpy 2 writes the names of its
`_core`, which numpy 1 does not have, and reads those of numpy 1's `core` as well
(https://numpy.org/devdocs/numpy_2_0_migration_guide.html): so they are what goes out.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from . import arrays

_numpy = ModuleType("numpy")
_core = ModuleType("numpy.core")
_multiarray = ModuleType("numpy.core.multiarray")
arrays.reconstruct.__module__ = "numpy.core.multiarray"
arrays.reconstruct.__qualname__ = "_reconstruct"
_multiarray.__dict__["_reconstruct"] = arrays.reconstruct
_numpy.__dict__.update(ndarray=arrays.Array, dtype=arrays.DType)


def scalar_type(name: str) -> type:
    """A type that a pickle only names, `numpy.float32` say."""
    arrays.Array.made = True
    if name not in _numpy.__dict__:
        _numpy.__dict__[name] = type(name, (), {"__module__": "numpy", "__qualname__": name})
    return _numpy.__dict__[name]


class NumpyNames:
    """While one is entered, pickle finds numpy's names, so that arrays go out as arrays that every numpy reads."""

    def __enter__(self) -> None:
        self._added: dict[str, ModuleType] = {}
        self._renamed: list[tuple[Any, str]] = []
        if "numpy" in sys.modules:
            self._rename()
        elif arrays.Array.made:
            self._added = {"numpy": _numpy, "numpy.core": _core, "numpy.core.multiarray": _multiarray}
            sys.modules.update(self._added)

    def _rename(self) -> None:
        try:
            new, old = import_module("numpy._core.multiarray"), import_module("numpy.core.multiarray")
        except ImportError:
            return  # numpy 1, or one that no longer reads the old names
        for name in ("_reconstruct", "scalar"):
            function = getattr(new, name)
            if getattr(old, name, None) is function:
                self._renamed.append((function, function.__module__))
                function.__module__ = old.__name__

    def __exit__(self, *_: object) -> None:
        for function, module in self._renamed:
            function.__module__ = module
        for name, module in self._added.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
