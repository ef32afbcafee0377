"""What user code is when it is streamed to, or called as an object that lives on between calls."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from types import ModuleType
from typing import Any

from .failures import Invalid, UserFailure, name_of
from .user_calls import first_of, guard, is_iterator, items_of, settle
from .user_methods import find_method, is_async_generator, list_methods
from .user_stream import StreamRun

_ALLOWED = {
    "stream": "allowed are a class or object with a method process, an async generator function, and a function",
    "object": "allowed are a class and an object",
}


class UserObject:
    """A class (constructed with the config), an instance, or in mode `stream` a function of the user's.

    One thing at a time is to be asked of it, except :meth:`cleanup`, which may come at any time. All methods raise
    :class:`UserFailure` for what user code raises, and :class:`Invalid` for what it does not offer.
    """

    def __init__(self, name: str, mode: str) -> None:
        self._name = name
        self._mode = mode
        self._object: Any = None
        self._is_function = False
        self._processor: Callable[[Any], Any] | None = None
        self._is_streaming = False
        self._run: StreamRun | None = None
        self._cleaned = False

    @classmethod
    async def create(cls, loaded: Any, config: dict[str, Any], *, name: str, mode: str) -> UserObject:
        """Makes the object and runs its `initialize()`; when that fails, its `cleanup()` too."""
        made = cls(name, mode)
        if inspect.isroutine(loaded):
            if mode == "object":
                raise Invalid(f'Cannot run "{name}": it is a function; {_ALLOWED[mode]}')
            made._is_function = True
            made._processor, made._is_streaming = loaded, is_async_generator(loaded)
            return made
        if isinstance(loaded, ModuleType) or not isinstance(loaded, type) and type(loaded).__module__ == "builtins":
            raise Invalid(f'Cannot run "{name}": it is {_kind_of(loaded)}; {_ALLOWED[mode]}')
        made._object = guard(_construct, loaded, config) if isinstance(loaded, type) else loaded
        made._processor = find_method(made._object, "process")
        if made._processor is not None:
            declared = guard(getattr, made._object, "is_streaming", None)
            made._is_streaming = is_async_generator(made._processor) and declared is not False
        elif mode == "stream":
            kind = f"{'a class' if isinstance(loaded, type) else 'an object'} without a public method process"
            raise Invalid(f'Cannot run "{name}": it is {kind}; {list_methods(made._object)}; {_ALLOWED[mode]}')
        try:
            await made._invoke("initialize")
        except UserFailure as failure:
            try:
                await made.cleanup()
            except UserFailure:
                pass  # what failed first is what the caller needs to know
            raise failure
        return made

    async def process(self, item: Any) -> AsyncGenerator[Any, None]:
        """The outputs of one more input: zero to many. None gives none, each item of a generator one."""
        processor = self._processor
        if self._cleaned or processor is None:
            raise self._refusal("process")
        if self._is_streaming:
            self._run = self._run or StreamRun(processor)
            outputs = self._run.process(item)
        else:
            outputs = _outputs_of(processor, item)
        async with aclosing(outputs):
            async for output in outputs:
                yield output

    async def flush(self) -> AsyncGenerator[Any, None]:
        """Ends the input, and gives what is left. A further input would begin a new run over a stream of its own."""
        if self._cleaned:
            raise self._refusal("flush")
        if self._is_streaming and self._processor is not None:
            self._run = self._run or StreamRun(self._processor)
            async with aclosing(self._run.flush()) as outputs:
                async for output in outputs:
                    yield output
            self._run = None
        method = self._method("flush")
        if method is not None:
            async with aclosing(_outputs_of(method)) as outputs:
                async for output in outputs:
                    yield output

    async def call(self, method: str, args: list[Any] | tuple[Any, ...]) -> Any:
        """Calls a public method. The first item of a generator is its result, and the generator is ended then."""
        found = self._method(method)
        if self._cleaned:
            raise self._refusal(method)
        if method == "initialize" and not self._is_function:
            return None  # it ran when the object was made; the SDK asks for it all the same
        if found is None:
            raise self._refusal(method)
        if method == "cleanup":
            await self.cleanup()
            return None
        if method == "process" and self._is_streaming:
            args = [_stream_of(args)]
        return await first_of(await settle(found, *args))

    async def cleanup(self) -> None:
        """Ends what runs, waiting for it, then calls `cleanup()` whatever happened before. Only the first call does."""
        if self._cleaned:
            return
        self._cleaned = True
        failure: UserFailure | None = None
        try:
            if self._run is not None:
                await self._run.close()
        except UserFailure as error:
            failure = error
        try:
            await self._invoke("cleanup")
        except UserFailure as error:
            failure = failure or error
        if failure is not None:
            raise failure

    def _method(self, name: str) -> Callable[..., Any] | None:
        return None if self._is_function else find_method(self._object, name)

    async def _invoke(self, name: str) -> None:
        found = self._method(name)
        if found is not None:
            await settle(found)

    def _refusal(self, method: str) -> Invalid:
        shown = f'Cannot call "{method[:200]}" of "{self._name}"'
        if self._cleaned:
            return Invalid(f"{shown}: it has been cleaned up")
        there = "it is a function" if self._is_function else list_methods(self._object)
        return Invalid(f"{shown}: it has no such public method; {there}")


def _construct(kind: type, config: dict[str, Any]) -> Any:
    """Makes an instance with the parameters that it takes; all, where it takes any."""
    try:
        parameters = inspect.signature(kind).parameters.values()
    except (TypeError, ValueError):
        return kind()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return kind(**config)
    keywords = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return kind(**{name: value for name, value in config.items() if name in keywords})


async def _outputs_of(function: Callable[..., Any], *args: Any) -> AsyncGenerator[Any, None]:
    value = await settle(function, *args)
    if value is None:
        return
    if not is_iterator(value):
        yield value
        return
    async with aclosing(items_of(value)) as items:
        async for item in items:
            yield item


async def _stream_of(args: list[Any] | tuple[Any, ...]) -> AsyncGenerator[Any, None]:
    """Arguments of one call as a stream of inputs."""
    for arg in args:
        yield arg


def _kind_of(value: Any) -> str:
    if value is None:
        return "None"
    name = name_of(type(value))
    return f"{'an' if name[:1] in 'aeiou' else 'a'} {name}"
