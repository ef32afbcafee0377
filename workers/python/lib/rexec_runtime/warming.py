"""Does once, while nobody waits, what every task does.

WebAssembly is compiled function by function, when each is called first: a task that is the first to parse a module, to
raise, or to run a coroutine pays for it.
"""

from __future__ import annotations

import linecache
import os
import pickle
import sys
from collections.abc import Awaitable, Callable

from .failures import message_of, traceback_of
from .places import PLACES

MODULE = "_rexec_warm_up"

_SOURCE = """
import asyncio
import dataclasses
import json


class Thing:
    def __init__(self, value: float = 1.5, **options):
        self.value, self.options = value, options

    async def process(self, item):
        for number in range(3):
            await asyncio.sleep(0)
            yield {"item": [item, number, f"{self.value:.2f}"], "options": (self.options, b"x")}


def fails(item):
    return item["missing"]


async def main(item):
    thing = Thing(scale=2)
    found = [output async for output in thing.process(item)]
    return json.dumps(json.loads('{"a": [1, 2.5, "x", null]}')), found
"""


async def warm(run: Callable[[str, str], Awaitable[None]]) -> None:
    """Runs a package as a task's is run, and leaves nothing of it behind.

    `run` takes a module's name and an attribute's.
    """
    path = os.path.join(PLACES.package, f"{MODULE}.py")
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(_SOURCE)
        for attribute in ("main", "fails"):
            with open(PLACES.file("input"), "wb") as file:
                pickle.dump({"n": 3, "a": [1, 2.5, "x", None, b"y"]}, file, protocol=4)
            try:
                await run(MODULE, attribute)
            except Exception as error:  # noqa: BLE001 -- one of them is there to fail
                message_of(error)
                traceback_of(error)
    finally:
        os.unlink(path)
        for name in ("input", "output"):
            if os.path.exists(PLACES.file(name)):
                os.unlink(PLACES.file(name))
        sys.modules.pop(MODULE, None)
        linecache.clearcache()
        PLACES.enter()
