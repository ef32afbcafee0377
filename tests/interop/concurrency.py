"""Many callers at once, and large payloads."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from harness import case, expect, expect_equal
from same import expect_same
from service import Service

THREADS = 32
CALLS = 50


def pass_through(service: Service, mark: int) -> None:
    value = {"mark": mark, "bytes": mark.to_bytes(4, "big") * (mark % 997)}
    expect_same(service.value("PassThroughNode", value), value)


def pass_through_json(service: Service, mark: int) -> None:
    expect_same(service.value("PassThroughNode", [mark, str(mark)], format="json"), [mark, str(mark)])


def calculate(service: Service, mark: int) -> None:
    answer = service.value("CalculatorNode", {"operation": "multiply", "args": [mark, 3]}, config={"mark": str(mark)})
    expect_same((answer["result"], answer["node_config"]), (3 * mark, {"mark": mark}))


def text(service: Service, mark: int) -> None:
    value = {"text": f"mark {mark}", "operations": ["reverse"]}
    answer = service.value("TextProcessorNode", value, format="json")
    expect_same(answer["results"], {"reverse": f"mark {mark}"[::-1]})


def audio(service: Service, mark: int) -> None:
    samples, rate = service.value("AudioTransform", (np.full(160, mark, np.float32), 44_100))
    expect_equal((samples.tolist(), rate), ([[float(mark)] * 160] * 2, 44_100))


def video(service: Service, mark: int) -> None:
    frame = np.full((8, 8, 3), mark % 256, np.uint8)
    answer = service.value("VideoResizer", frame, config={"target_resolution": "(4, 4)"})
    expect_same(answer, np.full((4, 4, 3), mark % 256, np.uint8))


def failure(service: Service, mark: int) -> None:
    response = service.run(f"NoNode{mark}", mark)
    expect(response.error_message.startswith(f"Unknown node type: NoNode{mark}."), response.error_message)


KINDS: list[Callable[[Service, int], None]] = [pass_through, pass_through_json, calculate, text, audio, video, failure]


@case(f"{THREADS} threads, {CALLS} calls each of mixed nodes: every answer is to its own question")
def threads(service: Service) -> None:
    before = service.status().metrics
    with ThreadPoolExecutor(THREADS) as pool:
        marks = range(THREADS * CALLS)
        # Gives the first failure, after all have ended.
        [*pool.map(lambda mark: KINDS[mark % len(KINDS)](service, mark), marks)]
    after = service.status().metrics
    expect_equal(after.total_requests - before.total_requests, THREADS * CALLS, "requests counted")
    expect_equal(after.busy_workers, 0, "busy workers")


@case("connections that come and go: 50 callers, each with its own")
def connections(service: Service) -> None:
    def connect(mark: int) -> None:
        other = service.reconnect()
        try:
            pass_through(other, mark)
        finally:
            other.close()

    with ThreadPoolExecutor(10) as pool:
        [*pool.map(connect, range(50))]


@case("50 MB of pickled array come back the same")
def large_pickle(service: Service) -> None:
    array = np.random.default_rng(3).integers(0, 2**62, 50 * 2**20 // 8).reshape(100, -1)
    expect_same(service.value("PassThroughNode", array), array)
    service.check_alive()


@case("20 MB of JSON come back the same")
def large_json(service: Service) -> None:
    document = [{"number": number, "text": "ü" * 80} for number in range(100_000)]
    response = service.send("PassThroughNode", json.dumps(document, ensure_ascii=False).encode(), format="json")
    expect_equal(response.error_message, "", "error_message")
    expect(json.loads(response.output_data) == document, "the answer differs")
    service.check_alive()


@case("large payloads of several callers at once do not mix")
def large_threads(service: Service) -> None:
    def call(mark: int) -> None:
        array = np.full(2**20, mark, np.int64)
        expect(np.array_equal(service.value("PassThroughNode", array), array), f"answer {mark} differs")

    with ThreadPoolExecutor(4) as pool:
        [*pool.map(call, range(8))]
