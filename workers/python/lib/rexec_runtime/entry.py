"""Finds what an entry point names."""

from __future__ import annotations

import inspect
import os
import sys
from importlib import import_module
from typing import Any

from .failures import Invalid, UserFailure, comes_from_package, name_of
from .places import PLACES
from .user_calls import guard
from .user_methods import listed


def load_entry(module: str, attribute: str, *, bind: bool = False) -> Any:
    """Imports a module and gives what its attribute path names.

    With `bind`, a method that is named through its class is one of an instance that is made without arguments. Raises
    :class:`Invalid` where there is no such thing, and :class:`UserFailure` for what the module's code raises.
    """
    name = f"{module}:{attribute}"
    _prefer_package(module.partition(".")[0])
    try:
        value: Any = guard(import_module, module)
    except UserFailure as failure:
        error = failure.raised
        is_missing = isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")
        if not is_missing or comes_from_package(error):
            raise
        raise Invalid(f'Cannot run "{name}": there is no module "{error.name}"; {_modules()}') from None
    for part in attribute.split("."):
        owner = value
        try:
            value = guard(getattr, owner, part)
        except UserFailure as failure:
            if not isinstance(failure.raised, AttributeError) or comes_from_package(failure.raised):
                raise
            raise Invalid(f'Cannot run "{name}": the attribute "{part}" does not exist; {_attributes(owner)}') from None
        if bind and isinstance(owner, type) and inspect.isfunction(inspect.getattr_static(owner, part, None)):
            value = guard(getattr, guard(owner), part)
    return value


def _prefer_package(top: str) -> None:
    """Forgets a module of another place that was imported before, where the package has one of the same name."""
    path = os.path.join(PLACES.package, top)
    is_there = os.path.isfile(path + ".py") or os.path.isdir(path)
    loaded = sys.modules.get(top)
    if is_there and loaded is not None and not _is_of_package(loaded):
        for name in [name for name in sys.modules if name == top or name.startswith(top + ".")]:
            del sys.modules[name]


def _is_of_package(module: Any) -> bool:
    places = [getattr(module, "__file__", None), *(getattr(module, "__path__", None) or ())]
    return any(PLACES.holds(place) for place in places)


def require_callable(value: Any, module: str, attribute: str) -> None:
    """Raises :class:`Invalid` where this cannot be called."""
    if not callable(value):
        kind = name_of(type(value))
        there = _attributes(guard(import_module, module))
        raise Invalid(f'Cannot run "{module}:{attribute}": the attribute is of type {kind} and cannot be called; {there}')


def _attributes(owner: Any) -> str:
    name = getattr(owner, "__name__", None)
    own = [
        key
        for key, value in list(getattr(owner, "__dict__", {}).items())
        if not key.startswith("_") and callable(value) and getattr(value, "__module__", None) in (name, None)
    ]
    kind = "class" if isinstance(owner, type) else "module"
    if isinstance(owner, type):
        own = [key for key in owner.__dict__ if not key.startswith("_")]
    return f"the {kind} has {listed(own)}" if own else f"the {kind} has no functions"


def _modules() -> str:
    names = []
    for entry in sorted(os.listdir(PLACES.package)):
        if entry.endswith(".py"):
            names.append(entry[:-3])
        elif os.path.isfile(os.path.join(PLACES.package, entry, "__init__.py")):
            names.append(entry)
    return f"the package has {listed(names)}" if names else "the package has no modules"
