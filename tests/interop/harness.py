"""Cases: how a module of the suite declares them, and how they are run and reported."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from service import Service

Function = TypeVar("Function", bound=Callable[..., None])

# What a failure may say; a diff of large arrays would bury everything else.
MAX_DETAIL_LENGTH = 4_000


@dataclass(frozen=True)
class Case:
    """One thing that must hold."""

    theme: str
    name: str
    run: Callable[[Service], None]
    # Why it is not run; empty when it is.
    skipped: str = ""


CASES: list[Case] = []


def case(name: str, *, skipped: str = "") -> Callable[[Function], Function]:
    """Declares a function of the service as a case; its module is the theme. One that is skipped says why."""

    def add(function: Function) -> Function:
        CASES.append(Case(function.__module__, name, function, skipped))
        return function

    return add


def rows(name: str, table: Iterable[tuple[Any, ...]]) -> Callable[[Function], Function]:
    """Declares one case for each row: the name is formatted with the row, the function gets it after the service."""

    def add(function: Function) -> Function:
        for row in table:
            run: Callable[[Service], None] = lambda service, row=row: function(service, *row)
            CASES.append(Case(function.__module__, name.format(*row), run))
        return function

    return add


def run_cases(service: Service) -> None:
    """Runs every case in the order of declaration, and reports each as a line of JSON on standard output."""
    report({"plan": len(CASES)})
    for case in CASES:
        if case.skipped:
            report({"theme": case.theme, "case": case.name, "skipped": case.skipped})
            continue
        try:
            case.run(service)
        except Exception as error:  # every failure is a finding, and the next case is to run
            detail = f"{error or type(error).__name__}\n{traceback.format_exc()}"[:MAX_DETAIL_LENGTH]
            report({"theme": case.theme, "case": case.name, "ok": False, "detail": detail})
        else:
            report({"theme": case.theme, "case": case.name, "ok": True})


def report(line: dict[str, Any]) -> None:
    """Writes a line for the test that started us."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def expect(condition: object, problem: str) -> None:
    """Fails the case unless the condition holds."""
    if not condition:
        raise AssertionError(problem)


def expect_equal(actual: object, expected: object, what: str = "answer") -> None:
    """Fails the case unless both are equal; for Python values with their types see `same.expect_same`."""
    if actual != expected:
        raise AssertionError(f"{what} is {shorten(actual)}, expected {shorten(expected)}")


def shorten(value: object) -> str:
    """A value's repr, of a length that one can read."""
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}… ({len(text)} characters)"
