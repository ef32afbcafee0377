"""The ends that a stream can come to before its time; whichever it is, the service is free of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc

from conversations import (
    Conversation,
    ExecuteStream,
    NodeStream,
    ObjectStream,
    expect_nothing_left,
    package_of,
    sessions,
)
from harness import case, expect, expect_equal, rows
from service import Service, execution, expect_rpc_error, types

# Gives what it gets, and holds on to what nobody would wait for.
USER_CODE = package_of(
    """
export default class Holder {
  #timer: number | undefined;
  initialize() { this.#timer = setInterval(() => {}, 1_000); }
  process(item: unknown) { return item; }
  cleanup() { clearInterval(this.#timer); }
}
export async function* echo(items: AsyncIterable<unknown>) {
  for await (const item of items) yield item;
}
export async function* spin(items: AsyncIterable<unknown>) {
  for await (const item of items) {
    yield item;
    await new Promise((resolve) => setTimeout(resolve, 0)); // the output leaves
    for (;;);
  }
}
"""
)


def open_node(service: Service) -> Conversation:
    return NodeStream(service, "PassThroughNode")


def open_execute(service: Service) -> Conversation:
    stream = ExecuteStream(service, "PassThroughNode")
    stream.open()
    return stream


def open_class(service: Service) -> Conversation:
    stream = ExecuteStream(service, "custom", code_package=USER_CODE)
    stream.open()
    return stream


def open_generator(service: Service) -> Conversation:
    stream = ExecuteStream(service, "custom", code_package=USER_CODE, entry_point="main.ts:echo")
    stream.open()
    return stream


def open_object(service: Service) -> Conversation:
    return ObjectStream(service, code_package=USER_CODE)


STREAMS: list[tuple[str, Callable[[Service], Any]]] = [
    ("StreamNode", open_node),
    ("StreamExecute of a node", open_execute),
    ("StreamExecute of a class", open_class),
    ("StreamExecute of a generator", open_generator),
    ("StreamObject", open_object),
]


def expect_code(stream: Conversation, *codes: grpc.StatusCode) -> None:
    """Reads to the end, which is to be one of these."""
    try:
        for _ in stream.call:
            pass
    except grpc.RpcError:
        pass  # the code says it
    expect(stream.call.code() in codes, f"code is {stream.call.code()}: {stream.call.details()!r}")


@rows("{0}: cancelled when it has had an answer", STREAMS)
def cancel(service: Service, _: str, open: Callable[[Service], Any]) -> None:
    with open(service) as stream:
        stream.give(1)
        expect_equal(stream.output(), 1)
        expect_equal(len(sessions(service)), 1, "number of sessions")
        stream.call.cancel()
        expect_code(stream, grpc.StatusCode.CANCELLED)
    expect_nothing_left(service)


@rows("{0}: cancelled while inputs and outputs are on their way", STREAMS)
def cancel_busy(service: Service, _: str, open: Callable[[Service], Any]) -> None:
    with open(service) as stream:
        for _ in range(500):
            stream.give(b"x" * 10_000)
        stream.output()
        stream.call.cancel()
        expect_code(stream, grpc.StatusCode.CANCELLED)
    expect_nothing_left(service)


@rows("{0}: cancelled at once", STREAMS)
def cancel_at_once(service: Service, name: str, _: Any) -> None:
    kinds: dict[str, Callable[[], Conversation]] = {
        "StreamNode": lambda: NodeStream(service, "PassThroughNode"),
        "StreamExecute of a node": lambda: ExecuteStream(service, "PassThroughNode"),
        "StreamExecute of a class": lambda: ExecuteStream(service, "custom", code_package=USER_CODE),
        "StreamExecute of a generator": lambda: ExecuteStream(
            service, "custom", code_package=USER_CODE, entry_point="main.ts:echo"
        ),
        "StreamObject": lambda: ObjectStream(service, code_package=USER_CODE),
    }
    for _ in range(10):
        with kinds[name]() as stream:
            stream.call.cancel()
            expect_code(stream, grpc.StatusCode.CANCELLED)
    expect_nothing_left(service)


@rows("{0}: half-closed when it has had an answer", STREAMS)
def half_close(service: Service, _: str, open: Callable[[Service], Any]) -> None:
    with open(service) as stream:
        stream.give(1)
        expect_equal(stream.output(), 1)
        stream.half_close()
        expect_code(stream, grpc.StatusCode.OK)
    expect_nothing_left(service)


@rows("{0}: half-closed before its first answer gives all answers", STREAMS)
def half_close_early(service: Service, _: str, open: Callable[[Service], Any]) -> None:
    with open(service) as stream:
        for number in range(50):
            stream.give(number)
        stream.half_close()
        expect_equal([stream.output() for _ in range(50)], [*range(50)])
        expect_code(stream, grpc.StatusCode.OK)
    expect_nothing_left(service)


@rows("{0}: its channel is closed", STREAMS)
def closed_channel(service: Service, _: str, open: Callable[[Service], Any]) -> None:
    other = service.reconnect()
    with open(other) as stream:
        stream.give(1)
        expect_equal(stream.output(), 1)
        for _ in range(100):
            stream.give(b"x" * 10_000)
        other.close()
        expect_code(stream, grpc.StatusCode.CANCELLED)
    expect_nothing_left(service)


DEADLINE_SECONDS = 1.5


@rows("{0}: its deadline passes while it waits for an input", [
    ("StreamNode", lambda service: NodeStream(service, "PassThroughNode", timeout=DEADLINE_SECONDS)),
    ("StreamExecute of a node", lambda service: ExecuteStream(service, "PassThroughNode", timeout=DEADLINE_SECONDS)),
    (
        "StreamExecute of a class",
        lambda service: ExecuteStream(service, "custom", timeout=DEADLINE_SECONDS, code_package=USER_CODE),
    ),
])  # fmt: skip
def deadline(service: Service, name: str, start: Callable[[Service], Any]) -> None:
    with start(service) as stream:
        if name != "StreamNode":
            stream.open()
        stream.give(1)
        expect_equal(stream.output(), 1)
        expect_code(stream, grpc.StatusCode.DEADLINE_EXCEEDED)
    expect_nothing_left(service)


@case("user code that never comes back: the deadline, a cancel and a closed channel free its host")
def spinning(service: Service) -> None:
    endless = {"code_package": USER_CODE, "entry_point": "main.ts:spin"}
    with ExecuteStream(service, "custom", timeout=DEADLINE_SECONDS, **endless) as stream:
        stream.open()
        stream.give(1)
        expect_equal(stream.output(), 1)
        expect_code(stream, grpc.StatusCode.DEADLINE_EXCEEDED)
    expect_nothing_left(service)
    other = service.reconnect()
    for end in (lambda stream: stream.call.cancel(), lambda _: other.close()):
        with ExecuteStream(other, "custom", **endless) as stream:
            stream.open()
            stream.give(1)
            expect_equal(stream.output(), 1)
            end(stream)
            expect_code(stream, grpc.StatusCode.CANCELLED)
        expect_nothing_left(service)


@case("user code that never comes back: its time limit ends the stream, and says so")
def time_limit(service: Service) -> None:
    options = types.ExecutionOptions(timeout_seconds=1)
    endless = {"code_package": USER_CODE, "entry_point": "main.ts:spin", "options": options}
    with ExecuteStream(service, "custom", **endless) as stream:
        stream.open()
        stream.give(1)
        expect_equal(stream.output(), 1)
        error = stream.expect_error("timeout_seconds", "1 s")
        expect_equal(error.failure_reason, types.FAILURE_REASON_TIME_LIMIT, "failure_reason")
    expect_nothing_left(service)


@case("a client whose requests fail ends its stream, and nothing is left")
def failing_client(service: Service) -> None:
    def requests() -> Iterator[Any]:
        yield execution.StreamData(init=execution.StreamInit(node_type="PassThroughNode", serialization_format="json"))
        yield execution.StreamData(data=b"1")
        raise ValueError("the client's own fault")

    call = service.stub.StreamNode(requests(), timeout=30)
    expect_rpc_error(lambda: [*call], grpc.StatusCode.UNKNOWN)
    expect_nothing_left(service)
