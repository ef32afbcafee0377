"""Pickles that come in, with nothing in them but what is allowed, and pickles that go out.

What a pickle may name is a table, as in workers/codecs/pickle_globals.ts, and besides it the classes and functions of
the package itself. Serialized objects may name anything: they are code themselves, and reach what all code reaches.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
from importlib import import_module
from pickle import Pickler, Unpickler, UnpicklingError
from types import FunctionType
from typing import Any

from . import arrays
from .failures import Invalid, Unreadable, Unwritable, UserFailure, comes_from_package, message_of
from .numpy_names import NumpyNames, scalar_type
from .places import PLACES
from .user_calls import guard

#: The newest protocol that every client since Python 3.4 reads.
PROTOCOL = 4

MAX_SHOWN_NAME = 200

_open = io.open
_quote = json.JSONEncoder().encode


def _names(table: str) -> dict[tuple[str, str], tuple[str, str]]:
    allowed: dict[tuple[str, str], tuple[str, str]] = {}
    for line in table.split("\n"):
        module, _, names = line.strip().partition(": ")
        for name in names.split():
            allowed[module, name] = (module, name)
    return allowed


_ALLOWED = _names(
    """builtins: list dict set frozenset tuple bytes bytearray complex range slice object int float str bool
    _codecs: encode
    copyreg: _reconstructor
    collections: OrderedDict defaultdict Counter deque
    datetime: datetime date time timedelta timezone
    decimal: Decimal
    uuid: UUID"""
)
# Python 2's names, which protocols below 3 use: `_compat_pickle` of CPython.
for _name in "list dict set frozenset tuple bytes bytearray complex slice object int float str bool".split():
    _ALLOWED["__builtin__", _name] = ("builtins", _name)
_ALLOWED["__builtin__", "xrange"] = ("builtins", "range")
_ALLOWED["__builtin__", "unicode"] = ("builtins", "str")
_ALLOWED["__builtin__", "long"] = ("builtins", "int")
_ALLOWED["copy_reg", "_reconstructor"] = ("copyreg", "_reconstructor")

_SCALAR_TYPES = frozenset(
    "bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 intc uintc longlong ulonglong float16 float32 float64 "
    "longdouble complex64 complex128 clongdouble str_ bytes_ object_ void datetime64 timedelta64".split()
)
#: Functions and classes of numpy's pickles: module within its core, name, and what stands for it.
_ARRAY_PARTS: dict[tuple[str, str], Any] = {
    ("multiarray", "_reconstruct"): arrays.reconstruct,
    ("multiarray", "scalar"): arrays.scalar,
    ("numeric", "_frombuffer"): arrays.from_buffer,
}


class _Refused(UnpicklingError):
    """A name that is not allowed."""


class _InputUnpickler(Unpickler):
    """Finds what is allowed, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        real = _ALLOWED.get((module, name))
        if real is not None:
            return getattr(import_module(real[0]), real[1])
        found = _of_numpy(module, name)
        if found is None:
            found = _of_package(module, name)
        if found is None:
            full = f"{module}.{name}"
            shown = full[:MAX_SHOWN_NAME] + "…" if len(full) > MAX_SHOWN_NAME else full
            raise _Refused(f"Cannot unpickle: global {_quote(shown)} is not allowed")
        return found


class _ObjectUnpickler(Unpickler):
    """Finds anything, and arrays where there is no numpy."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return super().find_class(module, name)
        except ModuleNotFoundError as error:
            found = _of_numpy(module, name) if (error.name or "").startswith("numpy") else None
            if found is None:
                raise
            return found


def _of_numpy(module: str, name: str) -> Any:
    """What numpy's pickles are made of: numpy's own, or what stands for it."""
    top, _, rest = module.partition(".")
    if top != "numpy":
        return None
    core, _, part = rest.partition(".")
    if not rest and (name in ("dtype", "ndarray") or name in _SCALAR_TYPES):
        numpy = _numpy()
        if numpy is not None:
            return getattr(numpy, name, None)
        return {"dtype": arrays.DType, "ndarray": arrays.Array}.get(name) or scalar_type(name)
    if core not in ("core", "_core") or (part, name) not in _ARRAY_PARTS:
        return None
    if _numpy() is None:
        return _ARRAY_PARTS[part, name]
    for place in ("numpy._core", "numpy.core"):
        try:
            return getattr(import_module(f"{place}.{part}"), name)
        except ImportError:
            continue
    return None


def _numpy() -> Any:
    try:
        return import_module("numpy")
    except ImportError:
        return None


def _of_package(module: str, name: str) -> Any:
    """A class or function that a module of the package defines. Imports the module."""
    parts = module.split(".")
    path = os.path.join(PLACES.package, *parts)
    if not all(part.isidentifier() for part in parts):
        return None
    if not os.path.isfile(path + ".py") and not os.path.isfile(os.path.join(path, "__init__.py")):
        return None
    found: Any = guard(import_module, module)
    if not PLACES.holds(getattr(found, "__file__", None)):
        return None
    for part in name.split("."):
        if part.startswith("__") or found is not sys.modules.get(module) and not isinstance(found, type):
            return None
        found = vars(found).get(part)
    is_theirs = isinstance(found, (type, FunctionType)) and found.__module__ == module
    return found if is_theirs else None


def load(name: str) -> Any:
    """Decodes one of the bridge's files. Raises :class:`Unreadable`, or :class:`UserFailure` for the package's code."""
    try:
        with _open(PLACES.file(name), "rb") as file:
            return _InputUnpickler(file).load()
    except (UserFailure, Unreadable):
        raise
    except _Refused as error:
        raise Unreadable(str(error)) from None
    except (MemoryError, KeyboardInterrupt, SystemExit) as error:
        raise UserFailure(error) from None
    except Exception as error:
        if comes_from_package(error):
            raise UserFailure(error) from None
        raise Unreadable(f"Cannot unpickle: {message_of(error)}") from None


def load_object(text: str | bytes) -> Any:
    """The object whose cloudpickle this is, in base64. Raises :class:`Invalid`, or :class:`UserFailure` for user code."""
    try:
        data = base64.b64decode(text, validate=False)
        return guard(lambda: _ObjectUnpickler(io.BytesIO(data)).load())
    except UserFailure as failure:
        error = failure.raised
        if not isinstance(error, Exception) or isinstance(error, MemoryError) or comes_from_package(error):
            raise
        raise Invalid(f"Cannot load the serialized object: {_why_not_loaded(error)}") from None
    except ValueError as error:
        raise Invalid(f"Cannot load the serialized object: it is no base64 text: {message_of(error)}") from None


def _why_not_loaded(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        top = error.name.partition(".")[0]
        if top == "cloudpickle":
            return needs_cloudpickle()
        return f'it needs the module "{error.name}", which is neither in the package nor among its dependencies'
    return message_of(error)


def needs_cloudpickle() -> str:
    """What to say when cloudpickle is missing."""
    return "it needs cloudpickle, which is not there; it must be in the wheelhouse (python.packagesDirectory)"


def save(value: Any) -> None:
    """Writes a result to the bridge's `output`. Raises :class:`Unwritable`, or :class:`UserFailure`."""
    path = PLACES.file("output")
    try:
        _write(Pickler, value, path)
    except (MemoryError, KeyboardInterrupt, SystemExit) as error:
        raise UserFailure(error) from None
    except Exception as error:
        if not _save_by_value(value, path):
            _remove(path)
            raise Unwritable(f"Cannot pickle the result: {message_of(error)}") from None


def _save_by_value(value: Any, path: str) -> bool:
    """Again with cloudpickle, where the object came with it: its classes are in no module that pickle could name."""
    cloudpickle = sys.modules.get("cloudpickle")
    if cloudpickle is None:
        return False
    try:
        _write(cloudpickle.Pickler, value, path)
        return True
    except (MemoryError, KeyboardInterrupt, SystemExit) as error:
        raise UserFailure(error) from None
    except Exception:
        return False


def _write(kind: Any, value: Any, path: str) -> None:
    with NumpyNames(), _open(path, "wb") as file:
        kind(file, PROTOCOL).dump(value)


def _remove(path: str) -> None:
    try:
        os.remove(path)
    except OSError:
        pass  # it was never made
