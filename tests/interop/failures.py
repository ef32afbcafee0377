"""What a caller hears when a request is wrong, or its node fails."""

from __future__ import annotations

import re

import grpc
import numpy as np

from harness import case, expect, rows
from service import (
    ERROR,
    Service,
    encode,
    execution,
    expect_failure,
    expect_rpc_error,
    request,
    types,
)

# What would tell a caller where the service is installed.
HOST_PATH = re.compile(r"file://|/(?:home|root|work|tmp|usr|opt|var|app|dist|src)/")


@rows("an unknown node: {0!r}", [("NoSuchNode",), ("",), ("passthroughnode",), ("../PassThroughNode",), ("__proto__",)])
def unknown_node(service: Service, node: str) -> None:
    response = service.run(node, 1)
    expect_failure(response, ERROR, f"Unknown node type: {node}", "PassThroughNode", "CalculatorNode", "VideoBuffer")
    expect(response.error_message.startswith("Unknown node type: "), response.error_message)


@case("an unknown node is named as far as one can read it")
def long_unknown_node(service: Service) -> None:
    response = service.run("N" * 100_000, 1)
    expect_failure(response, ERROR, "Unknown node type: NNNN")
    expect(len(response.error_message) < 3_000, f"the message has {len(response.error_message)} characters")


@rows("an unknown format: {0!r}", [("xml",), ("PICKLE",), ("json ",), ("__proto__",)])
def unknown_format(service: Service, format: str) -> None:
    response = service.send("PassThroughNode", b"1", format=format)
    expect_failure(response, ERROR, format, "json", "pickle", "raw")


DIVIDES_BY_ZERO = {"operations": '[{"op": "map", "fields": {"b": "a / 0"}}]'}


@case("a node that fails: the message, a traceback, and no path of the host")
def failing_node(service: Service) -> None:
    response = service.run("DataTransform", [{"a": 1}], config=DIVIDES_BY_ZERO)
    expect_failure(response, ERROR, "Node execution failed: ")
    expect(response.error_message.startswith("Node execution failed: "), response.error_message)
    expect(response.error_traceback, "there is no traceback")
    expect(re.search(r"^\s+at ", response.error_traceback, re.MULTILINE), f"no frames: {response.error_traceback}")


@case("an answer that the format cannot express is ERROR, and says what it is")
def inexpressible(service: Service) -> None:
    value = {"operation": "power", "args": [-8, 0.5]}
    expect_failure(service.run("CalculatorNode", value, format="json"), ERROR, "complex", "JSON")
    expect_failure(service.send("TextProcessorNode", b"abc", format="raw"), ERROR, "dict")


FAILING = [
    ("an unknown node", "NoSuchNode", {}, b"N."),
    ("a bad parameter", "BufferNode", {"buffer_size": "0"}, b"N."),
    ("a bad pickle", "PassThroughNode", {}, b"\x80\x04K"),
    ("a forbidden pickle", "PassThroughNode", {}, b"cos\nsystem\n."),
    ("a deep pickle", "PassThroughNode", {}, b"]" * 5_000 + b"a" * 4_999 + b"."),
    ("a node that fails", "DataTransform", DIVIDES_BY_ZERO, encode([{"a": 1}])),
    ("a rate out of reach", "AudioResampler", {"target_sample_rate": "10000000"}, encode((np.ones((1, 9)), 8_000))),
]


@rows("{0} tells nothing of the host's files", FAILING)
def no_paths(service: Service, _: str, node: str, config: dict[str, str], data: bytes) -> None:
    response = service.send(node, data, config=config)
    for text in (response.error_message, response.error_traceback):
        found = HOST_PATH.search(text)
        expect(found is None, f"a path is told: {text[max(0, found.start() - 80) : found.end() + 80] if found else ''}")


@rows("options.{0} above the policy's ceiling is PERMISSION_DENIED, with the ceiling", [
    ("timeout_seconds", 301, "300"),
    ("memory_limit_mb", 2_049, "2048"),
    ("cpu_limit_percent", 401, "400"),
    ("max_output_size_mb", 513, "512"),
    ("timeout_seconds", 2**31 - 1, "300"),
])  # fmt: skip
def above_ceiling(service: Service, field: str, value: int, ceiling: str) -> None:
    options = types.ExecutionOptions(**{field: value})
    call = lambda: service.run("PassThroughNode", 1, options=options)
    expect_rpc_error(call, grpc.StatusCode.PERMISSION_DENIED, field, ceiling, str(value))


@rows("a negative options.{0} is INVALID_ARGUMENT", [
    ("timeout_seconds",),
    ("memory_limit_mb",),
    ("cpu_limit_percent",),
    ("max_output_size_mb",),
])  # fmt: skip
def negative(service: Service, field: str) -> None:
    call = lambda: service.run("PassThroughNode", 1, options=types.ExecutionOptions(**{field: -1}))
    expect_rpc_error(call, grpc.StatusCode.INVALID_ARGUMENT, field, "-1")


@rows("options.{0} is not granted by the policy", [
    ("enable_networking", {"enable_networking": True}),
    ("enable_filesystem", {"enable_filesystem": True}),
    ("environment", {"environment": {"PATH": "/bin"}}),
])  # fmt: skip
def not_granted(service: Service, name: str, options: dict[str, object]) -> None:
    call = lambda: service.run("PassThroughNode", 1, options=types.ExecutionOptions(**options))
    expect_rpc_error(call, grpc.StatusCode.PERMISSION_DENIED, name)


@case("a message above the size limit is RESOURCE_EXHAUSTED, and the connection goes on")
def large_message(service: Service) -> None:
    data = b"\x00" * (service.max_message_bytes + 1)
    expect_rpc_error(
        lambda: service.send("PassThroughNode", data, format="raw"), grpc.StatusCode.RESOURCE_EXHAUSTED
    )
    service.check_alive()


@case("a method that the service does not have is UNIMPLEMENTED")
def unknown_method(service: Service) -> None:
    for path in ("/remotemedia.execution.RemoteExecutionService/NoSuchMethod", "/no.such.Service/Call"):
        call = service.channel.unary_unary(path)
        expect_rpc_error(lambda: call(b"", 30), grpc.StatusCode.UNIMPLEMENTED)


@case("bytes that are no message are refused, and the connection goes on")
def no_message(service: Service) -> None:
    call = service.channel.unary_unary("/remotemedia.execution.RemoteExecutionService/ExecuteNode")
    try:
        call(b"\xff" * 100, 30)
    except grpc.RpcError as error:
        expect(error.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT), f"code is {error.code()}")
    else:
        raise AssertionError("the call was answered")
    service.check_alive()


@case("fields that the service does not know are skipped")
def unknown_fields(service: Service) -> None:
    call = service.channel.unary_unary("/remotemedia.execution.RemoteExecutionService/ExecuteNode")
    known = request("PassThroughNode", b"1", format="json").SerializeToString()
    answer = execution.ExecuteNodeResponse.FromString(call(known + b"\xc2\x3e\x05extra", 30))
    expect(answer.output_data == b"1", f"answer is {answer}")
