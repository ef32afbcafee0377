"""Calls user code and takes what it gives: a value, an awaitable, a generator."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

from .failures import UserFailure
from .loop import call_outside

_END = object()


def guard(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls a plain function of the user's. Raises :class:`UserFailure`."""
    try:
        return call_outside(function, *args, **kwargs)
    except BaseException as error:
        raise UserFailure(error) from None


async def settle(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls a function of the user's and awaits what it gives. Raises :class:`UserFailure`."""
    try:
        value = call_outside(function, *args, **kwargs)
        return await value if inspect.isawaitable(value) else value
    except BaseException as error:
        raise UserFailure(error) from None


def is_iterator(value: Any) -> bool:
    """Whether this gives items one by one, as generators do."""
    return isinstance(value, (Iterator, AsyncIterator))


async def items_of(iterator: Any) -> AsyncGenerator[Any, None]:
    """The items of an iterator, plain or async; left early, it is closed. Raises :class:`UserFailure`."""
    is_async = isinstance(iterator, AsyncIterator)
    try:
        while True:
            try:
                item = await anext(iterator, _END) if is_async else call_outside(next, iterator, _END)
            except BaseException as error:
                raise UserFailure(error) from None
            if item is _END:
                return
            yield item
    finally:
        await close_iterator(iterator)


async def close_iterator(iterator: Any) -> None:
    """Ends a generator where it stands. Raises :class:`UserFailure`."""
    close = getattr(iterator, "aclose" if isinstance(iterator, AsyncIterator) else "close", None)
    if inspect.isgenerator(iterator) or inspect.isasyncgen(iterator):
        await settle(close)


async def collect(value: Any) -> Any:
    """The items of an iterator as a list; anything else as it is. Raises :class:`UserFailure`."""
    if not is_iterator(value):
        return value
    async with aclosing(items_of(value)) as items:
        return [item async for item in items]


async def first_of(value: Any) -> Any:
    """The first item of an iterator, None where there is none; anything else as it is. Raises :class:`UserFailure`."""
    if not is_iterator(value):
        return value
    async with aclosing(items_of(value)) as items:
        return await anext(items, None)
