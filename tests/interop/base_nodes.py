"""PassThroughNode, BufferNode and StatefulCounter."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from harness import case, expect_equal, rows
from same import expect_same
from service import SUCCESS, Service, expect_status

JSON_DOCUMENTS: list[tuple[str, Any]] = [
    ("scalars", [None, True, False, 0, -1, 1.0, -0.0, 1e300, 5e-324, "", "text"]),
    ("ints beyond 64 bits", [2**53 + 1, 2**63, -(2**64), 10**100]),
    ("text beyond ASCII", ["ü", "漢字", "😀", "\u0000\u001f\"\\/", "\u2028", "\ud800"]),
    ("keys in their order", {"z": 1, "a": {"10": 1, "9": 2, "": 3}, "__proto__": {"x": 1}, "constructor": None}),
    ("empty containers", [[], {}, [[]], {"": []}]),
    ("what JSON has from Python", [math.inf, -math.inf]),
    ("an array of lists", [[1, 2, 3], [4, 5, 6]]),
    ("an array of base64", {"dtype": "float32", "shape": [2], "data": "AACAPwAAAEA="}),
]


@rows("PassThroughNode: JSON keeps {0}", JSON_DOCUMENTS)
def json_comes_back(service: Service, _: str, document: Any) -> None:
    expect_same(service.value("PassThroughNode", document, format="json"), document)


@case("PassThroughNode: JSON keeps NaN")
def json_nan(service: Service) -> None:
    answer = service.value("PassThroughNode", [math.nan], format="json")
    expect_equal(math.isnan(answer[0]), True, "isnan")


@case("PassThroughNode: JSON is UTF-8, and a byte order mark before it is no fault")
def json_utf8(service: Service) -> None:
    response = service.send("PassThroughNode", b'\xef\xbb\xbf {"a": "\xc3\xbc"} ', format="json")
    expect_status(response, SUCCESS)
    expect_equal(json.loads(response.output_data.decode("utf-8")), {"a": "ü"})


@rows("PassThroughNode: raw bytes come back: {0}", [("none", b""), ("all", bytes(range(256))), ("many", b"\x00" * 10**6)])
def raw_comes_back(service: Service, _: str, data: bytes) -> None:
    expect_equal(service.value("PassThroughNode", data, format="raw"), data)


@case("PassThroughNode: an absent format means pickle")
def default_format(service: Service) -> None:
    response = service.send("PassThroughNode", b"\x80\x04K\x07.", format="")
    expect_status(response, SUCCESS)
    expect_equal(response.output_data[:2], b"\x80\x04", "protocol of the answer")


@rows("BufferNode: one item of {0} is flushed as a list of it", [("pickle",), ("json",)])
def buffer(service: Service, format: str) -> None:
    expect_same(service.value("BufferNode", {"a": 1}, format=format), [{"a": 1}])
    expect_same(service.value("BufferNode", "x", format=format, config={"buffer_size": "1"}), ["x"])


@case("BufferNode: an array is kept in the list")
def buffer_array(service: Service) -> None:
    frame = np.arange(6, dtype=np.uint8).reshape(2, 3)
    expect_same(service.value("BufferNode", frame), [frame])


@rows("StatefulCounter: initial_value {0} gives {1}", [("", 0), ("5", 5), ("-3", -3)])
def counter(service: Service, initial: str, expected: int) -> None:
    config = {"initial_value": initial} if initial else {}
    expect_same(service.value("StatefulCounter", "anything", config=config), (expected,))
    expect_same(service.value("StatefulCounter", None, format="json", config=config), [expected])


@case("StatefulCounter: each call has a counter of its own")
def counters_are_apart(service: Service) -> None:
    answers = [service.value("StatefulCounter", n, config={"initial_value": "41"}) for n in range(3)]
    expect_same(answers, [(41,), (41,), (41,)])
