"""CodeExecutorNode and SerializedClassExecutorNode: keys, texts and values as the SDK has them."""

from __future__ import annotations

import base64
import pickle
from typing import Any

import numpy as np

from conversations import FORMATS, NodeStream, expect_nothing_left
from harness import case, expect, rows
from python_client import main_class, pickled
from same import expect_same
from service import Service

CODE_LABEL = "CodeExecutorNode[remote_CodeExecutorNode]"
CLASS_LABEL = "SerializedClassExecutorNode[remote_SerializedClassExecutorNode]"


def ran(code: str, value: Any, result: Any, config: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"executed_code": code, "input": value, "result": result, "processed_by": CODE_LABEL,
            "node_config": config or {}}  # fmt: skip


def failed(code: str, value: Any, error: str) -> dict[str, Any]:
    return {"error": error, "code": code, "input": value, "processed_by": CODE_LABEL}


def wrong(value: Any, error: str, label: str = CODE_LABEL) -> dict[str, Any]:
    return {"error": error, "input": value, "processed_by": label}


# Code, its input and its result, or what it raised.
SQUARES = "result = [number ** 2 for number in input_data]"
PROGRAM = "def twice(n):\n    return 2 * n\n\nresult = {'twice': twice(input_data['n']), 'big': 2 ** 70 % 1000}\n"
RESULTS: list[tuple[str, Any, Any]] = [
    (SQUARES, [1, 2, 3], [1, 4, 9]),
    (PROGRAM, {"n": 1.5}, {"twice": 3.0, "big": 424}),
    ("result = input_data", None, None),
    ("pass", 1, "No result variable set"),
    ("x = 1", 1, "No result variable set"),
]
ERRORS: list[tuple[str, Any, str]] = [
    ("result = 1 / input_data", 0, "division by zero"),
    ("result = missing", None, "name 'missing' is not defined"),
    ("result = (", None, "'(' was never closed (<string>, line 1)"),
    ("raise KeyError('gone')", [1], "'gone'"),
    ("import os", None, "__import__ not found"),
    ("open('/etc/passwd')", None, "name 'open' is not defined"),
    ("eval('1')", None, "name 'eval' is not defined"),
]


@rows("CodeExecutorNode over a stream: what ran, and what went wrong, key by key ({0})", FORMATS)
def code_stream(service: Service, format: str) -> None:
    with NodeStream(service, "CodeExecutorNode", {"mode": "fast"}, format) as stream:
        for code, value, result in RESULTS:
            stream.give({"code": code, "input": value})
            expect_same(stream.output(), ran(code, value, result, {"mode": "fast"}))
        for code, value, error in ERRORS:
            stream.give({"code": code, "input": value})
            expect_same(stream.output(), failed(code, value, error))
        for value, error in (([1], "Input must be a dictionary"), ({"input": 1}, "Input must contain 'code' key")):
            stream.give(value)
            expect_same(stream.output(), wrong(value, error))
        # Code has an end, and leaves nothing for what comes after it.
        stream.give({"code": "result = 'left' if 'twice' in dir() else 'nothing'"})
        expect_same(stream.output()["result"], "nothing")
        stream.half_close()
        expect_same(stream.rest(), [])
    expect_nothing_left(service)


@case("CodeExecutorNode with enable_safe_imports: what it may import, and arrays in and out")
def safe_imports(service: Service) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    code = "import math, json\nresult = (math.floor(2.5), json.dumps([1]), input_data, input_data.tolist())"
    answer = service.value("CodeExecutorNode", {"code": code, "input": array}, config={"enable_safe_imports": "True"})
    expect_same(answer, ran(code, array, (2, "[1]", array, array.tolist())))


COUNTER = '''
class Counter:
    step = 2

    def __init__(self, count):
        self.count = count

    def add(self, number, times=1):
        self.count += number * times * self.step
        return self.count

    async def later(self):
        return ("later", self.count)

    def items(self):
        yield self.count
        yield self.count + 1

    def fails(self):
        self.count = -1
        raise ValueError("not that")
'''


def called(text: Any, method: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    return {"serialized_object": text, "method_name": method, "method_args": [*args], "method_kwargs": kwargs}


def expect_called(answer: dict[str, Any], result: Any) -> str:
    """Fails the case unless the answer is one of success, with this result. Gives the updated object."""
    expect_same([*answer], ["result", "updated_serialized_object", "processed_by"])
    expect_same((answer["result"], answer["processed_by"]), (result, CLASS_LABEL))
    return answer["updated_serialized_object"]


def expect_class_error(answer: dict[str, Any], error: str, error_type: str, method: str) -> None:
    expected = {"error": error, "error_type": error_type, "method_name": method, "processed_by": CLASS_LABEL}
    expect_same(answer, expected)


@rows("SerializedClassExecutorNode: state goes out and in with the object ({0})", FORMATS)
def class_state(service: Service, format: str) -> None:
    kind = main_class(COUNTER, "Counter")
    with NodeStream(service, "SerializedClassExecutorNode", format=format) as stream:

        def ask(*request: Any, **kwargs: Any) -> Any:
            stream.give(called(*request, **kwargs))
            return stream.output()

        text = pickled(kind(1))
        for number, times, count in ((1, 1, 3), (2, 5, 23)):
            text = expect_called(ask(text, "add", number, times=times), count)
            # A client may go on with it by itself: the class is its own.
            expect_same(pickle.loads(base64.b64decode(text)).count, count)
        later = ("later", 23) if format == "pickle" else ["later", 23]
        text = expect_called(ask(text, "later"), later)
        text = expect_called(ask(text, "items"), [23, 24])
        expect_class_error(ask(text, "fails"), "Method execution failed: not that", "RuntimeError", "fails")
        missing = "Object does not have method 'missing'"
        expect_class_error(ask(text, "missing"), missing, "AttributeError", "missing")
        expect_class_error(ask(text, "count"), "'count' is not callable", "TypeError", "count")
        for bad in ("gARLAS4", "bm8gcGlja2xl", ""):
            answer = ask(bad, "add", 1)
            expect(answer["error"].startswith("Failed to deserialize object: "), answer["error"])
            expect_class_error(answer, answer["error"], "ValueError", "add")
        for value, error in (
            ("x", "Input must be a dictionary"),
            ({"method_name": "add"}, "Input must contain 'serialized_object' key"),
            ({"serialized_object": text}, "Input must contain 'method_name' key"),
        ):
            stream.give(value)
            expect_same(stream.output(), wrong(value, error, CLASS_LABEL))
        expect_called(ask(text, "add", 0), 23)
        stream.half_close()
        expect_same(stream.rest(), [])
    expect_nothing_left(service)


@case("SerializedClassExecutorNode by ExecuteNode: one object goes from call to call")
def class_calls(service: Service) -> None:
    text = pickled(main_class(COUNTER, "Counter")(10))
    for count in (12, 14):
        answer = service.value("SerializedClassExecutorNode", called(text, "add", 1))
        text = expect_called(answer, count)
    expect_nothing_left(service)
