"""Closes the ways from Python back to JavaScript, before any code of the user's runs.

What Pyodide brings for it is taken out of `sys.modules` and emptied, so that whoever finds a module again through
`gc` finds nothing in it. The JavaScript behind it could do little: it is a locked realm without permissions. This is
the wall before that one.
"""

import asyncio
import gc
import importlib.abc
import sys
import time

from rexec_runtime import loop, sleeping

#: Names of modules, and of everything below them, that no code of a user's may import.
CLOSED = ("js", "pyodide_js", "pyodide", "_pyodide", "_pyodide_core", "_ctypes", "ctypes")


class _ClosedFinder(importlib.abc.MetaPathFinder):
    """Says that a closed module is not there, in the words that Python has for it."""

    def find_spec(self, fullname, path=None, target=None):
        """Raise `ModuleNotFoundError` for a closed module; leave all others to the finders that follow."""
        if fullname.partition(".")[0] in CLOSED:
            raise ModuleNotFoundError(f"No module named {fullname!r}: this sandbox does not offer it", name=fullname)
        return None


def close():
    """Close them all. To be called once."""
    asyncio.set_event_loop_policy(None)
    asyncio.events._set_running_loop(None)
    # Finders and loaders of JavaScript's modules hold what they gave.
    for finder in sys.meta_path:
        _empty(finder)
    sys.meta_path[:] = [finder for finder in sys.meta_path if not _is_closed(_module_of(finder))]
    sys.path_hooks[:] = [hook for hook in sys.path_hooks if not _is_closed(_module_of(hook))]
    sys.meta_path.insert(0, _ClosedFinder())
    sys.excepthook = sys.__excepthook__
    sys.unraisablehook = sys.__unraisablehook__
    time.sleep = loop._sleep = sleeping.sleep
    _forget_core()
    for name in [name for name in sys.modules if _is_closed(name)]:
        module = sys.modules.pop(name)
        _empty(getattr(module, "__loader__", None))
        _empty(getattr(getattr(module, "__spec__", None), "loader", None))
        contents = getattr(module, "__dict__", None)
        if isinstance(contents, dict):
            contents.clear()
    main = sys.modules["__main__"].__dict__
    for name in [name for name in main if not name.startswith("__")]:
        del main[name]


def _forget_core():
    """Empties what import keeps of the built-in module, from which it would be made again."""
    create_proxy = getattr(sys.modules.get("_pyodide_core"), "create_proxy", None)
    for thing in gc.get_referrers(create_proxy) if create_proxy is not None else ():
        # All others are namespaces of closed modules, and go as well.
        if type(thing) is dict:
            thing.clear()


def _empty(thing):
    """Takes from an object of a closed module's class what it holds."""
    if _is_closed(type(thing).__module__) and isinstance(getattr(thing, "__dict__", None), dict):
        thing.__dict__.clear()


def _module_of(finder):
    return getattr(finder, "__module__", None) or type(finder).__module__


def _is_closed(name):
    return isinstance(name, str) and name.partition(".")[0] in CLOSED
