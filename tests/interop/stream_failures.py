"""StreamNode and StreamExecute of nodes: what comes when the node, an input or the conversation itself is wrong."""

from __future__ import annotations

from typing import Any

import grpc

from conversations import FORMATS, ExecuteStream, NodeStream, expect_nothing_left
from harness import case, expect, expect_equal, rows
from same import expect_same
from service import ERROR, Service, execution, expect_rpc_error, types

DIVIDES_BY = {"operations": '[{"op": "map", "fields": {"b": "6 / a"}}]'}


@rows("StreamNode: what a node throws is the last that comes, after all outputs before it ({0})", FORMATS)
def node_fails(service: Service, format: str) -> None:
    with NodeStream(service, "DataTransform", DIVIDES_BY, format) as stream:
        for value in (1, 2, 0, 3):
            stream.give([{"a": value}])
        expect_same([stream.output(), stream.output()], [[{"a": 1, "b": 6.0}], [{"a": 2, "b": 3.0}]])
        stream.expect_error("Node execution failed: ", "zero")
    expect_nothing_left(service)


@rows("StreamExecute: what a node throws is the last that comes, with its traceback ({0})", FORMATS)
def execute_fails(service: Service, format: str) -> None:
    with ExecuteStream(service, "DataTransform", DIVIDES_BY, format) as stream:
        stream.open()
        for value in (1, 2, 0, 3):
            stream.give([{"a": value}])
        expect_same([stream.output(), stream.output()], [[{"a": 1, "b": 6.0}], [{"a": 2, "b": 3.0}]])
        error = stream.expect_error("Node execution failed: ", "zero")
        expect("at " in error.error_traceback, f"no frames: {error.error_traceback!r}")
        expect_equal(error.failure_reason, types.FAILURE_REASON_EXCEPTION, "failure_reason")
    expect_nothing_left(service)


BAD_INITS = [
    ("an unknown node", "NoSuchNode", {}, ("Unknown node type: NoSuchNode", "PassThroughNode", "CalculatorNode")),
    ("a bad parameter", "BufferNode", {"buffer_size": "0"}, ("buffer_size", "0")),
    ("a parameter of another kind", "StatefulCounter", {"initial_value": "[]"}, ("initial_value",)),
    ("a parameter that is missing", "AudioBuffer", {}, ("buffer_size_samples", "required")),
]


@rows("StreamNode: {0} is told, and ends the stream", BAD_INITS)
def node_refused(service: Service, _: str, node: str, config: dict[str, str], texts: tuple[str, ...]) -> None:
    with NodeStream(service, node, config) as stream:
        message = stream.expect_error(*texts)
        expect(not texts[0].startswith("Unknown") or message.startswith(texts[0]), message)
    expect_nothing_left(service)


@rows("StreamExecute: {0} is the answer to init, and ends the stream", BAD_INITS)
def execute_refused(service: Service, _: str, node: str, config: dict[str, str], texts: tuple[str, ...]) -> None:
    with ExecuteStream(service, node, config) as stream:
        stream.expect_refused(ERROR, *texts)
    expect_nothing_left(service)


BAD_INPUTS = [
    ("a pickle that is cut off", "pickle", b"\x80\x04K", ()),
    ("a pickle that would call a function", "pickle", b"cos\nsystem\n.", ("os.system",)),
    ("no JSON", "json", b"{", ()),
    ("a format that is none", "xml", b"1", ("xml", "json", "pickle", "raw")),
]


@rows("StreamNode: {0} ends the stream", BAD_INPUTS)
def node_bad_input(service: Service, _: str, format: str, data: bytes, texts: tuple[str, ...]) -> None:
    with NodeStream(service, "PassThroughNode", {}, format) as stream:
        stream.give_bytes(data)
        stream.expect_error(*texts)
    expect_nothing_left(service)


@rows("StreamExecute: {0} ends the stream", BAD_INPUTS)
def execute_bad_input(service: Service, _: str, format: str, data: bytes, texts: tuple[str, ...]) -> None:
    with ExecuteStream(service, "PassThroughNode", {}, format) as stream:
        stream.open()
        stream.give_bytes(data)
        stream.expect_error(*texts)
    expect_nothing_left(service)


DATA = {"session_id": "x", "input_data": b"1"}
NO_INITS = [
    ("StreamNode", "data", [execution.StreamData(data=b"1")]),
    ("StreamNode", "a message that carries nothing", [execution.StreamData()]),
    ("StreamNode", "no message", []),
    ("StreamExecute", "data", [execution.StreamExecuteRequest(data=execution.StreamDataRequest(**DATA))]),
    ("StreamExecute", "close", [execution.StreamExecuteRequest(close=execution.StreamCloseRequest(session_id="x"))]),
    ("StreamExecute", "a message that carries nothing", [execution.StreamExecuteRequest()]),
    ("StreamExecute", "no message", []),
    ("StreamObject", "data", [execution.StreamObjectRequest(data=b"1")]),
    ("StreamObject", "a message that carries nothing", [execution.StreamObjectRequest()]),
    ("StreamObject", "no message", []),
]


@rows("{0} that opens with {1} instead of init is INVALID_ARGUMENT", NO_INITS)
def no_init(service: Service, method: str, _: str, messages: list[Any]) -> None:
    call = getattr(service.stub, method)
    expect_rpc_error(lambda: [*call(iter(messages), timeout=30)], grpc.StatusCode.INVALID_ARGUMENT, method, "init")
    expect_nothing_left(service)


@case("StreamNode: a second init is INVALID_ARGUMENT")
def second_init(service: Service) -> None:
    init = execution.StreamData(init=execution.StreamInit(node_type="PassThroughNode"))
    call = service.stub.StreamNode(iter([init, init]), timeout=30)
    expect_rpc_error(lambda: [*call], grpc.StatusCode.INVALID_ARGUMENT, "StreamNode", "init")
    expect_nothing_left(service)


@case("StreamExecute: data and close of another session are INVALID_ARGUMENT")
def other_session(service: Service) -> None:
    for act in (lambda stream: stream.give(1), lambda stream: stream.close()):
        with ExecuteStream(service, "PassThroughNode") as stream:
            stream.open()
            stream.session_id = "another"
            act(stream)
            expect_rpc_error(stream.next, grpc.StatusCode.INVALID_ARGUMENT, "another")
    expect_nothing_left(service)


@case("StreamExecute: a limit above the policy's ceiling is PERMISSION_DENIED, with the ceiling")
def above_ceiling(service: Service) -> None:
    with ExecuteStream(service, "PassThroughNode", options=types.ExecutionOptions(timeout_seconds=301)) as stream:
        expect_rpc_error(stream.next, grpc.StatusCode.PERMISSION_DENIED, "timeout_seconds", "300", "301")
    expect_nothing_left(service)
