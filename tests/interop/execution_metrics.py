"""Metrics of responses: what was measured, not what was made up."""

from __future__ import annotations

import time

import numpy as np

from harness import case, expect, expect_equal, rows
from service import ERROR, SECURITY_VIOLATION, SUCCESS, Service, encode, execution, expect_status

# Clocks of client and service are one, but each is read and rounded by itself.
CLOCK_SLACK_MS = 1_000

CALLS = [
    ("a small answer", "PassThroughNode", {}, encode({"a": 1}), SUCCESS),
    ("an empty input", "PassThroughNode", {}, b"", ERROR),
    ("an answer larger than the question", "VideoTransform", {}, encode(np.zeros((2, 2, 3), np.uint8)), SUCCESS),
    ("a question larger than the answer", "AudioBuffer", {"buffer_size_samples": "9"}, encode("x" * 10**5), SUCCESS),
    ("an unknown node", "NoSuchNode", {}, encode(1), ERROR),
    ("a refusal", "PassThroughNode", {}, b"cos\nsystem\n.", SECURITY_VIOLATION),
]


@rows("{0}: times in order, sizes exact, a sandbox named", CALLS)
def metrics(service: Service, _: str, node: str, config: dict[str, str], data: bytes, status: int) -> None:
    before = time.time() * 1_000
    response = service.send(node, data, config=config)
    after = time.time() * 1_000
    expect_status(response, status)
    expect(response.HasField("metrics"), "there are no metrics")
    measured = response.metrics
    expect(measured.start_timestamp >= before - CLOCK_SLACK_MS, f"started before it was asked: {measured}")
    expect(measured.end_timestamp <= after + CLOCK_SLACK_MS, f"ended after the answer: {measured}")
    expect(measured.start_timestamp <= measured.end_timestamp, f"ended before it started: {measured}")
    expect(0 <= measured.duration_ms <= measured.end_timestamp - measured.start_timestamp + 1, f"durations: {measured}")
    expect(measured.cpu_time_ms >= 0 and measured.memory_peak_mb >= 0, f"less than nothing: {measured}")
    expect(measured.memory_average_mb <= measured.memory_peak_mb, f"the average is above the peak: {measured}")
    expect_equal(measured.input_size_bytes, len(data), "input_size_bytes")
    expect_equal(measured.output_size_bytes, len(response.output_data), "output_size_bytes")
    expect(measured.sandbox_id, "sandbox_id is empty")
    expect_equal(measured.exit_code == 0, status == SUCCESS, "whether exit_code is 0")
    expect_equal(response.error_message == "", status == SUCCESS, "whether error_message is empty")


@case("work takes time and memory, and both are measured")
def work(service: Service) -> None:
    def run(count: int) -> execution.ExecuteNodeResponse:
        item = (np.ones((1, count), np.float32), 48_000)
        return service.run("AudioTransform", item, config={"output_sample_rate": "44100"})

    run(1_000)
    small, large = run(1_000).metrics, run(3_000_000).metrics
    expect(large.duration_ms > small.duration_ms, f"3,000,000 samples took no longer than 1,000: {small}, {large}")
    expect(large.cpu_time_ms > 0, f"no CPU time: {large}")
    expect(large.memory_peak_mb > 0, f"no memory: {large}")
