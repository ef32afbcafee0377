"""Streams and objects as a client with the SDK's habits has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import numpy as np

from conversations import FORMATS, expect_nothing_left, package_of
from harness import case, expect, expect_equal, rows
from same import expect_same
from sdk_client import SdkLikeClient, with_client
from service import Service, execution


async def each(values: Iterable[Any]) -> AsyncIterator[Any]:
    """The values as the stream that the SDK's methods take."""
    for value in values:
        yield value


@rows("stream_node: outputs come in order, the buffer's rest at the end ({0})", FORMATS)
def streams(service: Service, format: str) -> None:
    async def use(client: SdkLikeClient) -> None:
        config = {"buffer_size": 3, "name": None}
        outputs = [output async for output in client.stream_node("BufferNode", config, each(range(1_000)), format)]
        expect_equal(outputs, [[*range(start, min(start + 3, 1_000))] for start in range(0, 1_000, 3)])

    with_client(service, use)
    expect_nothing_left(service)


@case("stream_node: an output is there before the next input is asked for")
def streams_in_step(service: Service) -> None:
    async def use(client: SdkLikeClient) -> None:
        answered: asyncio.Queue[Any] = asyncio.Queue()

        async def inputs() -> AsyncIterator[Any]:
            for number in range(50):
                yield (np.full((1, 480), number, np.float32), 24_000)
                samples, rate = await answered.get()
                expect_equal((samples.shape, samples[0, 0], rate), ((1, 480), number, 24_000))

        async for output in client.stream_node("PassThroughNode", {}, inputs()):
            answered.put_nowait(output)
        expect(answered.empty(), "an output came too many")

    with_client(service, use)
    expect_nothing_left(service)


@case("stream_node: an error is raised after the outputs before it, and the channel goes on")
def stream_fails(service: Service) -> None:
    async def use(client: SdkLikeClient) -> None:
        config = {"operations": [{"op": "map", "fields": {"b": "6 / a"}}]}
        outputs = []
        try:
            async for output in client.stream_node("DataTransform", config, each([[{"a": 1}], [{"a": 0}], [{"a": 2}]])):
                outputs.append(output)
        except RuntimeError as error:
            expect("Remote stream error: Node execution failed: " in str(error), str(error))
        else:
            raise AssertionError("dividing by zero gave no error")
        expect_equal(outputs, [[{"a": 1, "b": 6.0}]], "outputs before it")
        try:
            async for _ in client.stream_node("NoSuchNode", {}, each([1])):
                pass
        except RuntimeError as error:
            expect("Unknown node type: NoSuchNode" in str(error), str(error))
        else:
            raise AssertionError("an unknown node ran")
        expect_equal(await client.execute_node("PassThroughNode", {}, 1), 1)

    with_client(service, use)
    expect_nothing_left(service)


@case("stream_node: a client that breaks off leaves nothing behind")
def breaks_off(service: Service) -> None:
    async def use(client: SdkLikeClient) -> None:
        for _ in range(5):
            outputs = client.stream_node("StatefulCounter", {}, each(["x"] * 1_000))
            async for output in outputs:
                if output == (2,):
                    break
            await outputs.aclose()
        expect_equal(await client.execute_node("PassThroughNode", {}, 1), 1)

    with_client(service, use)
    expect_nothing_left(service)


@case("stream_node: 50 streams at once on its one channel")
def many_streams(service: Service) -> None:
    async def use(client: SdkLikeClient) -> None:
        async def count(mark: int) -> list[Any]:
            config = {"initial_value": mark}
            return [output async for output in client.stream_node("StatefulCounter", config, each(["x"] * 20))]

        answers = await asyncio.gather(*[count(mark * 1_000) for mark in range(50)])
        expect_equal(answers, [[(mark * 1_000 + number,) for number in range(20)] for mark in range(50)])

    with_client(service, use)
    expect_nothing_left(service)


COUNTER = package_of(
    """
export default class Counter {
  #value = 0;
  add(amount: number) { this.#value += amount; return this.#value; }
  process(amount: number) { return this.add(amount); }
  fails() { throw new Error("not that"); }
}
"""
)


@rows("execute_object_method and stream_object: one object in one session ({0})", FORMATS)
def objects(service: Service, format: str) -> None:
    async def use(client: SdkLikeClient) -> None:
        first = await client.execute_object_method(COUNTER, "add", [5], format)
        session_id = first["session_id"]
        expect_same(first["result"], 5)
        second = await client.execute_object_method(b"", "add", [2], format, session_id)
        expect_same(second, {"result": 7, "session_id": session_id})
        streamed = [output async for output in client.stream_object(each([1, 1]), format, session_id=session_id)]
        expect_same(streamed, [8, 9])
        own = [output async for output in client.stream_object(each([1, 1]), format, code_package=COUNTER)]
        expect_same(own, [1, 2])
        for method, text in (("fails", "not that"), ("_add", "no such public method")):
            try:
                await client.execute_object_method(b"", method, [], format, session_id)
            except RuntimeError as error:
                expect(text in error.args[0], error.args[0])
            else:
                raise AssertionError(f"{method} gave no error")
        third = await client.execute_object_method(b"", "add", [1], format, session_id)
        expect_same(third["result"], 10)
        close = execution.ExecuteObjectMethodRequest(session_id=session_id, close=True)
        await client.stub.ExecuteObjectMethod(close)
        try:
            await client.execute_object_method(b"", "add", [1], format, session_id)
        except RuntimeError as error:
            expect(error.args[0].startswith("Session not found"), error.args[0])
        else:
            raise AssertionError("a closed session answered")

    with_client(service, use)
    expect_nothing_left(service)
