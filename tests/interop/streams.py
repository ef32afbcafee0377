"""StreamNode and StreamExecute of nodes: what comes out, in which order, and what it costs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from arrays import FORMS, Form
from conversations import (
    FORMATS,
    Conversation,
    ExecuteStream,
    NodeStream,
    expect_nothing_left,
    sessions,
)
from harness import case, expect, expect_equal, rows
from same import expect_same
from service import Service, encode

# What a value is after a journey as JSON.
VALUES: list[Any] = [1, 1.0, -0.0, True, "ü\n\x00", [], {}, {"a": [1, {"b": None}]}, 2**70, "x" * 70_000]
PICKLED: list[Any] = [(1, (2,)), b"\x00\xff", {1: "a", (2, 3): b"b"}, {1, 2}, 1j, np.arange(6).reshape(2, 3)]


def run_node(service: Service, node: str, config: dict[str, str], format: str, values: list[Any]) -> list[Any]:
    """All outputs of a StreamNode that gets these values."""
    with NodeStream(service, node, config, format) as stream:
        for value in values:
            stream.give(value)
        stream.half_close()
        return stream.rest()


def run_execute(service: Service, node: str, config: dict[str, str], format: str, values: list[Any]) -> list[Any]:
    """All outputs of a StreamExecute that gets these values."""
    with ExecuteStream(service, node, config, format) as stream:
        stream.open()
        for value in values:
            stream.give(value)
        stream.close()
        return stream.rest()[0]


CALLS = [("StreamNode", run_node), ("StreamExecute", run_execute)]
CALLS_AND_FORMATS = [(name, format, run) for (name, run), (format,) in itertools.product(CALLS, FORMATS)]
CALLS_AND_FORMS = [(name, form, run) for (name, run), form in itertools.product(CALLS, FORMS)]


@rows("{0}: every value comes back the same, in order ({1})", CALLS_AND_FORMATS)
def values(service: Service, _: str, format: str, run: Any) -> None:
    given = [*VALUES, *PICKLED] if format == "pickle" else VALUES
    expect_same(run(service, "PassThroughNode", {}, format, given), given)


@rows("{0}: 2,000 inputs give 2,000 outputs in their order ({1})", CALLS_AND_FORMATS)
def order(service: Service, _: str, format: str, run: Any) -> None:
    given = [{"number": number, "padding": "x" * (number % 300)} for number in range(2_000)]
    expect_equal(run(service, "PassThroughNode", {}, format, given), given)


@rows("{0}: None gives no output, as at any node that is asked item by item ({1})", CALLS_AND_FORMATS)
def nothing(service: Service, _: str, format: str, run: Any) -> None:
    expect_same(run(service, "PassThroughNode", {}, format, [None, 0, None, "", None]), [0, ""])


@rows("{0}: StatefulCounter counts over the stream, and anew in the next ({1})", CALLS_AND_FORMATS)
def state(service: Service, _: str, format: str, run: Any) -> None:
    kind = tuple if format == "pickle" else list
    for _ in range(2):
        outputs = run(service, "StatefulCounter", {"initial_value": "5"}, format, ["x"] * 4)
        expect_same(outputs, [kind([5]), kind([6]), kind([7]), kind([8])])


@rows("{0}: BufferNode gives full lists, and at the end the rest ({1})", CALLS_AND_FORMATS)
def flush(service: Service, _: str, format: str, run: Any) -> None:
    config = {"buffer_size": "3"}
    expect_same(run(service, "BufferNode", config, format, [*range(7)]), [[0, 1, 2], [3, 4, 5], [6]])
    expect_same(run(service, "BufferNode", config, format, [*range(6)]), [[0, 1, 2], [3, 4, 5]])
    expect_same(run(service, "BufferNode", config, format, []), [])


@rows("{0}: AudioBuffer gives none, one or many for an input, by its samples alone ({1[0]})", CALLS_AND_FORMS)
def many(service: Service, _: str, form: Form, run: Any) -> None:
    _, format, send, read = form
    lengths = [3, 3, 1, 0, 20, 9]
    samples = np.arange(sum(lengths), dtype=np.float32)[np.newaxis]
    parts = np.split(samples, np.cumsum(lengths)[:-1], axis=1)
    given = [(send(part), 8_000) for part in parts if part.size > 0]
    outputs = run(service, "AudioBuffer", {"buffer_size_samples": "5"}, format, given)
    expect_equal([rate for _, rate in outputs], [8_000] * 8, "rates")
    chunks = [read(chunk) for chunk, _ in outputs]
    expect_equal([chunk.shape for chunk in chunks], [(1, 5)] * 7 + [(1, 1)], "shapes")
    expect_equal(np.concatenate(chunks, axis=1).tolist(), samples.tolist(), "samples")


@rows("{0}: an output comes when its input was given, not when the stream ends ({1})", CALLS_AND_FORMATS)
def interactive(service: Service, name: str, format: str, _: Any) -> None:
    kind = NodeStream if name == "StreamNode" else ExecuteStream
    with kind(service, "BufferNode", {"buffer_size": "2"}, format) as stream:
        if name == "StreamExecute":
            stream.open()
        for number in range(0, 40, 2):
            stream.give(number)
            stream.give(number + 1)
            expect_same(stream.output(), [number, number + 1])


@rows("StreamExecute: each output has its metrics, and close their totals ({0})", FORMATS)
def metrics(service: Service, format: str) -> None:
    with ExecuteStream(service, "PassThroughNode", {}, format) as stream:
        stream.open()
        sizes = []
        last = 0
        for length in (1, 1_000, 100_000):
            data = encode("x" * length, format)
            stream.give_bytes(data)
            answer = stream.expect_next("data")
            measured = answer.metrics
            expect_equal(
                (measured.input_size_bytes, measured.output_size_bytes), (len(data), len(answer.output_data)), "sizes"
            )
            expect(last <= measured.start_timestamp <= measured.end_timestamp, f"times after {last}: {measured}")
            expect(measured.sandbox_id, f"no sandbox: {measured}")
            last = measured.start_timestamp
            sizes.append((len(data), len(answer.output_data)))
        stream.close()
        outputs, closed = stream.rest()
        expect_equal((outputs, closed.session_id), ([], stream.session_id), "outputs and session")
        total = closed.total_metrics
        expect_equal((total.input_size_bytes, total.output_size_bytes), tuple(map(sum, zip(*sizes))), "total sizes")
        expect(total.start_timestamp <= last <= total.end_timestamp, f"{last} is outside of {total}")
    expect_nothing_left(service)


@case("StreamExecute: a half-close flushes and closes as a close does")
def half_close(service: Service) -> None:
    with ExecuteStream(service, "BufferNode", {"buffer_size": "2"}) as stream:
        stream.open()
        for number in range(3):
            stream.give(number)
        stream.half_close()
        outputs, closed = stream.rest()
        expect_same(outputs, [[0, 1], [2]])
        expect(closed.total_metrics.input_size_bytes > 0, f"no totals: {closed}")
    expect_nothing_left(service)


@case("StreamExecute: the format of the first input holds for all")
def first_format(service: Service) -> None:
    with ExecuteStream(service, "PassThroughNode", {}, "json") as stream:
        stream.open()
        stream.give(1)
        stream.give_bytes(b"[2]", "pickle")
        stream.give_bytes(b"[3]", "")
        stream.close()
        expect_same(stream.rest()[0], [1, [2], [3]])


@case("StreamExecute: no format is pickle")
def no_format(service: Service) -> None:
    with ExecuteStream(service, "PassThroughNode") as stream:
        stream.open()
        stream.give_bytes(encode((1, b"2")), "")
        expect_same(stream.output(), (1, b"2"))


@case("GetStatus lists what is open: the node, the times, the inputs so far")
def listed(service: Service) -> None:
    with NodeStream(service, "StatefulCounter") as node, ExecuteStream(service, "PassThroughNode") as execute:
        execute.open()
        for number in range(3):
            node.give("x")
            expect_same(node.output(), (number,))
        by_node = {session.node_type: session for session in sessions(service)}
        expect_equal({*by_node}, {"StatefulCounter", "PassThroughNode"}, "nodes")
        expect_equal(by_node["PassThroughNode"].session_id, execute.session_id, "session_id")
        counter = by_node["StatefulCounter"]
        expect_equal(counter.processed_items, 3, "processed_items")
        expect(0 < counter.created_timestamp <= counter.last_activity, f"times of {counter}")
        expect_equal(service.status().metrics.active_sessions, 2, "active_sessions")
    expect_nothing_left(service)


@case("100 streams at once on one channel: each has its own state and its own answers")
def at_once(service: Service) -> None:
    streams = [NodeStream(service, "StatefulCounter", {"initial_value": str(mark * 100)}) for mark in range(100)]
    try:
        for number in range(10):
            for stream in streams:
                stream.give("x")
            for mark, stream in enumerate(streams):
                expect_same(stream.output(), (mark * 100 + number,))
        for stream in streams:
            stream.half_close()
        for stream in streams:
            expect_equal(stream.rest(), [], "outputs after the end")
    finally:
        for stream in streams:
            Conversation.__exit__(stream)
    expect_nothing_left(service)
