"""Makes an interpreter that was started from a snapshot unlike every other one from it."""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
import uuid
from types import ModuleType

from .places import PLACES


def reseed() -> None:
    """Takes new randomness wherever the standard library keeps some. (`secrets` and `uuid4` keep none.)"""
    random.seed()
    # What a node address, a clock sequence and the names of temporary files were derived from.
    uuid._node = None
    uuid._last_timestamp = None
    tempfile._name_sequence = None
    tempfile.tempdir = None
    process = sys.modules.get("multiprocessing.process")
    if process is not None:
        process.current_process()._config["authkey"] = process.AuthenticationString(os.urandom(32))


def set_environment(environment: dict[str, str]) -> None:
    """Gives the process exactly these variables, and a home."""
    os.environ.clear()
    os.environ.update({"HOME": PLACES.home, **environment})
    os.environ.pop("PYTHONHASHSEED", None)
    if hasattr(time, "tzset"):
        time.tzset()


def clean_main() -> None:
    """Gives user code a `__main__` of its own, where classes lie that were pickled by value."""
    main = ModuleType("__main__")
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    sys.modules["__main__"] = main
