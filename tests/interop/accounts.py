"""An account: an object of user code in TypeScript that lives on between calls."""

from __future__ import annotations

from typing import Any

from conversations import package_of
from harness import expect, expect_equal
from service import CALL_TIMEOUT_SECONDS, SUCCESS, Service, decode, encode, execution, status_name

PACKAGE = package_of(
    """
class Ledger {
  protected entries: number[] = [];
  count() { return this.entries.length; }
}

export default class Account extends Ledger {
  #secret = 42;
  owner: string;
  ready = false;
  constructor(config: { owner?: string }) { super(); this.owner = config.owner ?? "nobody"; }
  initialize() { this.ready = true; }
  deposit(amount: number, note?: string) {
    this.entries.push(amount);
    console.log("deposited", amount, note ?? "");
    return this.balance();
  }
  balance() { return this.entries.reduce((sum, entry) => sum + entry, 0); }
  async report() { return { owner: this.owner, ready: this.ready, entries: this.entries }; }
  *list(count: number) { for (let i = 0; i < count; i++) yield i; }
  same(...values: unknown[]) { return values; }
  nothing() {}
  fails() { throw new TypeError("not that", { cause: new Error("this one") }); }
  spin() { for (;;); }
  process(amount: number) { return amount === 0 ? this.fails() : this.deposit(amount); }
  flush() { return "flushed"; }
  cleanup() { console.log("goodbye"); }
  _private() { return this.#secret; }
  #hidden() { return this.#secret; }
}

export class Other { name() { return "other"; } }
export const table = { double(item: number) { return 2 * item; } };
export class FailsToStart { initialize() { throw new Error("no such luck"); } run() {} }
export function bare() {}
"""
)


def call(
    service: Service, method: str, *args: Any, format: str = "pickle", **request: Any
) -> execution.ExecuteObjectMethodResponse:
    """ExecuteObjectMethod; the request has `code_package` or `session_id`."""
    message = execution.ExecuteObjectMethodRequest(
        method_name=method, method_args_data=encode([*args], format), serialization_format=format, **request
    )
    return service.stub.ExecuteObjectMethod(message, CALL_TIMEOUT_SECONDS)


def expect_answer(response: execution.ExecuteObjectMethodResponse, status: int, *texts: str) -> None:
    """Fails the case unless the call came to this status, with a message that holds all texts."""
    message = response.error_message
    expect_equal(status_name(response.status), status_name(status), f"status, with {message[:1000]!r},")
    for text in texts:
        expect(text in message, f"the message lacks {text!r}: {message[:1000]!r}")
    expect(status == SUCCESS or not response.result_data, "a failure has a result")
    expect(status != SUCCESS or not message, f"a success has a message: {message!r}")


def result(service: Service, method: str, *args: Any, format: str = "pickle", **request: Any) -> Any:
    """What a method gives; fails the case unless it succeeds."""
    response = call(service, method, *args, format=format, **request)
    expect_answer(response, SUCCESS)
    return decode(response.result_data, format)


class Account:
    """A session with an account. Used in a `with` statement, it is closed at the end."""

    def __init__(self, service: Service, format: str = "pickle", **request: Any) -> None:
        self.service = service
        self.format = format
        response = call(
            service, "balance", format=format, code_package=PACKAGE, config={"owner": "Ada"}, **request
        )
        expect_answer(response, SUCCESS)
        expect(response.session_id, "the session has no name")
        self.id = response.session_id

    def __enter__(self) -> Account:
        return self

    def __exit__(self, *_: object) -> None:
        self.call("", close=True)

    def call(self, method: str, *args: Any, **request: Any) -> execution.ExecuteObjectMethodResponse:
        return call(self.service, method, *args, format=self.format, session_id=self.id, **request)

    def result(self, method: str, *args: Any, **request: Any) -> Any:
        return result(self.service, method, *args, format=self.format, session_id=self.id, **request)
