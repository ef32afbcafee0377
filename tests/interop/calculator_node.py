"""CalculatorNode, against CPython's own arithmetic."""

from __future__ import annotations

import itertools
import json
import operator
import sys
from collections.abc import Callable
from typing import Any

from harness import case, expect_equal, rows
from same import expect_same
from service import RESOURCE_LIMIT, Service, expect_failure

OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": operator.pow,
    "modulo": operator.mod,
}
# Digits that an int may have as JSON text, here and there; a pickle may have more, and its repr is to be seen.
MAX_JSON_DIGITS = sys.get_int_max_str_digits()
sys.set_int_max_str_digits(0)

PROCESSED_BY = "CalculatorNode[remote_CalculatorNode]"

NUMBERS: list[Any] = [
    0, 1, -1, 2, 3, -3, 7, -7, 10, 255, 2**31, -(2**31), 2**53 - 1, 2**53 + 1, 2**63, -(2**64) - 1, 10**30 + 7,
    0.0, -0.0, 0.5, -0.5, 1.0, 1.5, -2.5, 3.0, 0.1, 1e-3, 1e16, 1e300, -1e300, 5e-324, True, False,
]  # fmt: skip


def expected_answer(operation: str, a: Any, b: Any) -> dict[str, Any]:
    """What the node gives; Python itself says what the result is, or what it raises."""
    if operation in ("divide", "modulo") and b == 0:
        error = {"divide": "Division by zero", "modulo": "Modulo by zero"}[operation]
    else:
        try:
            result = OPERATIONS[operation](a, b)
        except ArithmeticError as raised:
            error = str(raised)
        else:
            return {
                "operation": operation,
                "args": [a, b],
                "result": result,
                "processed_by": PROCESSED_BY,
                "node_config": {},
            }
    return {"error": error, "operation": operation, "args": [a, b], "processed_by": PROCESSED_BY}


def bearable(operation: str, a: Any, b: Any) -> bool:
    """Leaves out powers that CPython itself would take for ever to compute."""
    return operation != "power" or isinstance(a, float) or isinstance(b, float) or abs(a) <= 1 or abs(b) <= 300


@rows("{0} of every pair of numbers, pickle", [(operation,) for operation in OPERATIONS])
def arithmetic(service: Service, operation: str) -> None:
    for a, b in itertools.product(NUMBERS, NUMBERS):
        if bearable(operation, a, b):
            answer = service.value("CalculatorNode", {"operation": operation, "args": [a, b]})
            try:
                expect_same(answer, expected_answer(operation, a, b))
            except AssertionError as error:
                raise AssertionError(f"{a!r}, {b!r}: {error}") from error


@rows("{0} of pairs of numbers, JSON", [(operation,) for operation in OPERATIONS])
def arithmetic_json(service: Service, operation: str) -> None:
    for a, b in itertools.product(NUMBERS[::2], NUMBERS[1::2]):
        if not bearable(operation, a, b):
            continue
        expected = expected_answer(operation, a, b)
        if isinstance(expected.get("result"), complex):
            continue  # JSON has no complex numbers
        value = {"operation": operation, "args": [a, b]}
        if isinstance(expected.get("result"), int) and abs(expected["result"]) >= 10**MAX_JSON_DIGITS:
            expect_failure(service.run("CalculatorNode", value, format="json"), RESOURCE_LIMIT, str(MAX_JSON_DIGITS))
            continue
        answer = service.value("CalculatorNode", value, format="json")
        try:
            expect_same(answer, json.loads(json.dumps(expected)))
        except AssertionError as error:
            raise AssertionError(f"{a!r}, {b!r}: {error}") from error


BIG: list[tuple[str, str, list[int]]] = [
    ("a product of 2,000 digits", "multiply", [3**2000, 7**1500]),
    ("a power of 3,010 digits", "power", [2, 10_000]),
    ("a remainder of a power", "modulo", [-(10**500) - 1, 10**50 + 9]),
    ("a quotient of ints beyond float", "divide", [10**400, 10**399]),
    ("a sum beyond 64 bits", "add", [2**63 - 1, 1]),
]


@rows("{0} is exact", BIG)
def big(service: Service, _: str, operation: str, args: list[int]) -> None:
    for format in ("pickle", "json"):
        answer = service.value("CalculatorNode", {"operation": operation, "args": args}, format=format)
        expect_same(answer["result"], OPERATIONS[operation](*args))


@case("complex numbers are computed as Python does")
def complex_numbers(service: Service) -> None:
    for operation, a, b in (("power", -8, 1 / 3), ("add", 1 + 2j, 3), ("multiply", 1 + 2j, 3 - 1j)):
        result = service.value("CalculatorNode", {"operation": operation, "args": [a, b]})["result"]
        expected = OPERATIONS[operation](a, b)
        expect_equal(type(result), complex, "type")
        expect_equal(abs(result - expected) <= 1e-15 * abs(expected), True, f"{result} is {expected}")


@case("args may be a tuple, and more than two are kept but not used")
def args(service: Service) -> None:
    answer = service.value("CalculatorNode", {"operation": "add", "args": (1, 2, 3)})
    expect_same((answer["args"], answer["result"]), ((1, 2, 3), 3))


BAD: list[tuple[str, Any, str]] = [
    ("a text", "1+1", "Input must be a dictionary"),
    ("a list", [1, 2], "Input must be a dictionary"),
    ("None", None, "Input must be a dictionary"),
    ("an empty dict", {}, "Input must contain 'operation' and 'args' keys"),
    ("no args", {"operation": "add"}, "Input must contain 'operation' and 'args' keys"),
    ("no operation", {"args": [1, 2]}, "Input must contain 'operation' and 'args' keys"),
    ("one argument", {"operation": "add", "args": [1]}, "Operation 'add' requires at least 2 arguments"),
    ("division by zero", {"operation": "divide", "args": [1, 0]}, "Division by zero"),
    ("division by 0.0", {"operation": "divide", "args": [1.5, 0.0]}, "Division by zero"),
    ("modulo zero", {"operation": "modulo", "args": [1, 0]}, "Modulo by zero"),
    ("an unknown operation", {"operation": "sqrt", "args": [1, 2]}, "Unknown operation: sqrt"),
]


@rows("error for {0}", BAD)
def errors(service: Service, _: str, value: Any, message: str) -> None:
    for format in ("pickle", "json"):
        answer = service.value("CalculatorNode", value, format=format)
        expect_equal(answer["error"], message, "error")
        expect_equal(answer["processed_by"], PROCESSED_BY, "processed_by")
        expect_equal("result" in answer, False, "whether there is a result")
