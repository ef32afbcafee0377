"""One run of an async generator function of the user's over a stream of inputs.

Nothing is buffered: the generator runs on when the next output is asked for, and an input waits until the generator
asks for it. What it yields until it asks for more than there is are the outputs of the input before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any

from .failures import UserFailure
from .loop import call_outside
from .user_calls import close_iterator


class _Feed:
    """Gives inputs to the generator one by one, and tells when it asks for one that is not there."""

    def __init__(self, on_starved: Callable[[], None]) -> None:
        self._on_starved = on_starved
        self._items: deque[Any] = deque()
        self._questions: deque[asyncio.Future[None]] = deque()
        self._ended = False

    @property
    def is_starved(self) -> bool:
        return any(not question.done() for question in self._questions)

    def push(self, item: Any) -> None:
        if not self._ended:
            self._items.append(item)
            self._answer()

    def end(self) -> None:
        self._ended = True
        while self._questions:
            self._answer()

    def stop(self) -> None:
        self._items.clear()
        self.end()

    def _answer(self) -> None:
        if self._questions and not (question := self._questions.popleft()).done():
            question.set_result(None)

    async def next(self) -> Any:
        while not self._items and not self._ended:
            question = asyncio.get_running_loop().create_future()
            self._questions.append(question)
            self._on_starved()
            try:
                await question
            finally:
                if question in self._questions:
                    self._questions.remove(question)
        if not self._items:
            raise StopAsyncIteration
        return self._items.popleft()


class Inputs:
    """What the generator function is called with: an async iterator over the inputs."""

    def __init__(self, feed: _Feed) -> None:
        self._feed = feed

    def __aiter__(self) -> Inputs:
        return self

    async def __anext__(self) -> Any:
        return await self._feed.next()

    async def aclose(self) -> None:
        """Takes no more input; what comes later is dropped."""
        self._feed.stop()


class StreamRun:
    """See the module. Its outputs are to be asked for by one consumer at a time."""

    def __init__(self, start: Callable[[Inputs], Any]) -> None:
        self._start = start
        self._feed = _Feed(self._wake)
        self._changed = asyncio.Event()
        self._output: tuple[Any] | None = None
        #: Set while an output may be made.
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._finished = False
        self._closing = False

    def process(self, item: Any) -> AsyncGenerator[Any, None]:
        """Gives one more input, and its outputs as they are pulled. Raises :class:`UserFailure`."""
        self._feed.push(item)
        return self._outputs()

    def flush(self) -> AsyncGenerator[Any, None]:
        """Ends the input; gives what the generator yields until it returns. Raises :class:`UserFailure`."""
        self._feed.end()
        return self._outputs()

    async def close(self) -> None:
        """Ends the generator where it stands: its `finally` runs. Waits for it, however long that takes."""
        self._closing = True
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        self._finished = True
        self._raise_failure()

    async def _outputs(self) -> AsyncGenerator[Any, None]:
        if self._task is None:
            # One task for the whole run: cancel scopes and context variables of the generator belong to one.
            self._task = asyncio.get_running_loop().create_task(self._run())
        while True:
            self._changed.clear()
            if self._output is not None:
                [output], self._output = self._output, None
                yield output
                continue
            if self._finished:
                self._raise_failure()
                return
            if self._feed.is_starved:
                return
            self._wanted.set()
            await self._changed.wait()

    async def _run(self) -> None:
        """Never raises: nobody may be waiting when it ends."""
        generator: Any = None
        try:
            await self._wanted.wait()
            generator = call_outside(self._start, Inputs(self._feed))
            async for output in generator:
                self._wanted.clear()
                self._output = (output,)
                self._wake()
                await self._wanted.wait()
        except BaseException as error:
            if not (self._closing and isinstance(error, asyncio.CancelledError)):
                self._failure = error
        try:
            await close_iterator(generator)
        except UserFailure as failure:
            self._failure = self._failure or failure.raised
        self._finished = True
        self._wake()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise UserFailure(failure)

    def _wake(self) -> None:
        self._changed.set()
