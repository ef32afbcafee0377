"""What the glue may ask for, each as a coroutine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from . import nodes
from .console import log_to_console
from .entry import load_entry, require_callable
from .failures import Invalid, Unreadable, UserFailure
from .loop import DrivenLoop, end_background
from .pickling import load, load_object, save
from .places import PLACES
from .reseed import clean_main, reseed, set_environment
from .user_calls import collect, settle
from .user_object import UserObject
from .warming import warm

Emit = Callable[[Any], Awaitable[None]]
Request = dict[str, Any]


class Operations:
    """One interpreter's operations. They share the object that `open` makes."""

    def __init__(self, loop: DrivenLoop) -> None:
        self._loop = loop
        self._object: UserObject | None = None

    def find(self, op: object) -> Callable[[Request, Emit], Awaitable[None]]:
        """The operation of this name. Raises :class:`Invalid`."""
        found = {
            "start": self._start,
            "environment": self._environment,
            "warm": self._warm,
            "probe": self._probe,
            "run": self._run,
            "open": self._open,
            "process": self._process,
            "flush": self._flush,
            "call": self._call,
            "close": self._close,
            "node": self._node,
        }.get(op if isinstance(op, str) else "")
        if found is None:
            raise Invalid(f"Cannot run operation {op!r:.100}: there is none of this name")
        return found

    async def _start(self, request: Request, emit: Emit) -> None:
        reseed()
        set_environment({})
        clean_main()
        log_to_console()
        PLACES.enter()

    async def _environment(self, request: Request, emit: Emit) -> None:
        set_environment(request["environment"])

    async def _warm(self, request: Request, emit: Emit) -> None:
        await warm(lambda module, attribute: self._run({"module": module, "attribute": attribute}, emit))

    async def _probe(self, request: Request, emit: Emit) -> None:
        # What it needs is needed once, and has no place in a snapshot.
        import json

        from .probing import probe

        save(json.dumps(probe(request["targets"])))

    async def _run(self, request: Request, emit: Emit) -> None:
        module, attribute = request["module"], request["attribute"]
        PLACES.enter()
        function = load_entry(module, attribute, bind=True)
        require_callable(function, module, attribute)
        result = await collect(await settle(function, load("input")))
        await end_background(self._loop)
        save(result)

    async def _open(self, request: Request, emit: Emit) -> None:
        PLACES.enter()
        self._object = None
        entry = request["entry"]
        config = _config() if request.get("config") else {}
        if entry["kind"] == "node":
            name = entry["nodeName"]
            loaded = nodes.bind(entry["nodeType"], name, config)
            # A node takes the config itself.
            config = {}
        elif entry["kind"] == "object":
            name = "serialized_object.pkl"
            with open(PLACES.file("object"), "rb") as file:
                loaded = load_object(file.read())
        else:
            name = f"{entry['module']}:{entry['attribute']}"
            loaded = load_entry(entry["module"], entry["attribute"])
        self._object = await UserObject.create(loaded, config, name=name, mode=request["mode"])

    async def _process(self, request: Request, emit: Emit) -> None:
        await _send(self._opened("process").process(load("input")), emit)

    async def _flush(self, request: Request, emit: Emit) -> None:
        await _send(self._opened("flush").flush(), emit)

    async def _call(self, request: Request, emit: Emit) -> None:
        opened = self._opened(request["method"])
        args = load("input")
        if not isinstance(args, (list, tuple)):
            raise Invalid("Cannot call method: its arguments are to be a list")
        save(await opened.call(request["method"], args))

    async def _close(self, request: Request, emit: Emit) -> None:
        if self._object is not None:
            try:
                await self._object.cleanup()
            finally:
                await end_background(self._loop)

    async def _node(self, request: Request, emit: Emit) -> None:
        PLACES.enter()
        result = await nodes.run(request["nodeType"], request["nodeName"], _config(), load("input"))
        await end_background(self._loop)
        save(result)

    def _opened(self, method: str) -> UserObject:
        if self._object is None:
            raise Invalid(f'Cannot call "{str(method)[:200]}": no object is open')
        return self._object


async def _send(outputs: AsyncGenerator[Any, None], emit: Emit) -> None:
    async with aclosing(outputs):
        async for output in outputs:
            await emit(output)


def _config() -> dict[str, Any]:
    config = load("config")
    if not isinstance(config, dict) or not all(isinstance(key, str) for key in config):
        raise Unreadable("Cannot unpickle: the config is no dict of names")
    return config
