"""Does once, while nobody waits, what every task does.

WebAssembly is compiled function by function, when each is called first: a task that is the first to parse a module, to
raise, or to run a coroutine pays for it.
"""

import asyncio
import io
import json
import pickle

from .failures import message_of, traceback_of

_SOURCE = """
import dataclasses
import json

class Thing:
    def __init__(self, value: float = 1.5, **options):
        self.value, self.options = value, options

    async def process(self, item):
        for number in range(3):
            yield {"item": [item, number, f"{self.value:.2f}"], "options": (self.options, b"x")}

def main(item):
    return json.dumps(json.loads('{"a": [1, 2.5, "x", null]}'))
"""


def warm() -> None:
    """Never fails: a task that meets the same fault tells of it."""
    try:
        namespace = {"__name__": "warm"}
        exec(compile(_SOURCE, "main.py", "exec"), namespace)
        namespace["main"]({"n": 3})
        asyncio.new_event_loop().run_until_complete(_outputs_of(namespace["Thing"](scale=2)))
        pickle.Unpickler(io.BytesIO(pickle.dumps({"a": [1, 2.5, "x", None, b"y"]}, protocol=4))).load()
        json.JSONDecoder().decode(json.JSONEncoder().encode({"state": "done"}))
        try:
            namespace["main"].missing
        except AttributeError as error:
            message_of(error)
            traceback_of(error)
    except Exception:  # noqa: BLE001 -- see above
        pass


async def _outputs_of(thing) -> None:
    async for _ in thing.process(1):
        await asyncio.sleep(0)
