"""Finds the methods that a user's object has of its own. Runs no property and no `__getattr__`."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

from .places import PLACES
from .user_calls import guard

#: Names of one object that a message lists.
MAX_LISTED = 20
MAX_NAME_LENGTH = 80

_MISSING = object()


def find_method(subject: Any, name: str) -> Callable[..., Any] | None:
    """The public method of this name; None for anything else. Raises :class:`UserFailure`."""
    if name.startswith("_") or _static(subject, name) is _MISSING:
        return None
    found = guard(getattr, subject, name)
    return found if callable(found) else None


def list_methods(subject: Any) -> str:
    """Says which public methods there are, bounded; what starts the object is not among them."""
    names: list[str] = []
    for holder in _holders(subject):
        for name in list(holder):
            if not isinstance(name, str) or name in names or name.startswith("_") or name == "initialize":
                continue
            if _static(subject, name) is not _MISSING:
                names.append(name)
    return "it has " + listed(names) if names else "it has no public methods"


def listed(names: list[str]) -> str:
    """Names in a message, bounded in number and length."""
    shown = ", ".join(name[:MAX_NAME_LENGTH] for name in names[:MAX_LISTED])
    return f"{shown} and more" if len(names) > MAX_LISTED else shown


def _static(subject: Any, name: str) -> Any:
    """What callable the user's own part of the object holds under this name."""
    for holder in _holders(subject):
        if name in holder:
            value = holder[name]
            if isinstance(value, (staticmethod, classmethod)):
                return value
            return value if callable(value) and not isinstance(value, property) else _MISSING
    return _MISSING


def _holders(subject: Any) -> list[dict[str, Any]]:
    """The object's own attributes, and those of the user's classes behind it."""
    own = getattr(subject, "__dict__", None) if not isinstance(subject, type) else None
    holders: list[Any] = [own] if isinstance(own, dict) else []
    for kind in type(subject).__mro__:
        if is_of_user(kind):
            holders.append(type.__dict__["__dict__"].__get__(kind))
    return holders


def is_of_user(kind: type) -> bool:
    """Whether a class is the user's, or a package's, and not the interpreter's own."""
    module = getattr(kind, "__module__", None)
    if not isinstance(module, str):
        return True
    top = module.partition(".")[0]
    # cloudpickle makes classes with `types.new_class`, which leaves its own module's name in those that inherit theirs.
    if top not in sys.stdlib_module_names or module == "types" and vars(types).get(kind.__name__) is not kind:
        return True
    return PLACES.holds(getattr(sys.modules.get(module), "__file__", None))


def is_async_generator(function: Any) -> bool:
    """Whether calling this gives an async generator."""
    return inspect.isasyncgenfunction(function)
