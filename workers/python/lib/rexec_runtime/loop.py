"""An asyncio event loop that is driven step by step from outside, since nothing may block where it runs.

`asyncio.run()` and `run_until_complete()` of user code that runs outside of any coroutine work too, by sleeping.
There are no threads: executors run what they are given at once.
"""

from __future__ import annotations

import asyncio
import heapq
import sys
import time
from asyncio import events, tasks
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

#: Seconds that a blocked loop sleeps at once, so that interrupts are heard.
_NAP_SECONDS = 0.05

#: Cancelled timers that may lie in the heap before it is cleared of them.
_MAX_CANCELLED_TIMERS = 100

_sleep = time.sleep


class DrivenLoop(asyncio.BaseEventLoop):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self._may_block = False

    def step(self) -> float | None:
        """Runs what is ready, once.

        Gives the seconds until something is due: 0 when something is ready, None when nothing is known. Raises the
        `SystemExit` or `KeyboardInterrupt` that a callback raised.
        """
        hooks = sys.get_asyncgen_hooks()
        outer = events._get_running_loop()
        self._thread_id = 1
        sys.set_asyncgen_hooks(firstiter=self._asyncgen_firstiter_hook, finalizer=self._asyncgen_finalizer_hook)
        events._set_running_loop(self)
        try:
            self._run_once()
        finally:
            self._stopping = False
            self._thread_id = None
            events._set_running_loop(outer)
            sys.set_asyncgen_hooks(*hooks)
        return self._seconds_to_next()

    def run_forever(self) -> None:
        """As asyncio's: blocks, sleeping."""
        before = self._may_block
        self._may_block = True
        try:
            super().run_forever()
        finally:
            self._may_block = before

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Runs it at once: there are no threads."""
        future = self.create_future()
        try:
            future.set_result(call_outside(func, *args))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            future.set_exception(error)
        return future

    def _run_once(self) -> None:
        # Not BaseEventLoop's: that one has a selector, and cannot be entered again from one of its own callbacks.
        seconds = self._seconds_to_next()
        if self._may_block and seconds != 0 and not self._stopping:
            _sleep(_NAP_SECONDS if seconds is None else min(seconds, _NAP_SECONDS))
        end = self.time() + self._clock_resolution
        while self._scheduled and self._scheduled[0]._when < end:
            handle = heapq.heappop(self._scheduled)
            handle._scheduled = False
            self._ready.append(handle)
        for _ in range(len(self._ready)):
            if not self._ready:
                break  # a callback ran the loop itself
            handle = self._ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _seconds_to_next(self) -> float | None:
        if self._timer_cancelled_count > _MAX_CANCELLED_TIMERS:
            for handle in self._scheduled:
                handle._scheduled = not handle._cancelled
            self._scheduled = [handle for handle in self._scheduled if not handle._cancelled]
            heapq.heapify(self._scheduled)
            self._timer_cancelled_count = 0
        while self._scheduled and self._scheduled[0]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(self._scheduled)._scheduled = False
        if self._ready:
            return 0
        if not self._scheduled:
            return None
        return max(0, self._scheduled[0]._when - self.time())

    def _write_to_self(self) -> None:
        """Nothing to wake: there are no threads."""

    def _process_events(self, event_list: object) -> None:
        """No files are watched."""


_Policy: Any = getattr(events, "_BaseDefaultEventLoopPolicy", None) or events.BaseDefaultEventLoopPolicy
_set_policy = getattr(events, "_set_event_loop_policy", None) or asyncio.set_event_loop_policy


class DrivenLoopPolicy(_Policy):
    """Gives such loops to whoever asks asyncio for one."""

    _loop_factory = DrivenLoop


def start_loop() -> DrivenLoop:
    """Makes the loop that operations run on, and such loops asyncio's own."""
    _set_policy(DrivenLoopPolicy())
    loop = DrivenLoop()
    asyncio.set_event_loop(loop)
    return loop


def call_outside(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Calls a plain function as if no loop was running, so that it may run one itself."""
    loop = events._get_running_loop()
    if loop is None:
        return function(*args, **kwargs)
    task = tasks.current_task(loop)
    thread_id = loop._thread_id
    if task is not None:
        tasks._leave_task(loop, task)
    events._set_running_loop(None)
    loop._thread_id = None
    asyncio.set_event_loop(loop)
    try:
        return function(*args, **kwargs)
    finally:
        loop._thread_id = thread_id
        events._set_running_loop(loop)
        if task is not None:
            tasks._enter_task(loop, task)


async def end_background(loop: DrivenLoop) -> None:
    """Cancels the tasks that user code left behind and closes its open async generators, as `asyncio.run()` does."""
    current = asyncio.current_task()
    left = [task for task in asyncio.all_tasks(loop) if task is not current]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    for task in left:
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": "unhandled exception while a task was ended", "exception": error, "task": task}
            loop.call_exception_handler(context)
    # Not shutdown_asyncgens(), after which the loop takes no more of them.
    await asyncio.gather(*(generator.aclose() for generator in list(loop._asyncgens)), return_exceptions=True)
