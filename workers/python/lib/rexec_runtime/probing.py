"""What must be impossible, tried for real from inside the interpreter when the service starts.

The counterpart of workers/probe.ts: whatever succeeds is a leak, and the service refuses to run Python.
"""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from typing import Any

#: What would lead back to JavaScript or out of WebAssembly.
MODULES = ("js", "pyodide_js", "pyodide", "pyodide.code", "pyodide.http", "_pyodide", "_pyodide_core", "ctypes", "_ctypes")

_MAX_DETAIL_LENGTH = 100


class _Refused(Exception):
    """It was refused without an exception."""


def probe(targets: dict[str, Any]) -> list[dict[str, Any]]:
    """Tries them all; `targets` are those of workers/protocol.ts. Gives a list of its `ProbeOutcome`."""
    return [_attempt(name, attempt) for name, attempt in _attempts(targets)]


def _attempts(targets: dict[str, Any]) -> list[tuple[str, Callable[[], object]]]:
    return [
        *((f"import {name}", lambda name=name: importlib.import_module(name)) for name in MODULES),
        ("read a file", lambda: _text_of(targets["file"])),
        ("read /etc/passwd", lambda: _text_of("/etc/passwd")),
        ("list a folder", lambda: os.listdir(targets["writableDirectory"])),
        ("read an environment variable", lambda: _present(os.environ.get(targets["environmentVariable"]))),
        ("connect to loopback", lambda: _connect(targets["loopbackPort"])),
        ("spawn a process", lambda: subprocess.run(["true"], check=True)),
        ("run a shell", lambda: _present(True if os.system("true") == 0 else None)),
        ("fork", _fork),
        ("start a thread", lambda: threading.Thread(target=_nothing).start()),
    ]


def _attempt(name: str, attempt: Callable[[], object]) -> dict[str, Any]:
    try:
        detail, leaked = repr(attempt())[:_MAX_DETAIL_LENGTH], True
    except Exception as error:  # noqa: BLE001 -- any refusal is one
        detail, leaked = type(error).__name__, False
    return {"place": "interpreter", "attempt": name, "leaked": leaked, "detail": detail}


def _text_of(path: str) -> str:
    with open(path) as file:
        return file.read()


def _connect(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), 1):
        return "connected"


def _fork() -> str:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "forked"


def _present(value: object) -> object:
    if value is None:
        raise _Refused
    return value


def _nothing() -> None:
    """What a thread would run."""
