"""ExecuteObjectMethod: objects of user code that live on between calls."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np

from accounts import PACKAGE, Account, call, expect_answer, result
from conversations import FORMATS, ObjectStream, expect_nothing_left, package_of, sessions
from harness import case, expect, expect_equal, rows
from same import expect_same
from service import (
    CALL_TIMEOUT_SECONDS,
    ERROR,
    SECURITY_VIOLATION,
    SUCCESS,
    TIMEOUT,
    Service,
    decode,
    encode,
    execution,
    expect_rpc_error,
    types,
)


@rows("the first call makes the object, later ones find it as it was left ({0})", FORMATS)
def state(service: Service, format: str) -> None:
    request = {"code_package": PACKAGE, "config": {"owner": "Ada"}}
    first = call(service, "deposit", 10, "salary", format=format, **request)
    expect_answer(first, SUCCESS)
    expect_equal((decode(first.result_data, format), first.stdout), (10, "deposited 10 salary\n"), "result and console")
    measured = first.metrics
    expect(measured.sandbox_id and measured.output_size_bytes == len(first.result_data), f"metrics are {measured}")
    [listed] = sessions(service)
    expect_equal(listed.session_id, first.session_id, "session listed")
    for amount, balance in ((5, 15), (0.5, 15.5)):
        response = call(service, "deposit", amount, format=format, session_id=first.session_id)
        expect_answer(response, SUCCESS)
        expect_equal(response.session_id, first.session_id, "session_id of the answer")
        expect_equal(decode(response.result_data, format), balance, "balance")
    expect_equal(sessions(service)[0].processed_items, 3, "processed_items")
    last = call(service, "report", format=format, session_id=first.session_id, close=True)
    expect_answer(last, SUCCESS)
    report = {"owner": "Ada", "ready": True, "entries": [10, 5, 0.5]}
    expect_equal((decode(last.result_data, format), last.stdout), (report, "goodbye\n"), "result and console")
    expect_equal(last.session_id, "", "session_id once it is closed")
    gone = call(service, "report", format=format, session_id=first.session_id)
    expect_answer(gone, ERROR, "Session not found", first.session_id)
    expect(gone.error_message.startswith("Session not found"), gone.error_message)
    expect_nothing_left(service)


@rows("arguments and results keep their types ({0})", FORMATS)
def types_kept(service: Service, format: str) -> None:
    with Account(service, format) as account:
        args: list[Any] = [1, 1.5, True, "ü", [1, [2]], {"a": None}]
        if format == "pickle":
            args += [2**70, b"\x00", {1: 2}, {3}, np.arange(6, dtype=np.int16).reshape(2, 3)]
        expect_same(account.result("same", *args), args)
        expect_same(account.result("list", 3), [0, 1, 2])
        expect_same(account.result("nothing"), None)
        expect_same(account.result("count"), 0)  # of the user's own class behind it


@case("arguments may be a tuple or nothing, and must be a list of them")
def arguments(service: Service) -> None:
    with Account(service) as account:
        def send(data: bytes) -> execution.ExecuteObjectMethodResponse:
            message = execution.ExecuteObjectMethodRequest(
                session_id=account.id, method_name="same", method_args_data=data, serialization_format="pickle"
            )
            return service.stub.ExecuteObjectMethod(message, CALL_TIMEOUT_SECONDS)

        for data, expected in ((encode((1, 2)), [1, 2]), (b"", [])):
            response = send(data)
            expect_answer(response, SUCCESS)
            expect_same(decode(response.result_data), expected)
        expect_answer(send(encode({"a": 1})), ERROR, "arguments", "list")
        expect_answer(send(b"cos\nsystem\n."), SECURITY_VIOLATION, "os.system")
        expect_equal(account.result("balance"), 0, "balance")


REFUSED = ["_private", "#secret", "#hidden", "owner", "entries", "missing", "constructor", "__proto__", "toString",
           "hasOwnProperty", "__defineGetter__", "valueOf", "prototype", "Deposit"]  # fmt: skip


@rows("{0} is no method to call: ERROR, with those that are", [(name,) for name in REFUSED])
def refused(service: Service, name: str) -> None:
    with Account(service) as account:
        response = account.call(name)
        expect_answer(response, ERROR, name, "deposit", "report", "count")
        expect_equal(response.failure_reason, types.FAILURE_REASON_INVALID_TASK, "failure_reason")
        expect("_private" not in response.error_message.replace(f'"{name}"', ""), response.error_message)
        expect_equal(account.result("deposit", 1), 1, "the next call")


@rows("what a method throws is told with its cause and place, and the object goes on ({0})", FORMATS)
def fails(service: Service, format: str) -> None:
    with Account(service, format) as account:
        account.result("deposit", 3)
        response = account.call("fails")
        expect_answer(response, ERROR, "not that")
        for text in ("TypeError: not that", "main.ts:", "Error: this one"):
            expect(text in response.error_traceback, f"the traceback lacks {text!r}: {response.error_traceback}")
        expect_equal(response.session_id, account.id, "session_id")
        expect_equal(account.result("balance"), 3, "balance")


@case("a session that never was is ERROR, as is one of another kind")
def never_was(service: Service) -> None:
    for name in ("no-such-session", "x" * 10_000, "__proto__"):
        response = call(service, "report", session_id=name)
        expect_answer(response, ERROR, "Session not found", name[:50])
        expect(response.error_message.startswith("Session not found"), response.error_message[:1000])
        expect(len(response.error_message) < 1_000, "the message repeats all of the name")
    expect_nothing_left(service)


@case("a close without a method is enough, and a second finds nothing")
def close(service: Service) -> None:
    account = Account(service)
    response = account.call("", close=True)
    expect_answer(response, SUCCESS)
    expect_equal((response.session_id, response.stdout), ("", "goodbye\n"), "session_id and console")
    expect_answer(account.call("", close=True), ERROR, "Session not found")
    expect_nothing_left(service)


@case("a call with close on its first request leaves no session")
def one_call(service: Service) -> None:
    response = call(service, "deposit", 7, code_package=PACKAGE, close=True)
    expect_answer(response, SUCCESS)
    expect_equal((decode(response.result_data), response.session_id), (7, ""), "result and session_id")
    expect_nothing_left(service)


ENTRIES = [("main.ts:Other", "name", [], "other"), ("main.ts:table", "double", [4], 8)]


@rows("entry_point names what is to be the object: {0}", ENTRIES)
def entry_point(service: Service, entry: str, method: str, args: list[Any], expected: Any) -> None:
    request = {"code_package": PACKAGE, "entry_point": entry, "close": True}
    expect_equal(result(service, method, *args, **request), expected)
    expect_nothing_left(service)


BAD_OBJECTS = [
    ("an export that is not there", {"entry_point": "main.ts:nothing"}, ERROR, ("nothing",)),
    ("a function", {"entry_point": "main.ts:bare"}, ERROR, ("function",)),
    ("a class that fails to start", {"entry_point": "main.ts:FailsToStart"}, ERROR, ("no such luck",)),
    ("a package that is none", {"code_package": b"PK\x03\x04 and no more"}, ERROR, ()),
    ("code that is refused", {"code_package": package_of('import "node:fs";')}, SECURITY_VIOLATION, ("node:fs",)),
]


@rows("{0} makes no object and no session", BAD_OBJECTS)
def no_object(service: Service, _: str, request: dict[str, Any], status: int, texts: tuple[str, ...]) -> None:
    response = call(service, "run", **{"code_package": PACKAGE, **request})
    expect_answer(response, status, *texts)
    expect_equal(response.session_id, "", "session_id")
    with ObjectStream(service, **{"code_package": PACKAGE, **request}) as stream:
        stream.expect_error(*texts)
    expect_nothing_left(service)


@case("a call that does not say which object, or which method of a session, is INVALID_ARGUMENT")
def incomplete(service: Service) -> None:
    code = grpc.StatusCode.INVALID_ARGUMENT
    expect_rpc_error(lambda: call(service, "report"), code, "code_package", "session_id")
    with Account(service) as account:
        expect_rpc_error(lambda: account.call(""), code, "method_name")
    expect_nothing_left(service)


@case("a session may be opened without a call")
def opened(service: Service) -> None:
    response = call(service, "", code_package=PACKAGE)
    expect_answer(response, SUCCESS)
    expect_equal(result(service, "deposit", 1, session_id=response.session_id, close=True), 1)
    expect_nothing_left(service)


@case("a method that never comes back is TIMEOUT, and the end of its session")
def never_back(service: Service) -> None:
    account = Account(service, options=types.ExecutionOptions(timeout_seconds=1))
    response = account.call("spin")
    expect_answer(response, TIMEOUT, "timeout_seconds", "1 s")
    expect_equal(response.session_id, "", "session_id")
    expect_answer(account.call("balance"), ERROR, "Session not found")
    expect_nothing_left(service)


@case("a call whose deadline passes ends its session")
def deadline(service: Service) -> None:
    account = Account(service)
    message = execution.ExecuteObjectMethodRequest(session_id=account.id, method_name="spin")
    expect_rpc_error(lambda: service.stub.ExecuteObjectMethod(message, 1), grpc.StatusCode.DEADLINE_EXCEEDED)
    expect_nothing_left(service)
    expect_answer(account.call("balance"), ERROR, "Session not found")


@case("calls of many threads on one session come one after the other, and none is lost")
def threads(service: Service) -> None:
    with Account(service) as account, ThreadPoolExecutor(16) as pool:
        balances = [*pool.map(lambda _: account.result("deposit", 1), range(200))]
        expect_equal(sorted(balances), [*range(1, 201)], "balances")


@case("sessions of the same package know nothing of each other")
def apart(service: Service) -> None:
    with Account(service) as one, Account(service) as other:
        expect(one.id != other.id, "both are one")
        one.result("deposit", 1)
        other.result("deposit", 2)
        expect_equal((one.result("balance"), other.result("balance")), (1, 2), "balances")
    expect_nothing_left(service)
