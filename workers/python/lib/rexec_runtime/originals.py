"""Gives the standard library back what Pyodide put its own functions in the place of, and what bytecode hides.

Pyodide's functions need modules that are closed to user code: without this, `asyncio.run()` of 3.14 and every failed
import of 3.11 would end in an error about those.
"""

from __future__ import annotations

import asyncio
import sys
from importlib import _bootstrap  # type: ignore[attr-defined] # what Pyodide changed is there


def restore_originals() -> None:
    """Does so. To be called before those modules are closed; does nothing where there is no Pyodide."""
    # The package's name is bound anew, the module that it is from is not.
    asyncio.run = asyncio.runners.run
    hook = sys.modules.get("_pyodide._importhook")
    # Of 3.11; later versions catch the error instead, in a finder that goes when they are closed.
    find_error = getattr(hook, "orig_get_module_not_found_error", None)
    if find_error is not None:
        _bootstrap._get_module_not_found_error = find_error


#: Where the bytecode of a version without snapshots lies; see workers/python/pyodide.ts.
_PRECOMPILED = "/precompiled.zip/"


def complete_packages() -> None:
    """Has packages that came as bytecode look where their other modules are: only what is always loaded was compiled."""
    sources = [path for path in sys.path if path.startswith("/lib/")]
    for module in list(sys.modules.values()):
        places = getattr(module, "__path__", None)
        if not isinstance(places, list):
            continue
        for place in list(places):
            if place.startswith(_PRECOMPILED):
                places.extend(f"{source}/{place.removeprefix(_PRECOMPILED)}" for source in sources)
