"""The service, as a Python program calls it: generated stubs and grpcio, nothing of ours between."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable, Mapping
from typing import Any

import execution_pb2 as execution
import execution_pb2_grpc as execution_grpc
import grpc
import types_pb2 as types

SUCCESS = types.EXECUTION_STATUS_SUCCESS
ERROR = types.EXECUTION_STATUS_ERROR
TIMEOUT = types.EXECUTION_STATUS_TIMEOUT
CANCELLED = types.EXECUTION_STATUS_CANCELLED
RESOURCE_LIMIT = types.EXECUTION_STATUS_RESOURCE_LIMIT
SECURITY_VIOLATION = types.EXECUTION_STATUS_SECURITY_VIOLATION

# A call that takes longer hangs; nothing here is about speed.
CALL_TIMEOUT_SECONDS = 120

# grpcio's own limit is 4 MB for what it receives; the service's is what the suite looks at.
CHANNEL_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Service:
    """A connection to the service under test."""

    def __init__(self, address: str, max_message_bytes: int, server_pid: int) -> None:
        self.address = address
        # The server's process, of which all its others descend.
        self.server_pid = server_pid
        # What `server.maxMessageBytes` is set to.
        self.max_message_bytes = max_message_bytes
        self.channel = grpc.insecure_channel(address, CHANNEL_OPTIONS)
        self.stub = execution_grpc.RemoteExecutionServiceStub(self.channel)

    def close(self) -> None:
        self.channel.close()

    def reconnect(self) -> Service:
        """A channel of its own to the same service."""
        return Service(self.address, self.max_message_bytes, self.server_pid)

    def send(
        self,
        node: str,
        data: bytes,
        *,
        config: Mapping[str, str] | None = None,
        format: str = "pickle",
        options: types.ExecutionOptions | None = None,
        timeout: float = CALL_TIMEOUT_SECONDS,
    ) -> execution.ExecuteNodeResponse:
        """ExecuteNode with bytes as they are."""
        return self.stub.ExecuteNode(request(node, data, config=config, format=format, options=options), timeout)

    def run(self, node: str, value: Any, *, format: str = "pickle", **rest: Any) -> execution.ExecuteNodeResponse:
        """ExecuteNode with a value, whatever it comes to."""
        return self.send(node, encode(value, format), format=format, **rest)

    def value(self, node: str, value: Any, *, format: str = "pickle", **rest: Any) -> Any:
        """ExecuteNode with a value; gives the answer's, and fails unless the status is SUCCESS."""
        response = self.run(node, value, format=format, **rest)
        expect_status(response, SUCCESS)
        return decode(response.output_data, format)

    def status(self) -> execution.StatusResponse:
        """GetStatus with metrics."""
        return self.stub.GetStatus(execution.StatusRequest(include_metrics=True), CALL_TIMEOUT_SECONDS)

    def check_alive(self) -> None:
        """Fails unless the next call is answered as ever."""
        for value in ({"still": ["there", 1, 2.5, None]}, (b"\x00", "ü")):
            answer = self.value("PassThroughNode", value)
            if answer != value:
                raise AssertionError(f"the next call answered {answer!r} to {value!r}")

    def wait_until(self, condition: Callable[[execution.StatusResponse], bool], what: str) -> None:
        """Asks GetStatus until it says so; gives up long after it should have."""
        give_up_at = time.monotonic() + CALL_TIMEOUT_SECONDS
        while not condition(status := self.status()):
            if time.monotonic() > give_up_at:
                raise AssertionError(f"GetStatus never said that {what}; the last was {status}")
            time.sleep(0.01)


def request(
    node: str,
    data: bytes,
    *,
    config: Mapping[str, str] | None = None,
    format: str = "pickle",
    options: types.ExecutionOptions | None = None,
) -> execution.ExecuteNodeRequest:
    """The message of a call to ExecuteNode."""
    return execution.ExecuteNodeRequest(
        node_type=node, config=config or {}, input_data=data, serialization_format=format, options=options
    )


def encode(value: Any, format: str = "pickle") -> bytes:
    """A value as a client sends it."""
    if format == "json":
        return json.dumps(value).encode()
    return value if format == "raw" else pickle.dumps(value)


def decode(data: bytes, format: str = "pickle") -> Any:
    """A value as a client reads it."""
    if format == "json":
        return json.loads(data)
    return data if format == "raw" else pickle.loads(data)


def status_name(status: int) -> str:
    """A status as people read it."""
    return types.ExecutionStatus.Name(status)


def expect_status(response: execution.ExecuteNodeResponse, *allowed: int) -> None:
    """Fails the case unless the execution came to one of these, and says what it came to."""
    if response.status not in allowed:
        expected = " or ".join(map(status_name, allowed))
        raise AssertionError(
            f"status is {status_name(response.status)}, expected {expected}: "
            f"{response.error_message[:1000]!r}\n{response.error_traceback[:1000]}"
        )


def expect_failure(response: execution.ExecuteNodeResponse, status: int, *texts: str) -> None:
    """Fails the case unless the execution came to this status with a message that holds all texts, and no output."""
    expect_status(response, status)
    for text in texts:
        if text not in response.error_message:
            raise AssertionError(f"the message lacks {text!r}: {response.error_message[:1000]!r}")
    if response.output_data:
        raise AssertionError(f"a failure has {len(response.output_data)} bytes of output")


def expect_rpc_error(call: Callable[[], Any], code: grpc.StatusCode, *texts: str) -> grpc.RpcError:
    """Fails the case unless the call itself ends with this gRPC status, and details that hold all texts."""
    try:
        answer = call()
    except grpc.RpcError as error:
        if error.code() is not code:
            raise AssertionError(f"code is {error.code()}, expected {code}: {error.details()!r}") from error
        for text in texts:
            if text not in (error.details() or ""):
                raise AssertionError(f"the details lack {text!r}: {error.details()!r}") from error
        return error
    raise AssertionError(f"the call was answered, expected {code}: {str(answer)[:500]}")
