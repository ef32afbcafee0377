"""Values of a request's config: JSON literals, Python literals, and text."""

from __future__ import annotations

from typing import Any

from harness import case, expect_equal, rows
from same import expect_same
from service import ERROR, Service, expect_failure

LITERALS: list[tuple[str, Any]] = [
    ("1", 1),
    ("-7", -7),
    ("1.0", 1.0),
    ("1e3", 1000.0),
    ("-0.5", -0.5),
    ("123456789012345678901234567890", 123456789012345678901234567890),
    ("true", True),
    ("false", False),
    ("null", None),
    ("True", True),
    ("False", False),
    ("None", None),
    ('"text"', "text"),
    ("'text'", "text"),
    ("'it''s'", "its"),
    (r"'\u00fc\n'", "ü\n"),
    ("b'\\x00a'", b"\x00a"),
    ("(1920, 1080)", (1920, 1080)),
    ("(1,)", (1,)),
    ("()", ()),
    ("1, 2", (1, 2)),
    ("[1, 2.5, 'x']", [1, 2.5, "x"]),
    ("[1, 2,]", [1, 2]),
    ('{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}),
    ("{'a': (1, None), 2: True}", {"a": (1, None), 2: True}),
    ("{1, 2}", {1, 2}),
    ("0x1f", 31),
    ("0b101", 5),
    ("1_000", 1000),
    (" 7 ", 7),
    ("lanczos", "lanczos"),
    ("plain text, with a comma", "plain text, with a comma"),
    ("", ""),
    ("nul", "nul"),
    ("tru", "tru"),
    ("TRUE", "TRUE"),
    ("1920x1080", "1920x1080"),
    ("[1, 2", "[1, 2"),
    ("'open", "'open"),
    ("__import__('os').system('true')", "__import__('os').system('true')"),
    ("1 + 1", "1 + 1"),
    ("01", "01"),
    ("/path/to/file", "/path/to/file"),
    ("12:30", "12:30"),
    ("ü", "ü"),
]


@rows("{0!r} is {1!r}", LITERALS)
def literal(service: Service, text: str, expected: Any) -> None:
    for node, value in (
        ("CalculatorNode", {"operation": "add", "args": [1, 2]}),
        ("TextProcessorNode", {"text": "a"}),
    ):
        answer = service.value(node, value, config={"mine": text})
        expect_same(answer["node_config"], {"mine": expected})


@case("all parameters that a node does not know come back, whatever their names")
def many(service: Service) -> None:
    config = {f"key{index}": str(index) for index in range(100)} | {"__proto__": "1", "constructor": "2", "": "3"}
    answer = service.value("CalculatorNode", {"operation": "add", "args": [1, 2]}, config=config)
    expect_same(sorted(answer["node_config"].items()), sorted((key, int(value)) for key, value in config.items()))


@case("what the SDK writes with str() is understood")
def sdk_values(service: Service) -> None:
    values = {"flag": True, "nothing": None, "size": (640, 480), "ratio": 0.25, "names": ["a", "b"], "text": "plain"}
    config = {key: str(value) for key, value in values.items()}
    answer = service.value("TextProcessorNode", {"text": "a"}, config=config)
    expect_same(dict(sorted(answer["node_config"].items())), dict(sorted(values.items())))


@case("a parameter that the node knows is not in node_config")
def known(service: Service) -> None:
    answer = service.value("StatefulCounter", None, config={"initial_value": "2", "unknown": "True"})
    expect_equal(answer, (2,))


FAULTS: list[tuple[str, dict[str, str], list[str]]] = [
    ("BufferNode", {"buffer_size": "0"}, ["buffer_size", "0"]),
    ("BufferNode", {"buffer_size": "many"}, ["buffer_size", "many"]),
    ("BufferNode", {"buffer_size": "1.5"}, ["buffer_size", "1.5"]),
    ("BufferNode", {"buffer_size": "None"}, ["buffer_size"]),
    ("AudioTransform", {"output_sample_rate": "-1", "output_channels": "0"}, ["output_sample_rate", "output_channels"]),
    ("AudioBuffer", {}, ["buffer_size_samples"]),
    ("VideoTransform", {"rotate": "45"}, ["rotate", "90"]),
    ("VideoTransform", {"resolution": "(0, 10)"}, ["resolution"]),
    ("VideoTransform", {"flip": "sideways"}, ["flip", "horizontal", "vertical", "both"]),
    ("VideoResizer", {"method": "magic"}, ["method", "lanczos"]),
    ("VoiceActivityDetector", {"filter_mode": "maybe"}, ["filter_mode"]),
]


@rows("{0} refuses {1}, and says which parameter and why", FAULTS)
def fault(service: Service, node: str, config: dict[str, str], texts: list[str]) -> None:
    expect_failure(service.run(node, None, config=config), ERROR, node, *texts)
