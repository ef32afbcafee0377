"""TextProcessorNode, against CPython's str."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from harness import case, expect_equal, rows
from same import expect_same
from service import Service

PROCESSED_BY = "TextProcessorNode[remote_TextProcessorNode]"

OPERATIONS: dict[str, Callable[[str], Any]] = {
    "uppercase": str.upper,
    "lowercase": str.lower,
    "reverse": lambda text: text[::-1],
    "word_count": lambda text: len(text.split()),
    "char_count": len,
    "title_case": str.title,
    "remove_spaces": lambda text: text.replace(" ", ""),
    "first_word": lambda text: (text.split() or [""])[0],
    "last_word": lambda text: (text.split() or [""])[-1],
}

TEXTS: list[tuple[str, str]] = [
    ("plain text", "Hello brave new World"),
    ("nothing", ""),
    ("spaces only", "  \t\n "),
    ("space around", "  two  words \n"),
    ("umlauts and sharp s", "Straße ÄÖÜ äöü groß"),
    ("apostrophes", "they're bill's friends from the UK"),
    ("code points beyond 16 bits", "a😀b 👩‍👩‍👧 𝔘𝔫𝔦"),
    ("combining marks", "e\u0301le\u0300ve n\u0303"),
    ("Greek with final sigma", "ΟΔΥΣΣΕΥΣ ΣΑΣ σας"),
    ("Turkish and dotted i", "İstanbul ısırgan DIŞ"),
    ("ligatures and digraphs", "ﬁne ﬂat ŉ ǆ ǅ Ǆ ǳ"),
    ("Cyrillic, Chinese, Arabic", "привет МИР 漢字 かな مرحبا"),
    ("white space beyond ASCII", "a\u00a0b\u2003c\u3000d\u200be\u2028f\x1cg\x85h"),
    ("digits and signs", "3d-model v2.0 x_y 10th"),
    ("roman numerals", "ⅷ Ⅷ ⓐ Ⓐ"),
]


def expected_answer(text: str, operations: list[str]) -> dict[str, Any]:
    return {
        "original_text": text,
        "operations": operations,
        "results": {name: OPERATIONS[name](text) for name in operations},
        "processed_by": PROCESSED_BY,
        "node_config": {},
    }


@rows("every operation on {0} ({2})", [(*row, format) for row, format in itertools.product(TEXTS, ("pickle", "json"))])
def operations(service: Service, _: str, text: str, format: str) -> None:
    names = [*OPERATIONS]
    answer = service.value("TextProcessorNode", {"text": text, "operations": names}, format=format)
    expect_same(answer, expected_answer(text, names))


@case("lone surrogates go through as through Python's str")
def surrogates(service: Service) -> None:
    names = ["reverse", "char_count", "uppercase"]
    expect_same(
        service.value("TextProcessorNode", {"text": "a\ud800b", "operations": names}),
        expected_answer("a\ud800b", names),
    )


@case("the default is uppercase")
def default(service: Service) -> None:
    for format in ("pickle", "json"):
        answer = service.value("TextProcessorNode", {"text": "abc"}, format=format)
        expect_same(answer, expected_answer("abc", ["uppercase"]))


@case("results come in the order asked for")
def order(service: Service) -> None:
    names = [*OPERATIONS][::-1]
    answer = service.value("TextProcessorNode", {"text": "some text", "operations": names})
    expect_equal([*answer["results"]], names, "order")


@case("an unknown operation is named beside the results of the others")
def unknown(service: Service) -> None:
    answer = service.value("TextProcessorNode", {"text": "abc", "operations": ["rot13", "uppercase"]})
    expect_same(
        answer["results"],
        {"unknown_operation_rot13": "Unknown operation: rot13", "uppercase": "ABC"},
    )


@rows("{0} is answered with an error, not with a failure", [("text", "abc"), ("a number", 1), ("no text", {"a": 1})])
def errors(service: Service, _: str, value: Any) -> None:
    answer = service.value("TextProcessorNode", value)
    expect_equal(answer["processed_by"], PROCESSED_BY, "processed_by")
    expect_equal(bool(answer["error"]), True, "whether there is an error")
