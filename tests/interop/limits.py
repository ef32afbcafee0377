"""Limits: what ends an execution from outside, and that the service is free again afterwards."""

from __future__ import annotations

import pickle

import grpc
import numpy as np

from harness import case, expect, expect_equal, rows
from service import (
    CALL_TIMEOUT_SECONDS,
    RESOURCE_LIMIT,
    SUCCESS,
    TIMEOUT,
    Service,
    encode,
    execution,
    expect_failure,
    expect_rpc_error,
    expect_status,
    request,
    types,
)

# Work that takes many times longer than what is done to it here: thirty million samples, each the sum of hundreds.
LONG_NODE = "AudioTransform"
LONG_INPUT = encode((np.ones((1, 120_000), np.float32), 3_001))
LONG_CONFIG = {"output_sample_rate": "767999", "output_channels": "1"}
LONG_MEMORY_MB = 2_048

# What the service under test is started with.
WORKERS = 2


def long_request(timeout_seconds: int = 0) -> execution.ExecuteNodeRequest:
    """The request of that work."""
    options = types.ExecutionOptions(timeout_seconds=timeout_seconds, memory_limit_mb=LONG_MEMORY_MB)
    return request(LONG_NODE, LONG_INPUT, config=LONG_CONFIG, options=options)


def is_idle(status: object) -> bool:
    return status.metrics.busy_workers == 0


@case("a node that computes past its time is TIMEOUT, and the limit is named")
def timeout(service: Service) -> None:
    response = service.stub.ExecuteNode(long_request(timeout_seconds=1), CALL_TIMEOUT_SECONDS)
    expect_failure(response, TIMEOUT, "timeout_seconds", "1 s")
    expect(response.metrics.exit_code != 0, "exit_code is 0")
    service.check_alive()
    service.wait_until(is_idle, "busy_workers is 0")


@case("a deadline of the call that is shorter rules: DEADLINE_EXCEEDED, and the service goes on")
def deadline(service: Service) -> None:
    expect_rpc_error(lambda: service.stub.ExecuteNode(long_request(), 0.5), grpc.StatusCode.DEADLINE_EXCEEDED)
    service.wait_until(is_idle, "busy_workers is 0")
    service.check_alive()


@case("a call that is cancelled frees its worker")
def cancel(service: Service) -> None:
    for _ in range(3):
        call = service.stub.ExecuteNode.future(long_request())
        service.wait_until(lambda status: status.metrics.busy_workers == 1, "busy_workers is 1")
        call.cancel()
        expect_cancelled(call)
        service.wait_until(is_idle, "busy_workers is 0")
        service.check_alive()


def expect_cancelled(call: grpc.Future) -> None:
    """grpcio answers for such a call itself, with an error of its own where it was cancelled by name."""
    try:
        call.result()
    except (grpc.FutureCancelledError, grpc.RpcError):
        expect_equal(call.code(), grpc.StatusCode.CANCELLED, "code")
    else:
        raise AssertionError("the call was answered")


@case("a client that goes away frees its worker")
def disconnect(service: Service) -> None:
    other = service.reconnect()
    call = other.stub.ExecuteNode.future(long_request())
    service.wait_until(lambda status: status.metrics.busy_workers == 1, "busy_workers is 1")
    other.close()
    expect_cancelled(call)
    service.wait_until(is_idle, "busy_workers is 0")
    service.check_alive()


@case("others are served while one computes")
def others(service: Service) -> None:
    service.wait_until(lambda status: status.metrics.available_workers == WORKERS, "all workers are available")
    call = service.stub.ExecuteNode.future(long_request())
    service.wait_until(lambda status: status.metrics.busy_workers == 1, "busy_workers is 1")
    for number in range(50):
        expect_equal(service.value("PassThroughNode", number), number)
    expect_equal(service.status().metrics.busy_workers, 1, "busy_workers")
    call.cancel()
    service.wait_until(is_idle, "busy_workers is 0")


@case("a call that came while a worker was being replaced does not wait for the long call of another")
def others_after_replacement(service: Service) -> None:
    service.wait_until(lambda status: status.metrics.available_workers == WORKERS, "all workers are available")
    cancelled = service.stub.ExecuteNode.future(long_request())
    service.wait_until(lambda status: status.metrics.busy_workers == 1, "busy_workers is 1")
    cancelled.cancel()
    service.wait_until(is_idle, "busy_workers is 0")  # its worker is gone and the next is not yet there
    call = service.stub.ExecuteNode.future(long_request())
    service.wait_until(lambda status: status.metrics.busy_workers == 1, "busy_workers is 1")
    expect_equal(service.value("PassThroughNode", "short"), "short")
    expect_equal(service.status().metrics.busy_workers, 1, "busy_workers once the short call is answered")
    call.cancel()
    service.wait_until(is_idle, "busy_workers is 0")


@rows("an output above max_output_size_mb is RESOURCE_LIMIT, and the limit is named ({0})", [
    ("pickle", encode(b"\x00" * 2_000_000)),
    ("json", encode("x" * 2_000_000, "json")),
    ("raw", b"\x00" * 2_000_000),
])  # fmt: skip
def output(service: Service, format: str, data: bytes) -> None:
    options = types.ExecutionOptions(max_output_size_mb=1)
    response = service.send("PassThroughNode", data, format=format, options=options)
    expect_failure(response, RESOURCE_LIMIT, "1048576")
    options = types.ExecutionOptions(max_output_size_mb=2)
    expect_status(service.send("PassThroughNode", data, format=format, options=options), SUCCESS)


@case("an output that the node makes, not the caller, counts as well")
def made_output(service: Service) -> None:
    frame = np.zeros((2, 2, 3), np.uint8)
    options = types.ExecutionOptions(max_output_size_mb=1)
    response = service.run("VideoTransform", frame, options=options)
    expect_failure(response, RESOURCE_LIMIT, "1048576")
    service.check_alive()


MEMORY = [
    ("AudioTransform", {"output_sample_rate": "2000000"}, (np.ones((1, 200_000), np.float32), 8_000)),
    ("AudioTransform", {"output_channels": "65536"}, (np.ones((1, 100_000), np.float32), 44_100)),
    ("AudioResampler", {"target_sample_rate": "2000000"}, (np.ones((2, 200_000), np.float32), 8_000)),
    ("VideoTransform", {"resolution": "(65535, 65535)"}, np.zeros((2, 2, 3), np.uint8)),
    ("VideoResizer", {"target_resolution": "(65535, 65535)", "method": "nearest"}, np.zeros((2, 2, 3), np.uint8)),
]


@rows("{0} with {1} needs more memory than it may use: RESOURCE_LIMIT", MEMORY)
def memory(service: Service, node: str, config: dict[str, str], value: object) -> None:
    options = types.ExecutionOptions(memory_limit_mb=64)
    expect_failure(service.run(node, value, config=config, options=options), RESOURCE_LIMIT, "64 MiB")
    service.check_alive()


@case("a pickle that unfolds to more than the memory limit is RESOURCE_LIMIT")
def unfolding(service: Service) -> None:
    program = pickle.dumps([{} for _ in range(300_000)])
    response = service.send("PassThroughNode", program, options=types.ExecutionOptions(memory_limit_mb=32))
    expect_failure(response, RESOURCE_LIMIT, "memory")
    expect_status(service.send("PassThroughNode", program), SUCCESS)


@case("powers without end are refused or stopped, and the next call works")
def powers(service: Service) -> None:
    options = types.ExecutionOptions(timeout_seconds=2)
    for args in ([10, 10**9], [10**4000, 10**6], [3, 10**18], [-7, 10**100]):
        response = service.run("CalculatorNode", {"operation": "power", "args": args}, options=options)
        expect_status(response, RESOURCE_LIMIT, TIMEOUT)
        service.check_alive()


@case("zero means the default, and the ceiling itself is granted")
def granted(service: Service) -> None:
    for options in (
        types.ExecutionOptions(),
        types.ExecutionOptions(timeout_seconds=300, memory_limit_mb=2048, cpu_limit_percent=400, max_output_size_mb=512),
        types.ExecutionOptions(timeout_seconds=1, memory_limit_mb=64, cpu_limit_percent=1, max_output_size_mb=1),
        types.ExecutionOptions(working_directory="/"),
    ):
        expect_equal(service.value("PassThroughNode", "x", options=options), "x")
