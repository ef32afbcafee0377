"""DataTransform against Python's own expressions, FormatConverter against Python's own formats."""

from __future__ import annotations

import base64
import csv
import io
import json
import struct
import wave
import zlib
from typing import Any

import numpy as np

from arrays import to_base64
from harness import case, expect, expect_equal, rows
from same import expect_same
from service import ERROR, SECURITY_VIOLATION, Service, expect_failure

RECORDS = [
    {"id": 1, "name": "Ada", "price": 2.5, "count": 4, "tags": ["a", "b"], "at": {"x": 1, "y": {"z": -2}}},
    {"id": 2, "name": "Grace", "price": 10.0, "count": 3, "tags": [], "at": {"x": -7, "y": {"z": 0}}},
    {"id": 3, "name": "Straße", "price": 0.1, "count": -3, "tags": ["c"], "at": {"x": 2**70, "y": {"z": 5}}},
]

# Each means the same to Python, with the record's fields as names.
EXPRESSIONS = [
    "price * count", "id + 1", "id / 2", "count // 2", "count % 2", "-count ** 2", "2 ** id", "at['x'] * 3",
    "at['y']['z'] < id <= 2", "'a' in tags", "not tags", "price > 1 and count > 0", "tags or 'none'",
    "name if id == 1 else id", "name[0]", "name[-2:]", "tags[:1]", "[id, name, [price]]", "len(name)",
    "len(tags) + abs(count)", "round(price)", "str(price)", "int(price)", "float(id)", "max(id, count)",
    "min([price, 1])", "sorted([count, id, 0])", "sum([id, 1, 2.5])", "any([0, id])", "all([1, count])",
    "price == 10", "id is None", "None", "True", "1.5e3", "'it' + 's'", "name * 2", "id != 2 or count",
]  # fmt: skip

FUNCTIONS = {
    name: getattr(__import__("builtins"), name)
    for name in ("len", "abs", "round", "str", "int", "float", "max", "min", "sorted", "sum", "any", "all")
}


def transform(service: Service, records: Any, *operations: dict[str, Any], **rest: Any) -> Any:
    """The node's answer."""
    return service.value("DataTransform", records, config={"operations": json.dumps(operations)}, **rest)


@rows("DataTransform: {0} means what it means to Python ({1})", [
    (source, format) for source in EXPRESSIONS for format in ("pickle", "json")
])  # fmt: skip
def expressions(service: Service, source: str, format: str) -> None:
    answer = transform(service, RECORDS, {"op": "map", "expression": source}, format=format)
    expect_same(answer, [eval(source, {"__builtins__": FUNCTIONS}, record) for record in RECORDS])


PIPELINES: list[tuple[str, list[dict[str, Any]], Any]] = [
    ("nothing", [], RECORDS),
    ("pick", [{"op": "pick", "fields": ["name", "id", "missing"]}], [{"name": r["name"], "id": r["id"]} for r in RECORDS]),
    (
        "drop",
        [{"op": "drop", "fields": ["tags", "at", "price", "missing"]}],
        [{"id": r["id"], "name": r["name"], "count": r["count"]} for r in RECORDS],
    ),
    (
        "rename, in place",
        [{"op": "pick", "fields": ["id", "name"]}, {"op": "rename", "fields": {"id": "key"}}],
        [{"key": r["id"], "name": r["name"]} for r in RECORDS],
    ),
    (
        "map, all from the record as it was",
        [{"op": "pick", "fields": ["id", "count"]}, {"op": "map", "fields": {"id": "count", "count": "id"}}],
        [{"id": r["count"], "count": r["id"]} for r in RECORDS],
    ),
    ("filter", [{"op": "filter", "expression": "count > 0"}], [r for r in RECORDS if r["count"] > 0]),
    (
        "flatten",
        [{"op": "pick", "fields": ["at"]}, {"op": "flatten", "separator": "_"}],
        [{"at_x": r["at"]["x"], "at_y_z": r["at"]["y"]["z"]} for r in RECORDS],
    ),
    (
        "flatten by a list",
        [{"op": "pick", "fields": ["id", "tags"]}, {"op": "flatten", "field": "tags"}],
        [{"id": r["id"], "tags": tag} for r in RECORDS for tag in r["tags"]],
    ),
    (
        "cast",
        [{"op": "pick", "fields": ["price", "id"]}, {"op": "cast", "fields": {"price": "str", "id": "float"}}],
        [{"price": str(r["price"]), "id": float(r["id"])} for r in RECORDS],
    ),
]


@rows("DataTransform: {0}", PIPELINES)
def pipelines(service: Service, _: str, operations: list[dict[str, Any]], expected: Any) -> None:
    for format in ("pickle", "json"):
        expect_same(transform(service, RECORDS, *operations, format=format), expected)


@case("DataTransform: one dict gives one, none or many; a tuple a tuple")
def shapes(service: Service) -> None:
    keep, lose = {"op": "filter", "expression": "True"}, {"op": "filter", "expression": "False"}
    expect_same(transform(service, RECORDS[0], keep), RECORDS[0])
    expect_same(transform(service, RECORDS[0], lose), None)
    expect_same(transform(service, tuple(RECORDS), keep), tuple(RECORDS))


@case("DataTransform: operations as the SDK writes them, with str()")
def operations_by_str(service: Service) -> None:
    config = {"operations": str([{"op": "pick", "fields": ["id"]}])}
    expect_same(service.value("DataTransform", RECORDS, config=config), [{"id": r["id"]} for r in RECORDS])


@case("DataTransform: a record that fails ends the task by name, or is left out")
def failing_record(service: Service) -> None:
    operations = [{"op": "map", "fields": {"ratio": "id / (id - 2)"}}]
    config = {"operations": json.dumps(operations)}
    response = service.run("DataTransform", RECORDS, config=config)
    expect_failure(response, ERROR, "Node execution failed: ", "record 1", "division by zero", "ratio")
    expect(response.error_message.startswith("Node execution failed: "), response.error_message)
    answer = service.value("DataTransform", RECORDS, config={**config, "on_error": "skip"})
    expect_same([record["id"] for record in answer], [1, 3])


CODE = [
    "__import__('os').system('true')",
    "().__class__.__bases__[0].__subclasses__()",
    "name.__class__.__mro__",
    "open('/etc/passwd').read()",
    "eval('1')",
    "(lambda: 1)()",
    "[x for x in tags]",
    "constructor.constructor('return 1')()",
    "name.constructor('return Deno')()",
    "id = 2",
    "`${id}`",
    "Deno.exit()",
    "9 ** 9 ** 9 ** 9",
    "'x' * 10 ** 12",
    "(" * 10_000 + "1" + ")" * 10_000,
]


@rows("DataTransform: no code is run for {0:.60}", [(source,) for source in CODE])
def code(service: Service, source: str) -> None:
    config = {"operations": json.dumps([{"op": "map", "expression": source}])}
    response = service.run("DataTransform", RECORDS, config=config)
    expect(response.status not in (0, 1), f"it gave {response.output_data!r:.200}")
    expect(response.error_message, "the message is empty")
    expect(response.status != SECURITY_VIOLATION or "global" not in response.error_message, response.error_message)
    service.check_alive()


def convert(service: Service, value: Any, *, format: str = "pickle", **config: str) -> Any:
    """The converter's answer."""
    return service.value("FormatConverter", value, format=format, config=config)


DATA = {
    "int": 1, "float": 1.0, "big": 2**62, "neg": -5, "text": 'ä\n"x", y', "yes": True, "no": False, "none": None,
    "list": [1, 1.5, [], {}], "tiny": 5e-324, "like a number": "1.0", "like a bool": "no", "like a date": "2001-01-01",
}  # fmt: skip


@case("FormatConverter: JSON is what json.loads reads")
def to_json(service: Service) -> None:
    answer = convert(service, DATA)
    expect_equal(type(answer), str, "type")
    expect_same(json.loads(answer), DATA)
    expect_same(convert(service, json.dumps(DATA), source_format="json", target_format="data"), DATA)


@rows("FormatConverter: {0} and back keeps values and types", [("json",), ("yaml",), ("msgpack",)])
def there_and_back(service: Service, name: str) -> None:
    for format, binary in (("pickle", "auto"), ("json", "base64")):
        written = convert(service, DATA, target_format=name, binary_as=binary, format=format)
        expect_same(convert(service, written, source_format=name, target_format="data", format=format), DATA)


@case("FormatConverter: CSV is what csv.reader reads")
def to_csv(service: Service) -> None:
    table = [{"a": 1, "b": 'x,"y"\nz'}, {"a": 2.5, "b": ""}, {"a": "ü", "b": " s "}]
    for delimiter in (",", ";"):
        text = convert(service, table, target_format="csv", delimiter=delimiter)
        lines = [*csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)]
        expect_equal(lines, [["a", "b"], *[[str(row["a"]), row["b"]] for row in table]])


@case("FormatConverter: CSV that csv.writer writes is read")
def from_csv(service: Service) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["a", "b"])
    writer.writeheader()
    table = [{"a": "1", "b": 'x,"y"\nz'}, {"a": "", "b": "ü"}]
    writer.writerows(table)
    expect_equal(convert(service, text.getvalue(), source_format="csv", target_format="data"), table)


@case("FormatConverter: base64 is base64")
def to_base64_text(service: Service) -> None:
    data = bytes(range(256))
    text = convert(service, data, target_format="base64")
    expect_equal(text, base64.b64encode(data).decode())
    expect_equal(convert(service, text, source_format="base64", target_format="data"), data)


def read_wav(data: bytes) -> tuple[np.ndarray, int]:
    """int16 samples of shape (channels, samples), and the rate."""
    with wave.open(io.BytesIO(data)) as file:
        expect_equal(file.getsampwidth(), 2, "bytes of a sample")
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
        return samples.T, file.getframerate()


@case("FormatConverter: WAV is what Python's wave reads")
def to_wav(service: Service) -> None:
    samples = np.array([[0, 1, -32768, 32767, 1000], [5, 4, 3, 2, 1]], np.int16)
    read, rate = read_wav(convert(service, (samples, 22_050), target_format="wav"))
    expect_equal((read.tolist(), rate), (samples.tolist(), 22_050))
    floats = np.array([[0.0, 0.5, -1.0, 2.0]], np.float32)
    read, _ = read_wav(convert(service, (floats, 8_000), target_format="wav"))
    error = np.abs(read[0] - np.array([0, 16384, -32768, 32767])).max()
    expect(error <= 1, f"samples are off by {error}: {read}")
    text = convert(service, [to_base64(samples), 22_050], target_format="wav", format="json")
    expect_equal(read_wav(base64.b64decode(text))[0].tolist(), samples.tolist())


@case("FormatConverter: WAV that Python's wave writes is read")
def from_wav(service: Service) -> None:
    samples = np.array([[0, 16384, -32768], [1, 2, 3]], np.int16)
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((2, 2, 48_000, 0, "NONE", ""))
        writer.writeframes(samples.T.tobytes())
    read, rate = convert(service, file.getvalue(), source_format="wav", target_format="data")
    expect_equal((rate, read.dtype, read.tolist()), (48_000, np.dtype(np.float32), (samples / 32768).tolist()))


CHANNELS_OF_COLOUR = {0: 1, 2: 3, 6: 4}


def read_png(data: bytes) -> np.ndarray:
    """The pixels of a PNG with 8 bits a channel (https://www.w3.org/TR/png-3/)."""
    expect_equal(data[:8], b"\x89PNG\r\n\x1a\n", "signature")
    at, packed, header = 8, b"", b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        expect_equal(struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0], zlib.crc32(kind + body), "CRC")
        packed += body if kind == b"IDAT" else b""
        header = body if kind == b"IHDR" else header
        at += 12 + length
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    expect_equal((bits, interlaced), (8, 0), "bits and interlace")
    channels = CHANNELS_OF_COLOUR[colour]
    stride = width * channels
    raw = zlib.decompress(packed)
    pixels = np.zeros((height + 1, stride + channels), int)  # with a border of zeros above and left
    for y in range(height):
        kind, line = raw[y * (stride + 1)], raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)]
        for x, value in enumerate(line, channels):
            left, up, corner = pixels[y + 1, x - channels], pixels[y, x], pixels[y, x - channels]
            paeth = min((left, up, corner), key=lambda near: abs(left + up - corner - near))
            pixels[y + 1, x] = (value + (0, left, up, (left + up) // 2, paeth)[kind]) % 256
    return pixels[1:, channels:].reshape(height, width, channels).astype(np.uint8)


def write_png(frame: np.ndarray) -> bytes:
    """The frame as a PNG without filters."""
    height, width, channels = frame.shape
    colour = {count: code for code, count in CHANNELS_OF_COLOUR.items()}[channels]
    lines = b"".join(b"\x00" + line.tobytes() for line in frame)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@rows("FormatConverter: PNG of {0} channels, there and back", [(1,), (3,), (4,)])
def png(service: Service, channels: int) -> None:
    frame = np.random.default_rng(channels).integers(0, 256, (7, 5, channels), np.uint8)
    expect_equal(read_png(convert(service, frame, target_format="png")).tolist(), frame.tolist())
    read = convert(service, write_png(frame), source_format="png", target_format="data")
    expect_equal((read.dtype, read.reshape(frame.shape).tolist()), (frame.dtype, frame.tolist()))
    text = convert(service, frame.tolist(), target_format="png", format="json")
    expect_equal(read_png(base64.b64decode(text)).tolist(), frame.tolist())


@rows("FormatConverter: {0} that it cannot write passes through", [
    ("wav", "no audio"),
    ("png", [1, 2, 3]),
    ("csv", 5),
])  # fmt: skip
def inexpressible(service: Service, name: str, value: Any) -> None:
    expect_same(convert(service, value, target_format=name), value)


@rows("FormatConverter: what is no {0} passes through", [("json",), ("msgpack",), ("wav",), ("png",), ("base64",)])
def unreadable(service: Service, name: str) -> None:
    expect_same(convert(service, b"\xc1\xff{", source_format=name, target_format="data"), b"\xc1\xff{")
