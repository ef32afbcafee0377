"""Bytes that are no value, or one that is too much: an ERROR or RESOURCE_LIMIT, and the next call works."""

from __future__ import annotations

import base64
import collections
import datetime
import json
import pickle
import random
import struct
from typing import Any

import numpy as np

from harness import expect, rows
from service import (
    ERROR,
    RESOURCE_LIMIT,
    SECURITY_VIOLATION,
    SUCCESS,
    TIMEOUT,
    Service,
    expect_failure,
    expect_status,
    types,
)

SAMPLES: list[tuple[str, Any]] = [
    ("scalars", [None, True, 1, -(2**70), 1.5, "text", "ü" * 300, b"bytes", bytearray(b"array")]),
    ("containers", {"a": [(1, 2), {3, 4}, frozenset([5])], ("k",): collections.OrderedDict(x=1)}),
    ("objects", [datetime.datetime(2024, 1, 2, 3, 4), complex(1, 2), range(3), collections.deque([1], 2)]),
    ("arrays", [np.arange(6, dtype=np.float32).reshape(2, 3), np.float64(1), np.array(["a", "bc"])]),
    ("a structured array", np.array([(1, 2.0, "x")], [("a", "i4"), ("b", "f8"), ("c", "U3")])),
]


@rows("a pickle of {0}, cut off at every length, in every protocol", SAMPLES)
def truncated(service: Service, _: str, value: Any) -> None:
    for protocol in range(6):
        data = pickle.dumps(value, protocol)
        for length in range(len(data)):
            try:
                expect_failure(service.send("PassThroughNode", data[:length]), ERROR, "Cannot unpickle")
            except AssertionError as error:
                raise AssertionError(f"protocol {protocol}, {length} of {len(data)} bytes: {error}") from error
    service.check_alive()


@rows("a pickle of {0}, with bytes that are others", SAMPLES)
def altered(service: Service, _: str, value: Any) -> None:
    chance = random.Random(1)
    for protocol in (0, 2, 4, 5):
        data = pickle.dumps(value, protocol)
        for _ in range(150):
            program = bytearray(data)
            for _ in range(chance.choice((1, 1, 2, 5))):
                program[chance.randrange(len(program))] = chance.randrange(256)
            try:
                response = service.send("PassThroughNode", bytes(program))
                expect_status(response, SUCCESS, ERROR, RESOURCE_LIMIT, SECURITY_VIOLATION)
            except AssertionError as error:
                raise AssertionError(f"{base64.b64encode(program)!r}: {error}") from error
    service.check_alive()


def uint64(number: int) -> bytes:
    return struct.pack("<Q", number)


def array_state(shape: bytes, dtype: bytes, data: bytes) -> bytes:
    """An ndarray whose state says what it wants."""
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"
    return b"\x80\x03" + made + b"(K\x01" + shape + b"cnumpy\ndtype\n(X\x02\x00\x00\x00" + dtype + b"\x89\x88tR\x89" + data + b"tb."


DEPTH = 100_000

PROGRAMS: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("a STOP alone", b"."),
    ("no opcode", b"\xff\xff\xff"),
    ("text", b"hello, world"),
    ("JSON", b'{"a": 1}'),
    ("an empty stack", b"\x80\x04R."),
    ("a protocol of the future", b"\x80\x06N."),
    ("no MARK", b"\x80\x04]e."),
    ("a MARK as value", b"(."),
    ("a memo entry that is not there", b"\x80\x04h\x05."),
    ("BINBYTES8 of 2⁶² bytes", b"\x80\x04\x8e" + uint64(2**62) + b"x."),
    ("BINBYTES8 of 2⁶⁴ − 1 bytes", b"\x80\x04\x8e" + uint64(2**64 - 1) + b"x."),
    ("BYTEARRAY8 of 2⁴⁰ bytes", b"\x80\x05\x96" + uint64(2**40) + b"x."),
    ("BINUNICODE of 4 GB", b"\x80\x04X\xff\xff\xff\xffx."),
    ("BINUNICODE8 of 2⁵³ bytes", b"\x80\x04\x8d" + uint64(2**53) + b"x."),
    ("a FRAME of 2⁶⁰ bytes", b"\x80\x04\x95" + uint64(2**60) + b"N."),
    ("LONG4 of 2 GB", b"\x80\x02\x8b\xff\xff\xff\x7fx."),
    ("LONG4 of −1 bytes", b"\x80\x02\x8b\xff\xff\xff\xffx."),
    ("BINSTRING of −1 bytes", b"T\xff\xff\xff\xffx."),
    ("an INT that is none", b"Ithing\n."),
    ("a FLOAT that is none", b"Fthing\n."),
    ("a STRING without quotes", b"Sthing\n."),
    ("PUT at a negative index", b"Np-1\n."),
    ("GET of an index beyond 2⁶³", b"g99999999999999999999\n."),
    ("bytes that are no UTF-8", b"\x80\x04\x8c\x02\xff\xfe."),
    ("a list as a key", b"\x80\x04}]Ns."),
    ("a dict in a set", b"\x80\x04\x8f(}\x90."),
    ("SETITEMS with a key too much", b"\x80\x04}(K\x01u."),
    ("BUILD on an int", b"\x80\x04K\x01}b."),
    ("APPENDS on a dict", b"\x80\x04}(K\x01e."),
    ("a call of a list", b"\x80\x04])R."),
    ("an array of 2⁴⁰ floats without data", array_state(b"\x8a\x06\x00\x00\x00\x00\x00\x01\x85", b"f8", b"C\x00")),
    ("an array of negative length", array_state(b"J\xff\xff\xff\xff\x85", b"f8", b"C\x00")),
    ("an array with too few bytes", array_state(b"K\x03\x85", b"f8", b"C\x08" + bytes(8))),
    ("an array of a dtype that is none", array_state(b"K\x01\x85", b"q9", b"C\x01x")),
    ("lists, 10⁵ deep", b"\x80\x04" + b"]" * DEPTH + b"a" * (DEPTH - 1) + b"."),
    ("tuples, 10⁵ deep", b"\x80\x04N" + b"\x85" * DEPTH + b"."),
    ("dicts, 10⁵ deep", b"\x80\x04" + b"}K\x01" * DEPTH + b"N" + b"s" * DEPTH + b"."),
    ("frozensets, 10⁵ deep", b"\x80\x04" + b"(" * DEPTH + b"N" + b"\x91" * DEPTH + b"."),
    ("MARKs, 10⁶ of them", b"(" * 10**6 + b"."),
    ("a memo that is filled 10⁶ times", b"\x80\x04N" + b"".join(b"r" + struct.pack("<I", at * 4_000) for at in range(10**6))),
]  # fmt: skip


@rows("a pickle that is {0}", PROGRAMS)
def malformed(service: Service, _: str, program: bytes) -> None:
    response = service.send("PassThroughNode", program)
    expect_status(response, ERROR, RESOURCE_LIMIT)
    expect(response.error_message, "the message is empty")
    expect(not response.output_data, "a failure has output")
    service.check_alive()


def fan_out(depth: int) -> bytes:
    """A list of two lists that are one, of two lists that are one, and so on: 2^depth leaves in a few bytes."""
    return b"K\x01" + b"".join(b"q%c0](h%ch%ce" % (at, at, at) for at in range(depth))


def dict_of(*items: tuple[str, bytes]) -> bytes:
    """A pickle of a dict whose values are programs."""
    body = b"".join(b"X" + struct.pack("<I", len(key)) + key.encode() + value + b"s" for key, value in items)
    return b"\x80\x04}" + body + b"."


FAN = fan_out(40)
CYCLE = b"]r\xe7\x03\x00\x00j\xe7\x03\x00\x00a"
BOMBS: list[tuple[str, str, bytes]] = [
    ("a fan-out of 2⁴⁰", "PassThroughNode", b"\x80\x04" + FAN + b"."),
    ("a fan-out of 2⁴⁰ as samples", "AudioTransform", b"\x80\x04" + FAN + b"K\x01\x86."),
    ("a fan-out of 2⁴⁰ as a frame", "VideoTransform", b"\x80\x04" + FAN + b"."),
    ("a fan-out of 2⁴⁰ as operation", "CalculatorNode", dict_of(("operation", FAN), ("args", b"](K\x01K\x02e"))),
    ("a fan-out of 2⁴⁰ as operations", "TextProcessorNode", dict_of(("text", b"\x8c\x01a"), ("operations", FAN))),
    ("a cycle as operation", "CalculatorNode", dict_of(("operation", CYCLE), ("args", b"](K\x01K\x02e"))),
    ("a cycle as operations", "TextProcessorNode", dict_of(("text", b"\x8c\x01a"), ("operations", CYCLE))),
    ("a cycle as args", "CalculatorNode", dict_of(("operation", b"\x8c\x03add"), ("args", CYCLE))),
]


@rows("{0}: {1} ends within its limits", BOMBS)
def bombs(service: Service, _: str, node: str, program: bytes) -> None:
    response = service.send(node, program, options=types.ExecutionOptions(timeout_seconds=10))
    expect_status(response, SUCCESS, ERROR, RESOURCE_LIMIT, TIMEOUT)
    expect(len(response.output_data) < 10_000_000, f"the answer has {len(response.output_data)} bytes")
    expect(len(response.error_message) < 10_000, f"the message has {len(response.error_message)} characters")
    service.check_alive()


DOCUMENTS: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("a brace", b"{"),
    ("text without quotes", b"hello"),
    ("a comma too much", b"[1, 2,]"),
    ("single quotes", b"{'a': 1}"),
    ("two documents", b"1 2"),
    ("bytes that are no UTF-8", b'"\xff\xfe"'),
    ("UTF-16", '{"a": 1}'.encode("utf-16")),
    ("a control character", b'"\x01"'),
    ("an escape that is none", b'"\\x41"'),
    ("a leading zero", b"01"),
    ("a pickle", pickle.dumps({"a": 1})),
    ("lists, 10⁵ deep", b"[" * DEPTH + b"]" * DEPTH),
    ("objects, 10⁵ deep", b'{"a":' * DEPTH + b"1" + b"}" * DEPTH),
    ("open lists, 10⁶", b"[" * 10**6),
    ("an int of 10⁵ digits", b"9" * 10**5),
]  # fmt: skip


@rows("JSON that is {0}", DOCUMENTS)
def malformed_json(service: Service, _: str, document: bytes) -> None:
    expect_status(response := service.send("PassThroughNode", document, format="json"), ERROR, RESOURCE_LIMIT)
    expect(response.error_message, "the message is empty")
    expect(not response.output_data, "a failure has output")
    service.check_alive()


ARRAYS: list[tuple[str, Any]] = [
    ("a shape of 2⁶⁰", {"dtype": "float32", "shape": [2**60], "data": ""}),
    ("a negative shape", {"dtype": "float32", "shape": [-1], "data": ""}),
    ("a shape of text", {"dtype": "float32", "shape": "4", "data": ""}),
    ("too little data", {"dtype": "float32", "shape": [4], "data": "AAAA"}),
    ("data that is no base64", {"dtype": "float32", "shape": [1], "data": "@@@@@@=="}),
    ("a dtype that is none", {"dtype": "quaternion", "shape": [1], "data": "AAAAAA=="}),
    ("lists of different lengths", [[1, 2], [3]]),
    ("lists of text", [["a"], ["b"]]),
    ("lists of lists, 50 deep", json.loads("[" * 50 + "1" + "]" * 50)),
]


@rows("JSON array with {0} is passed through, since it is none", ARRAYS)
def malformed_arrays(service: Service, _: str, array: Any) -> None:
    for node, item in (("AudioTransform", [array, 8_000]), ("VideoTransform", array)):
        expect(service.value(node, item, format="json") == item, f"{node} changed it")
    expect(service.value("ExtractAudioDataNode", [array, 8_000], format="json") is None, "samples were found")
