"""The streaming calls as conversations: messages are sent and awaited one by one."""

from __future__ import annotations

import io
import queue
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import grpc

from harness import expect, expect_equal
from service import CALL_TIMEOUT_SECONDS, SUCCESS, Service, decode, encode, execution, status_name

FORMATS = [("pickle",), ("json",)]

# Ends the requests of a call.
HALF_CLOSE = None


class Conversation:
    """One bidirectional call. Used in a `with` statement, it is cancelled if it still runs at the end."""

    def __init__(self, method: Callable[..., Any], timeout: float = CALL_TIMEOUT_SECONDS) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.call = method(iter(self._requests.get, HALF_CLOSE), timeout=timeout)

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self.half_close()  # for grpcio's thread that takes the requests
        self.call.cancel()

    def send(self, message: Any) -> None:
        self._requests.put(message)

    def half_close(self) -> None:
        """Sends no more."""
        self._requests.put(HALF_CLOSE)

    def next(self) -> Any:
        """The service's next message; `None` when the call has ended with OK, and raises when with anything else."""
        return next(self.call, None)

    def expect_end(self) -> None:
        """Fails the case unless the call ends here, and with OK."""
        expect_equal(self.next(), None, "what comes after the end")
        expect_equal(self.call.code(), grpc.StatusCode.OK, "code")


class NodeStream(Conversation):
    """A StreamNode call."""

    def __init__(
        self,
        service: Service,
        node: str,
        config: Mapping[str, str] | None = None,
        format: str = "pickle",
        timeout: float = CALL_TIMEOUT_SECONDS,
    ) -> None:
        super().__init__(service.stub.StreamNode, timeout)
        self.format = format
        init = execution.StreamInit(node_type=node, config=config or {}, serialization_format=format)
        self.send(execution.StreamData(init=init))

    def __enter__(self) -> NodeStream:
        return self

    def give(self, value: Any) -> None:
        self.give_bytes(encode(value, self.format))

    def give_bytes(self, data: bytes) -> None:
        self.send(execution.StreamData(data=data))

    def output(self) -> Any:
        """The next output; fails the case when there is none."""
        message = self.next()
        expect(message is not None, "the stream has ended, expected an output")
        expect_equal((message.error_message, message.WhichOneof("payload")), ("", "data"), "error and payload")
        return decode(message.data, self.format)

    def rest(self) -> list[Any]:
        """All outputs to the end of the call, which is to be OK."""
        outputs = []
        for message in self.call:
            expect_equal((message.error_message, message.WhichOneof("payload")), ("", "data"), "error and payload")
            outputs.append(decode(message.data, self.format))
        return outputs

    def expect_error(self, *texts: str) -> str:
        """Fails the case unless the stream ends here with an error that holds all texts. Gives its message."""
        message = self.next()
        expect(message is not None and message.error_message, f"no error came, but {message}")
        expect_equal(message.WhichOneof("payload"), None, "payload of the error")
        for text in texts:
            expect(text in message.error_message, f"the message lacks {text!r}: {message.error_message!r:.1000}")
        self.expect_end()
        return message.error_message


class ExecuteStream(Conversation):
    """A StreamExecute call."""

    def __init__(
        self,
        service: Service,
        node: str,
        config: Mapping[str, str] | None = None,
        format: str = "pickle",
        timeout: float = CALL_TIMEOUT_SECONDS,
        **rest: Any,
    ) -> None:
        super().__init__(service.stub.StreamExecute, timeout)
        self.format = format
        init = execution.StreamInitRequest(node_type=node, config=config or {}, **rest)
        self.send(execution.StreamExecuteRequest(init=init))
        self.session_id = ""

    def __enter__(self) -> ExecuteStream:
        return self

    def open(self) -> None:
        """Awaits the answer to init; fails the case unless the session is open."""
        message = self.expect_next("init")
        expect_equal((status_name(message.status), message.error_message), (status_name(SUCCESS), ""), "init")
        expect(message.session_id, "the session has no name")
        self.session_id = message.session_id

    def expect_refused(self, status: int, *texts: str) -> None:
        """Fails the case unless init is answered with this status and a message that holds all texts, and the end."""
        message = self.expect_next("init")
        expect_equal((status_name(message.status), message.session_id), (status_name(status), ""), "status and session")
        for text in texts:
            expect(text in message.error_message, f"the message lacks {text!r}: {message.error_message!r:.1000}")
        self.expect_end()

    def give(self, value: Any) -> None:
        self.give_bytes(encode(value, self.format))

    def give_bytes(self, data: bytes, format: str | None = None) -> None:
        message = execution.StreamDataRequest(
            session_id=self.session_id, input_data=data, serialization_format=self.format if format is None else format
        )
        self.send(execution.StreamExecuteRequest(data=message))

    def close(self) -> None:
        """Asks the service to close the session."""
        message = execution.StreamCloseRequest(session_id=self.session_id)
        self.send(execution.StreamExecuteRequest(close=message))

    def expect_next(self, kind: str) -> Any:
        """The next message; fails the case unless it is of this kind and session."""
        message = self.next()
        expect(message is not None, f"the stream has ended, expected {kind}")
        expect_equal(message.WhichOneof("response_type"), kind, f"kind of {str(message)[:1000]}")
        answer = getattr(message, kind)
        if self.session_id:
            expect_equal(answer.session_id, self.session_id, "session_id")
        return answer

    def output(self) -> Any:
        """The next output; fails the case when there is none."""
        return decode(self.expect_next("data").output_data, self.format)

    def rest(self) -> tuple[list[Any], execution.StreamCloseResponse]:
        """All outputs to the end of the call, which is to be OK, and the answer to close."""
        outputs = []
        for message in self.call:
            if message.WhichOneof("response_type") == "close":
                self.expect_end()
                return outputs, message.close
            expect_equal(message.WhichOneof("response_type"), "data", f"kind of {str(message)[:1000]}")
            outputs.append(decode(message.data.output_data, self.format))
        raise AssertionError("the stream has ended without an answer to close")

    def expect_error(self, *texts: str) -> execution.StreamErrorResponse:
        """Fails the case unless the stream ends here with an error that holds all texts."""
        error = self.expect_next("error")
        for text in texts:
            expect(text in error.error_message, f"the message lacks {text!r}: {error.error_message!r:.1000}")
        self.expect_end()
        return error


class ObjectStream(Conversation):
    """A StreamObject call; `init` has `code_package` or `session_id`, and what else its first message has."""

    def __init__(self, service: Service, format: str = "pickle", **init: Any) -> None:
        super().__init__(service.stub.StreamObject)
        self.format = format
        message = execution.StreamObjectInit(serialization_format=format, **init)
        self.send(execution.StreamObjectRequest(init=message))

    def __enter__(self) -> ObjectStream:
        return self

    def give(self, value: Any) -> None:
        self.send(execution.StreamObjectRequest(data=encode(value, self.format)))

    def output(self) -> Any:
        """The next output; fails the case when there is none."""
        message = self.next()
        expect(message is not None, "the stream has ended, expected an output")
        expect_equal(message.WhichOneof("payload"), "data", f"payload of {str(message)[:1000]}")
        return decode(message.data, self.format)

    def rest(self) -> list[Any]:
        """All outputs to the end of the call, which is to be OK."""
        outputs = []
        for message in self.call:
            expect_equal(message.WhichOneof("payload"), "data", f"payload of {str(message)[:1000]}")
            outputs.append(decode(message.data, self.format))
        return outputs

    def expect_error(self, *texts: str) -> None:
        """Fails the case unless the stream ends here with an error that holds all texts."""
        message = self.next()
        expect(message is not None, "the stream has ended, expected an error")
        expect_equal(message.WhichOneof("payload"), "error", f"payload of {str(message)[:1000]}")
        for text in texts:
            expect(text in message.error, f"the message lacks {text!r}: {message.error!r:.1000}")
        self.expect_end()


def package_of(code: str) -> bytes:
    """A code package of one module in TypeScript."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("code/main.ts", code)
    return packed.getvalue()


def sessions(service: Service) -> list[execution.SessionInfo]:
    """The sessions that GetStatus lists."""
    request = execution.StatusRequest(include_sessions=True)
    return [*service.stub.GetStatus(request, CALL_TIMEOUT_SECONDS).active_sessions]


def expect_nothing_left(service: Service) -> None:
    """Waits until no session is listed, counted or at work; then the next call is to be answered as ever."""
    service.wait_until(
        lambda status: not sessions(service)
        and (status.metrics.active_sessions, status.metrics.busy_workers) == (0, 0),
        "no session is left",
    )
    service.check_alive()
