"""ListNodes, GetStatus, health checks and reflection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import health_pb2 as health
import health_pb2_grpc as health_grpc
from google.protobuf import descriptor_pb2

from harness import case, expect, expect_equal, rows
from service import ERROR, SUCCESS, Service, execution, expect_rpc_error, expect_status, types

SERVICE_NAME = "remotemedia.execution.RemoteExecutionService"

# Category of each node, and its parameters with the default that ListNodes names (None: it is required).
NODES: dict[str, tuple[str, dict[str, str | None]]] = {
    "PassThroughNode": ("base", {}),
    "BufferNode": ("base", {"buffer_size": "10"}),
    "StatefulCounter": ("base", {"initial_value": "0"}),
    "AudioTransform": ("audio", {"output_sample_rate": "44100", "output_channels": "2"}),
    "AudioResampler": ("audio", {"target_sample_rate": "44100", "quality": "best"}),
    "AudioBuffer": ("audio", {"buffer_size_samples": None}),
    "ExtractAudioDataNode": ("audio", {}),
    "VoiceActivityDetector": (
        "audio",
        {
            "frame_duration_ms": "30",
            "energy_threshold": "0.02",
            "speech_threshold": "0.3",
            "filter_mode": "false",
            "include_metadata": "true",
        },
    ),
    "VideoTransform": (
        "video",
        {"resolution": "(1920, 1080)", "color": "keep", "flip": "null", "rotate": "null", "fps": "null"},
    ),
    "VideoResizer": ("video", {"target_resolution": "(1920, 1080)", "method": "lanczos"}),
    "VideoBuffer": ("video", {"buffer_size": "10"}),
    "CalculatorNode": ("math", {}),
    "TextProcessorNode": ("text", {}),
}
# Nodes whose parameters have no defaults that the contract names.
OTHER_NODES = {"DataTransform": ("transform", "operations"), "FormatConverter": ("transform", "target_format")}


def list_nodes(service: Service, category: str = "") -> dict[str, Any]:
    """What ListNodes gives, by name."""
    nodes = service.stub.ListNodes(execution.ListNodesRequest(category=category), 30).available_nodes
    by_name = {node.node_type: node for node in nodes}
    expect_equal(len(by_name), len(nodes), "number of different names")
    return by_name


@case("ListNodes: every node of the SDK is there, described")
def all_nodes(service: Service) -> None:
    nodes = list_nodes(service)
    missing = {*NODES, *OTHER_NODES} - {*nodes}
    expect(not missing, f"there is no {', '.join(sorted(missing))}")
    for name, node in nodes.items():
        expect(node.category and node.description, f"{name} is not described")
        for parameter in node.parameters:
            expect(parameter.name and parameter.type and parameter.description, f"{name}: {parameter}")
            expect(not (parameter.required and parameter.default_value), f"{name}: a required default: {parameter}")


@rows("ListNodes: {0} has its category and parameters with their defaults", [(name,) for name in NODES])
def node_parameters(service: Service, name: str) -> None:
    node = list_nodes(service)[name]
    category, parameters = NODES[name]
    expect_equal(node.category, category, "category")
    expect_equal(
        {parameter.name: None if parameter.required else parameter.default_value for parameter in node.parameters},
        parameters,
        "parameters",
    )


@rows("ListNodes: {0} has its category and parameter", [(name,) for name in OTHER_NODES])
def other_parameters(service: Service, name: str) -> None:
    node = list_nodes(service)[name]
    category, parameter = OTHER_NODES[name]
    expect_equal(node.category, category, "category")
    expect(parameter in [found.name for found in node.parameters], f"{name} has no {parameter}: {node}")


@case("ListNodes: each category has its nodes and no others, an unknown one has none")
def categories(service: Service) -> None:
    nodes = list_nodes(service)
    for category in {node.category for node in nodes.values()}:
        expected = {name for name, node in nodes.items() if node.category == category}
        expect_equal({*list_nodes(service, category)}, expected, category)
    for category in ("no such category", "Audio", " "):
        expect_equal(list_nodes(service, category), {}, category)


@case("ListNodes: a default, sent as config, is what the node takes when nothing is sent")
def defaults(service: Service) -> None:
    for name in ("BufferNode", "StatefulCounter", "VoiceActivityDetector", "AudioTransform"):
        config = {parameter.name: parameter.default_value for parameter in list_nodes(service)[name].parameters}
        expect_equal(service.value(name, "x", config=config), service.value(name, "x"), name)


def totals(service: Service) -> tuple[int, int, int]:
    """Requests: all, successful, failed."""
    metrics = service.status().metrics
    return metrics.total_requests, metrics.successful_requests, metrics.failed_requests


@case("GetStatus: counts rise by exactly what was called")
def counts(service: Service) -> None:
    total, successful, failed = totals(service)
    for _ in range(7):
        expect_status(service.run("PassThroughNode", 1), SUCCESS)
    for _ in range(3):
        expect_status(service.run("NoSuchNode", 1), ERROR)
    service.stub.ListNodes(execution.ListNodesRequest(), 30)
    expect_equal(totals(service), (total + 10, successful + 7, failed + 3), "totals")


@case("GetStatus: healthy, with version, uptime and load")
def status(service: Service) -> None:
    first, second = service.status(), service.status()
    expect_equal(first.status, types.SERVICE_STATUS_HEALTHY, "status")
    expect(first.version, "version is empty")
    expect(0 <= first.uptime_seconds <= second.uptime_seconds, f"uptime went from {first} to {second}")
    metrics = second.metrics
    expect(metrics.available_workers > 0, f"no worker is available: {metrics}")
    expect_equal((metrics.busy_workers, metrics.active_sessions), (0, 0), "busy workers and sessions")
    expect(metrics.peak_memory_mb > 0, f"no memory is used: {metrics}")
    expect(metrics.cpu_usage_percent >= 0 and 0 <= metrics.memory_usage_percent <= 100, f"usage: {metrics}")


@case("GetStatus: metrics and sessions only when asked for")
def status_without_metrics(service: Service) -> None:
    answer = service.stub.GetStatus(execution.StatusRequest(), 30)
    expect(not answer.HasField("metrics"), "there are metrics")
    answer = service.stub.GetStatus(execution.StatusRequest(include_sessions=True), 30)
    expect_equal(len(answer.active_sessions), 0, "number of sessions")


SERVING = health.HealthCheckResponse.SERVING


@rows("health.Check: {0!r} is serving", [("",), (SERVICE_NAME,)])
def health_check(service: Service, name: str) -> None:
    stub = health_grpc.HealthStub(service.channel)
    expect_equal(stub.Check(health.HealthCheckRequest(service=name), 30).status, SERVING, "status")


@case("health.Check: an unknown service is NOT_FOUND")
def health_check_unknown(service: Service) -> None:
    stub = health_grpc.HealthStub(service.channel)
    expect_rpc_error(
        lambda: stub.Check(health.HealthCheckRequest(service="no.such.Service"), 30), grpc.StatusCode.NOT_FOUND
    )


@rows("health.Watch: {0!r} says {1} at once and stays open", [
    ("", "SERVING"),
    (SERVICE_NAME, "SERVING"),
    ("no.such.Service", "SERVICE_UNKNOWN"),
])  # fmt: skip
def health_watch(service: Service, name: str, expected: str) -> None:
    watch = health_grpc.HealthStub(service.channel).Watch(health.HealthCheckRequest(service=name))
    first = next(watch)
    expect_equal(health.HealthCheckResponse.ServingStatus.Name(first.status), expected, "status")
    expect(watch.is_active(), "the stream ended")
    watch.cancel()


def fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and values of a protobuf message's fields: Debian has no stubs for reflection."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            yield number, varint()
        else:
            expect_equal(kind, 2, "wire type")
            length = varint()
            yield number, message[at : at + length]
            at += length


def reflect(service: Service, package: str, number: int, argument: str) -> dict[int, bytes]:
    """One question to ServerReflection: the fields of its answer."""
    call = service.channel.stream_stream(f"/{package}.ServerReflection/ServerReflectionInfo")
    question = bytes([number << 3 | 2, len(argument)]) + argument.encode()
    [answer] = call(iter([question]), timeout=30)
    return dict(fields(answer))


PACKAGES = [("grpc.reflection.v1alpha",), ("grpc.reflection.v1",)]


@rows("{0}: the services are listed", PACKAGES)
def reflection_list(service: Service, package: str) -> None:
    answer = reflect(service, package, 7, "")
    names = {dict(fields(value))[1].decode() for number, value in fields(answer[6]) if number == 1}
    expect({SERVICE_NAME, "grpc.health.v1.Health"} <= names, f"services are {names}")


@rows("{0}: the service's own description is given", PACKAGES)
def reflection_symbol(service: Service, package: str) -> None:
    answer = reflect(service, package, 4, SERVICE_NAME)
    files = [descriptor_pb2.FileDescriptorProto.FromString(value) for _, value in fields(answer[4])]
    methods = {
        method.name for file in files for found in file.service if found.name in SERVICE_NAME for method in found.method
    }
    expected = {method.name for method in execution.DESCRIPTOR.services_by_name["RemoteExecutionService"].methods}
    expect_equal(methods, expected, "methods")


@rows("{0}: a symbol that is not there is an error in the answer", PACKAGES)
def reflection_unknown(service: Service, package: str) -> None:
    answer = reflect(service, package, 4, "no.such.Symbol")
    expect(7 in answer, f"no error_response: {answer}")
    expect_equal(dict(fields(answer[7]))[1], grpc.StatusCode.NOT_FOUND.value[0], "error code")
