"""Pickles that CPython made, through PassThroughNode: what comes back is what went in, to the type and the bit."""

from __future__ import annotations

import base64
import json
import pickle
from collections import defaultdict
from typing import Any

from harness import case, expect_equal, rows
from same import expect_same
from service import SUCCESS, Service, expect_status

VECTOR_COUNT = 600
PROTOCOLS = range(6)


def declare(path: str) -> None:
    """Declares a case for each value of the file, with its pickles of every protocol."""
    with open(path, encoding="utf-8") as file:
        vectors: list[dict[str, Any]] = json.load(file)["vectors"]
    by_name: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for vector in vectors:
        by_name[vector["name"]].append(vector)

    @case(f"there are {VECTOR_COUNT} vectors, each value in protocols 0 to 5")
    def _complete(_: Service) -> None:
        expect_equal(len(vectors), VECTOR_COUNT, "number of vectors")
        for name, group in by_name.items():
            expect_equal([vector["protocol"] for vector in group], [*PROTOCOLS], f"protocols of {name}")

    @rows("{0} comes back the same, in protocols 0 to 5", [(name,) for name in by_name])
    def _round_trip(service: Service, name: str) -> None:
        for vector in by_name[name]:
            data = base64.b64decode(vector["pickle"])
            try:
                response = service.send("PassThroughNode", data)
                expect_status(response, SUCCESS)
                expect_same(pickle.loads(response.output_data), pickle.loads(data))
            except AssertionError as error:
                raise AssertionError(f"protocol {vector['protocol']}: {error}") from error
