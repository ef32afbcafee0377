"""The two functions that the glue calls, :func:`begin` and :func:`poll`. Only strings cross.

Both answer whatever user code did to the interpreter; what they say is not to be trusted all the same.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import time
from typing import Any

from .failures import (
    MAX_MESSAGE_LENGTH,
    Invalid,
    Unreadable,
    Unwritable,
    UserFailure,
    clean,
    message_of,
    traceback_of,
)
from .loop import DrivenLoop, start_loop
from .operations import Operations
from .originals import complete_packages, restore_originals
from .pickling import save

# Kept, since user code may put something else in their places.
_encode = json.JSONEncoder().encode
_decode = json.JSONDecoder().decode
_monotonic = time.monotonic

#: Seconds after which coroutines that are always ready give way, so that the glue hears its messages.
SLICE_SECONDS = 0.02

_BROKEN = '{"state":"raised","message":"the interpreter does not work any more","traceback":""}'


class _Operation:
    """One operation, from `begin` to its last `poll`."""

    def __init__(self, interpreter: _Interpreter, request: dict[str, Any], before: _Operation | None) -> None:
        self._loop = interpreter.loop
        self._paused: asyncio.Future[None] | None = None
        #: What ends it from outside.
        self.stopped_by: BaseException | None = None
        # One context for all: what user code sets in a context variable is there with the next call.
        self.task = self._loop.create_task(self._run(interpreter, request, before), context=interpreter.context)

    @property
    def is_paused(self) -> bool:
        return self._paused is not None

    def resume(self) -> None:
        if self._paused is not None:
            self._paused.set_result(None)
            self._paused = None

    def stop(self, reason: BaseException) -> None:
        self.stopped_by = reason
        self.task.cancel()

    async def abandon(self) -> BaseException | None:
        """Ends it for good; gives what went wrong on its way out."""
        self._paused = None
        self.task.cancel()
        await asyncio.wait([self.task])
        error = None if self.task.cancelled() else self.task.exception()
        if isinstance(error, UserFailure) and not isinstance(error.raised, (asyncio.CancelledError, GeneratorExit)):
            return error
        return None

    async def _run(self, interpreter: _Interpreter, request: dict[str, Any], before: _Operation | None) -> None:
        late = await before.abandon() if before is not None else None
        await interpreter.operations.find(request.get("op"))(request, self._emit)
        if late is not None:
            raise late

    async def _emit(self, output: Any) -> None:
        save(output)
        self._paused = self._loop.create_future()
        await self._paused


class _Interpreter:
    """What lasts as long as the interpreter."""

    def __init__(self) -> None:
        self.loop: DrivenLoop = start_loop()
        self.context = contextvars.copy_context()
        self.operations = Operations(self.loop)
        self._current: _Operation | None = None

    def begin(self, request: dict[str, Any]) -> None:
        before = self._current
        if before is not None and request.get("op") != "close":
            raise RuntimeError("an operation is running; only close may come now")
        self._current = _Operation(self, request, before)

    def poll(self) -> dict[str, Any]:
        current = self._current
        if current is None:
            return {"state": "invalid", "message": "Cannot poll: no operation has begun"}
        try:
            return self._poll(current)
        except (KeyboardInterrupt, SystemExit) as reason:
            # Nobody's code caught it: it came between two callbacks, or out of a task that nobody waits for.
            if not current.task.done():
                current.stop(reason)
            return {"state": "waiting", "seconds": 0}

    def _poll(self, current: _Operation) -> dict[str, Any]:
        current.resume()
        end = _monotonic() + SLICE_SECONDS
        while True:
            seconds = self.loop.step()
            if current.task.done():
                self._current = None
                return _verdict(current)
            if current.is_paused:
                return {"state": "output"}
            if seconds != 0 or _monotonic() > end:
                return {"state": "waiting", "seconds": seconds}


_interpreter: _Interpreter | None = None


def begin(request: str) -> None:
    """Starts an operation, given as JSON. Runs no user code. The first one is to be `start`."""
    global _interpreter
    if _interpreter is None:
        _interpreter = _Interpreter()
    _interpreter.begin(_decode(request))


def poll() -> str:
    """Goes on with the operation until it ends, gives an output, or has nothing to do. Never raises."""
    try:
        if _interpreter is None:
            raise Invalid("Cannot poll: no operation has begun")
        answer = _interpreter.poll()
    except BaseException as error:
        answer = _describe(error)
    try:
        return _encode(answer)
    except BaseException:
        return _BROKEN


def _verdict(operation: _Operation) -> dict[str, Any]:
    task, reason = operation.task, operation.stopped_by
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    if reason is not None and (error is not None or not isinstance(reason, KeyboardInterrupt)):
        if isinstance(error, UserFailure) and isinstance(error.raised, asyncio.CancelledError):
            reason = type(reason)(*reason.args).with_traceback(error.raised.__traceback__)
        return _describe(reason)
    return {"state": "done"} if error is None else _describe(error)


def _describe(error: BaseException) -> dict[str, Any]:
    for kind, state in ((Invalid, "invalid"), (Unreadable, "unreadable"), (Unwritable, "unwritable")):
        if isinstance(error, kind):
            return {"state": state, "message": clean(str(error), MAX_MESSAGE_LENGTH)}
    raised = error.raised if isinstance(error, UserFailure) else error
    return {"state": "raised", "message": message_of(raised), "traceback": traceback_of(raised)}


def prepare() -> None:
    """Does what a snapshot is to have in it: imports what tasks usually need, and undoes what Pyodide changed."""
    from . import preloaded  # noqa: F401

    restore_originals()
    complete_packages()
