"""Runs the tests of this folder and writes a line of JSON for each, and one with their number before."""

from __future__ import annotations

import json
import os
import sys
import unittest
from typing import Any

FOLDER = os.path.dirname(os.path.abspath(__file__))


class Lines(unittest.TestResult):
    """Writes what became of each test; a test fails once, with all that failed in it."""

    def __init__(self, out: Any) -> None:
        super().__init__()
        self._out = out
        self._details: list[str] = []

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._details = []

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._details.append(self._exc_info_to_string(err, test))

    addError = addFailure

    def addSubTest(self, test: unittest.TestCase, subtest: Any, err: Any) -> None:
        if err is not None:
            self._details.append(f"{subtest}\n{self._exc_info_to_string(err, test)}")

    def stopTest(self, test: unittest.TestCase) -> None:
        skipped = [reason for one, reason in self.skipped if one is test]
        name = test.id().rpartition(".")[2].removeprefix("test_").replace("_", " ")
        self.write({
            "theme": type(test).__module__.removeprefix("test_").replace("_", " "),
            "name": name,
            **({"skipped": skipped[0]} if skipped else {}),
            **({"failure": "\n".join(self._details)} if self._details else {}),
        })  # fmt: skip
        super().stopTest(test)

    def write(self, line: dict[str, Any]) -> None:
        self._out.write(json.dumps(line) + "\n")
        self._out.flush()


def main() -> None:
    sys.path[:0] = [FOLDER, os.path.abspath(sys.argv[1])]
    suite = unittest.defaultTestLoader.discover(FOLDER)
    lines = Lines(sys.stdout)
    lines.write({"plan": suite.countTestCases()})
    suite.run(lines)


main()
