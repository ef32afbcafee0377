"""StreamObject with the client's own Python classes: an accumulator, effects on audio, and nodes of the SDK."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np

from accounts import expect_answer
from conversations import FORMATS, ObjectStream, expect_nothing_left
from harness import case, expect_equal, rows
from python_client import RemoteObject, client_modules, package
from same import expect_same
from service import SUCCESS, Service


def make_accumulator() -> Any:
    class Accumulator:
        """Gives the sum so far for each input, nothing for None, and its own state at the end."""

        def __init__(self) -> None:
            self.total: float = 0
            self.flushes = 0

        def process(self, item: Any) -> Any:
            if item is None:
                return None
            if item == "all":
                return (self.total, self.flushes)
            self.total += item
            return self.total

        async def flush(self) -> Any:
            self.flushes += 1
            return {"total": self.total}

        def cleanup(self) -> None:
            print("accumulated", self.total)

    return Accumulator()


ACCUMULATOR = package(make_accumulator())


@case("an accumulator sums up its own stream: an output for each input, none for None, and what is left at the end")
def accumulates(service: Service) -> None:
    with ObjectStream(service, code_package=ACCUMULATOR) as stream:
        for number, total in ((1, 1), (2, 3), (0.5, 3.5)):
            stream.give(number)
            expect_same(stream.output(), total)
        for item in (None, 2**70, "all"):
            stream.give(item)
        stream.half_close()
        expect_same(stream.rest(), [2.0**70, (2.0**70, 0), {"total": 2.0**70}])
    expect_nothing_left(service)


@case("an accumulator of a session outlives its streams, and what it raises ends the stream alone")
def outlives(service: Service) -> None:
    with RemoteObject(service, ACCUMULATOR) as remote:
        for format, flushes in (("pickle", 0), ("json", 1)):
            with ObjectStream(service, format, session_id=remote.id) as stream:
                for item in (1, 2, None, 3, "all"):
                    stream.give(item)
                stream.half_close()
                total = 6 * (flushes + 1)
                state = [total, flushes] if format == "json" else (total, flushes)
                expect_same(stream.rest(), [total - 5, total - 3, total, state, {"total": total}])
        with ObjectStream(service, session_id=remote.id) as stream:
            stream.give(1)
            expect_same(stream.output(), 13)
            stream.give("x")
            stream.expect_error("TypeError: unsupported operand type(s) for +=: 'int' and 'str'")
        expect_same(remote.result("process", "all"), (13, 2))
        expect_equal(remote.close().stdout, "accumulated 13\n", "console")
    expect_nothing_left(service)


def make_echo() -> Any:
    class Echo:
        """An effect on audio `(samples, rate)`: each chunk with half of the one before mixed in, then the tail."""

        def __init__(self, share: float) -> None:
            self.share = share

        async def process(self, chunks: Any) -> Any:
            last = None
            async for samples, rate in chunks:
                dry = array("f", samples.tobytes())
                wet = array("f", dry)
                if last is not None:
                    for at, sample in enumerate(last):
                        wet[at] += self.share * sample
                # What numpy's own arrays are made with.
                yield type(samples)(samples.shape, samples.dtype, wet.tobytes()), rate
                last, kind, shape, dtype = dry, type(samples), samples.shape, samples.dtype
            if last is not None:
                tail = array("f", [self.share * sample for sample in last])
                yield kind(shape, dtype, tail.tobytes()), rate

    return Echo(0.5)


@case("an effect that is an async generator takes numpy's arrays and gives numpy's: dtype, shape and values equal")
def effect(service: Service) -> None:
    chunks = [np.sin(np.arange(960, dtype=np.float32) + at).reshape(2, 480) for at in range(5)]
    silence = np.zeros_like(chunks[0])
    half = np.float32(0.5)
    with ObjectStream(service, code_package=package(make_echo())) as stream:
        for last, chunk in zip([silence, *chunks], chunks):
            stream.give((chunk, 48_000))
            samples, rate = stream.output()
            expect_same((samples, rate), (chunk + half * last, 48_000))
        stream.half_close()
        expect_same(stream.rest(), [(half * chunks[-1], 48_000)])
    expect_nothing_left(service)


NODE_MODULES = {
    "gain/__init__.py": "from .nodes import Gain\n",
    "gain/nodes.py": '''from remotemedia.core.exceptions import NodeError
from remotemedia.core.node import Node

from .scale import scaled


class Gain(Node):
    """Multiplies, and counts what it has seen."""

    def __init__(self, factor=2, **config):
        super().__init__(**config)
        self.factor = factor
        self.count = 0

    async def initialize(self):
        await super().initialize()
        self.count = 100

    def process(self, data):
        if data == "fail":
            raise NodeError("no gain")
        self.count += 1
        return scaled(data, self.factor)

    async def flush(self):
        return [self.name, self.is_initialized, self.count]
''',
    "gain/scale.py": "def scaled(data, factor):\n    return data * factor\n",
}


@rows("a node of the SDK by reference, with its base class and local modules ({0})", FORMATS)
def node(service: Service, format: str) -> None:
    with client_modules(NODE_MODULES):
        from gain import Gain  # type: ignore[import-not-found]

        content = package(Gain(3, name="louder"), modules=NODE_MODULES)
    with ObjectStream(service, format, code_package=content) as stream:
        for item in (2, "ab"):
            stream.give(item)
        stream.half_close()
        expect_same(stream.rest(), [6, "ababab", ["louder", True, 102]])
    expect_nothing_left(service)


@case("a node of the SDK by value: what it has of its base class is there, and its exceptions are told")
def node_by_value(service: Service) -> None:
    from remotemedia.core.exceptions import NodeError  # type: ignore[import-not-found]
    from remotemedia.core.node import Node  # type: ignore[import-not-found]

    class Doubler(Node):
        def process(self, data: Any) -> Any:
            if data is None:
                raise NodeError("nothing to double")
            return (data, data)

        async def sum_of(self, session: str, number: int) -> int:
            state = await self.get_session_state(session)
            state.set("sum", state.get("sum", 0) + number)
            return state.get("sum")

    with RemoteObject(service, package(Doubler(name="twice", gain=2))) as remote:
        expect_same(remote.result("process", 1), (1, 1))
        expect_same(remote.result("get_config"), {"name": "twice", "class": "Doubler", "config": {"gain": 2}})
        expect_same([remote.result("sum_of", "one", 1), remote.result("sum_of", "two", 5)], [1, 5])
        expect_same(remote.result("sum_of", "one", 1), 2)
        response = remote.call("process", None)
        expect_equal(response.error_message.split(": ", 1)[1], "nothing to double", "message")
        expect_same(remote.result("split_data_metadata", (1, {"session_id": "x"})), (1, {"session_id": "x"}))
        expect_answer(remote.call("cleanup"), SUCCESS)
    expect_nothing_left(service)
