"""StreamObject: the object of a session, or one of its own, over a stream."""

from __future__ import annotations

from accounts import PACKAGE, Account
from conversations import FORMATS, ObjectStream, expect_nothing_left
from harness import case, rows
from same import expect_same
from service import Service


@rows("StreamObject: an object that lives as long as its stream ({0})", FORMATS)
def stream_own(service: Service, format: str) -> None:
    for _ in range(2):
        with ObjectStream(service, format, code_package=PACKAGE, config={"owner": "Bob"}) as stream:
            for amount in (1, 2, 3):
                stream.give(amount)
            expect_same([stream.output() for _ in range(3)], [1, 3, 6])
            stream.half_close()
            expect_same(stream.rest(), ["flushed"])
        expect_nothing_left(service)


@rows("StreamObject: the object of a session, which outlives the stream ({0})", FORMATS)
def stream_session(service: Service, format: str) -> None:
    with Account(service, format) as account:
        account.result("deposit", 100)
        for expected in (101, 102):
            with ObjectStream(service, format, session_id=account.id) as stream:
                stream.give(1)
                expect_same(stream.output(), expected)
                stream.half_close()
                expect_same(stream.rest(), ["flushed"])
        expect_same(account.result("balance"), 102)
        with ObjectStream(service, format, session_id=account.id) as stream:
            stream.give(1)
            expect_same(stream.output(), 103)
            stream.call.cancel()
        expect_same(account.result("balance"), 103)
    expect_nothing_left(service)


@rows("StreamObject: what the object throws ends the stream, and not the session ({0})", FORMATS)
def stream_fails(service: Service, format: str) -> None:
    with Account(service, format) as account:
        with ObjectStream(service, format, session_id=account.id) as stream:
            stream.give(1)
            expect_same(stream.output(), 1)
            stream.give(0)
            stream.expect_error("not that")
        expect_same(account.result("balance"), 1)
    with ObjectStream(service, format, code_package=PACKAGE) as stream:
        stream.give(0)
        stream.expect_error("not that")
    expect_nothing_left(service)


@case("StreamObject: a session that never was, or is gone, is told")
def stream_not_found(service: Service) -> None:
    account = Account(service)
    account.call("", close=True)
    for name in ("no-such-session", account.id):
        with ObjectStream(service, session_id=name) as stream:
            stream.expect_error("Session not found", name)
    expect_nothing_left(service)
