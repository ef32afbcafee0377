"""User code in TypeScript over a stream, as a program in Python holds it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from conversations import FORMATS, ExecuteStream, expect_nothing_left, package_of
from harness import case, expect, expect_equal, rows
from same import expect_same
from service import ERROR, SECURITY_VIOLATION, Service, decode, types

CODE = """
/** Sums up, and says so at the end. */
export default class Summer {
  #sum: number;
  constructor(config: { start?: number }) {
    this.#sum = config.start ?? 0;
    console.log("made", JSON.stringify(config));
  }
  async initialize(): Promise<void> { console.log("initialized"); }
  process(item: number): number | null {
    this.#sum += item;
    return item < 0 ? null : this.#sum;
  }
  *flush() { yield "sum"; yield this.#sum; }
  cleanup() { console.error("cleaned up"); }
}

/** Two by two, and at the end what is left. */
export async function* pairs(items: AsyncIterable<unknown>) {
  let last: unknown[] = [];
  for await (const item of items) {
    last.push(item);
    if (last.length === 2) { yield last; last = []; }
  }
  if (last.length > 0) yield last;
}

/** As many as it is told, for each. */
export class Repeater {
  async *process(items: AsyncIterable<number>) {
    for await (const count of items) for (let i = 0; i < count; i++) yield i;
  }
}

export function* repeat(count: number) { for (let i = 0; i < count; i++) yield i; }
export const double = (item: number): number => 2 * item;
export const same = (item: unknown): unknown => item;

export function fail(item: number): number {
  if (item === 0) throw new RangeError("no zero", { cause: new TypeError("a zero it was") });
  return item;
}
export async function* failLate(items: AsyncIterable<number>) {
  for await (const item of items) yield item;
  throw new Error("at the very end");
}
export async function* first(items: AsyncIterable<number>) {
  for await (const item of items) { yield item; return; }
}
export class FailsToStart {
  initialize() { throw new Error("no such luck"); }
  process(item: unknown) { return item; }
}
export class NoProcess { run() {} }
export const number = 5;
export function denied(path: string) { return Deno.readTextFileSync(path); }
export function hungry() { const held = []; for (;;) held.push(new Uint8Array(1 << 20).fill(1)); }
"""
PACKAGE = package_of(CODE)


def start(service: Service, entry_point: str = "", format: str = "pickle", **rest: Any) -> ExecuteStream:
    """A stream of the package's code, which is to open."""
    stream = ExecuteStream(service, "custom", format=format, code_package=PACKAGE, entry_point=entry_point, **rest)
    stream.open()
    return stream


def run(service: Service, entry_point: str, values: list[Any], format: str = "pickle", **rest: Any) -> list[Any]:
    """All outputs of such a stream for these values."""
    with start(service, entry_point, format, **rest) as stream:
        for value in values:
            stream.give(value)
        stream.close()
        return stream.rest()[0]


@rows("a class: config, initialize, process, flush, cleanup ({0})", FORMATS)
def class_of_the_users(service: Service, format: str) -> None:
    with start(service, "", format, config={"start": "10"}) as stream:
        for item in (1, -5, 2):
            stream.give(item)
        stream.close()
        messages = [*stream.call]
    kinds = [message.WhichOneof("response_type") for message in messages]
    expect_equal(kinds, ["data"] * 4 + ["close"], "kinds of messages")
    answers = [getattr(message, kind) for message, kind in zip(messages, kinds)]
    expect_same([decode(answer.output_data, format) for answer in answers[:-1]], [11, 8, "sum", 8])
    expect_equal(
        ("".join(answer.stdout for answer in answers), "".join(answer.stderr for answer in answers)),
        ('made {"start":10}\ninitialized\n', "cleaned up\n"),
        "console",
    )
    expect_nothing_left(service)


ENTRIES = [
    ("an async generator over the inputs", "main.ts:pairs", [1, 2, 3, 4, 5], [[1, 2], [3, 4], [5]]),
    ("a class whose process is one", "main.ts:Repeater", [0, 2, 1], [0, 1, 0]),
    ("a generator for each input", "main.ts:repeat", [0, 2, 0, 1], [0, 1, 0]),
    ("a function for each input", "main.ts:double", [1, 2.5, -3], [2, 5, -6]),
    ("a generator that has had enough", "main.ts:first", ["a", "b", "c"], ["a"]),
]


@rows(
    "{0}: {1} ({4})",
    [(*entry, format) for entry, (format,) in itertools.product(ENTRIES, FORMATS)],
)
def entries(service: Service, _: str, entry: str, values: list[Any], expected: list[Any], format: str) -> None:
    expect_equal(run(service, entry, values, format), expected)


@rows("values go in and come back ({0})", FORMATS)
def values(service: Service, format: str) -> None:
    given: list[Any] = [0, -1, 2**53 - 1, 1.5, True, "ü", [], [1, [2, None]], {"a": {"b": [1]}, "__proto__": 2}]
    if format == "pickle":
        given += [2**70, b"\x00\xff", {1: "a"}, {1, 2}, 1j, np.arange(6, dtype=np.float32).reshape(2, 3)]
    expect_same(run(service, "main.ts:same", given, format), given)
    expect_same(run(service, "main.ts:same", [None], format), [])


@case("audio as the SDK has it goes through user code: a pair of array and rate")
def audio(service: Service) -> None:
    samples = np.linspace(-1, 1, 960, dtype=np.float32)[np.newaxis]
    [(answer, rate)] = run(service, "main.ts:same", [(samples, 48_000)])
    expect_same((answer, rate), (samples, 48_000))


@case("an output comes when its input was given, not when the stream ends")
def interactive(service: Service) -> None:
    for entry in ("main.ts:same", "main.ts:failLate"):
        with start(service, entry) as stream:
            for number in range(20):
                stream.give(number)
                expect_equal(stream.output(), number)
    expect_nothing_left(service)


@case("2,000 inputs give 2,000 outputs in their order")
def order(service: Service) -> None:
    expect_equal(run(service, "main.ts:double", [*range(2_000)]), [*range(0, 4_000, 2)])


@rows("what user code throws is told with its cause and place, after all outputs before it ({0})", FORMATS)
def fails(service: Service, format: str) -> None:
    with start(service, "main.ts:fail", format) as stream:
        for item in (1, 2, 0, 3):
            stream.give(item)
        expect_equal([stream.output(), stream.output()], [1, 2])
        error = stream.expect_error("no zero")
        for text in ("RangeError: no zero", "main.ts:", "TypeError: a zero it was"):
            expect(text in error.error_traceback, f"the traceback lacks {text!r}: {error.error_traceback}")
        expect_equal(error.failure_reason, types.FAILURE_REASON_EXCEPTION, "failure_reason")
    expect_nothing_left(service)


@case("what a generator throws once its input has ended is told")
def fails_late(service: Service) -> None:
    with start(service, "main.ts:failLate") as stream:
        stream.give(1)
        expect_equal(stream.output(), 1)
        stream.close()
        stream.expect_error("at the very end")
    expect_nothing_left(service)


BAD_INITS = [
    ("an export that is not there", {"entry_point": "main.ts:nothing"}, ERROR, ("nothing", "main.ts")),
    ("a module that is not there", {"entry_point": "other.ts:run"}, ERROR, ("other.ts",)),
    ("a class without process", {"entry_point": "main.ts:NoProcess"}, ERROR, ("NoProcess", "process", "run")),
    ("a number", {"entry_point": "main.ts:number"}, ERROR, ("number",)),
    ("a class that fails to start", {"entry_point": "main.ts:FailsToStart"}, ERROR, ("no such luck",)),
    ("no package", {"code_package": b""}, ERROR, ("package",)),
    ("what is no zip", {"code_package": b"PK\x03\x04 and no more"}, ERROR, ()),
    ("code that does not parse", {"code_package": package_of("export default (")}, ERROR, ("main.ts:1",)),
    ("code that is refused", {"code_package": package_of('import "node:fs";')}, SECURITY_VIOLATION, ("node:fs",)),
]


@rows("{0} is the answer to init, and ends the stream", BAD_INITS)
def refused(service: Service, _: str, init: dict[str, Any], status: int, texts: tuple[str, ...]) -> None:
    with ExecuteStream(service, "custom", **{"code_package": PACKAGE, **init}) as stream:
        stream.expect_refused(status, *texts)
    expect_nothing_left(service)


@case("what user code may not do ends its stream")
def denied(service: Service) -> None:
    with start(service, "main.ts:denied") as stream:
        stream.give("/etc/passwd")
        error = stream.expect_error("Deno")
        expect("root:" not in str(error), "the file was read")
    expect_nothing_left(service)


@case("user code that takes more memory than it may ends its stream, and the limit is named")
def hungry(service: Service) -> None:
    with start(service, "main.ts:hungry", options=types.ExecutionOptions(memory_limit_mb=64)) as stream:
        stream.give(1)
        error = stream.expect_error("64 M", "memory")
        expect_equal(error.failure_reason, types.FAILURE_REASON_MEMORY_LIMIT, "failure_reason")
    expect_nothing_left(service)


@case("two streams of the same package know nothing of each other")
def apart(service: Service) -> None:
    with start(service, "") as one, start(service, "", config={"start": "100"}) as other:
        for stream in (one, other, one):
            stream.give(1)
        expect_equal((one.output(), one.output(), other.output()), (1, 2, 101))
    expect_nothing_left(service)
