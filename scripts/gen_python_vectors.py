"""Writes what CPython makes of arithmetic and of text, for the tests of the nodes that promise Python's results.

Usage: /usr/bin/python3 scripts/gen_python_vectors.py   (CPython 3.11; writes tests/data/python-*.json)

Values are texts: "i:<decimal>" int, "f:<16 hex digits>" float, "c:<hex>,<hex>" complex, "b:0|1" bool, "s:<text>" str,
"y:<hex>" bytes, "n" None; lists and tuples are {"list": [...]} and {"tuple": [...]}.
"""

import json
import operator
import pathlib
import random
import struct
import sys

DATA = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data"
OPERATORS = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    "//": operator.floordiv, "%": operator.mod, "**": operator.pow,
}


def encode(value):
    if value is None:
        return "n"
    if isinstance(value, bool):
        return f"b:{int(value)}"
    if isinstance(value, int):
        return f"i:{value}"
    if isinstance(value, float):
        return "f:" + struct.pack(">d", value).hex()
    if isinstance(value, complex):
        return "c:" + ",".join(struct.pack(">d", part).hex() for part in (value.real, value.imag))
    if isinstance(value, str):
        return f"s:{value}"
    if isinstance(value, bytes):
        return f"y:{value.hex()}"
    if isinstance(value, list):
        return {"list": [encode(item) for item in value]}
    if isinstance(value, tuple):
        return {"tuple": [encode(item) for item in value]}
    raise TypeError(type(value))


def affordable(sign, a, b):
    """No exponents that would take Python itself down."""
    if sign == "**" and isinstance(a, int) and isinstance(b, int) and abs(a) > 1:
        return b < 0 or (b < 5000 and a.bit_length() * b < 1_500)
    if sign == "*":
        for text, times in ((a, b), (b, a)):
            if isinstance(text, (str, bytes, list, tuple)) and isinstance(times, int) and times > 100 and text:
                return times >= 2**63
    return not (sign == "%" and isinstance(a, (str, bytes)))


def row(sign, a, b):
    try:
        return [sign, encode(a), encode(b), encode(OPERATORS[sign](a, b))]
    except (TypeError, ArithmeticError, ValueError) as error:
        return [sign, encode(a), encode(b), {"raises": [type(error).__name__, str(error)]}]


def arithmetic():
    random.seed(20)
    inf, nan = float("inf"), float("nan")
    special = [
        0, 1, -1, 2, -2, 3, 7, -7, 10, 2**53, 2**53 + 1, -(2**53) - 1, 2**63, 10**22, 10**25 + 1, 3**80, -(3**80), 10**320,
        True, False, 0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.5, -7.5, 0.1, 3.0, 1e16, 1e308, -1e308, 5e-324, 2.2250738585072014e-308,
        1e-5, inf, -inf, nan, 1j, 1 + 2j, 0j, -3.5 - 0.25j,
    ]
    other = ["ab", "", b"xy", [1, 2], [], (1,), (), None]
    rows = [row(sign, a, b) for sign in OPERATORS for a in special for b in special if affordable(sign, a, b) and random.random() < 0.4]
    for sign in OPERATORS:
        for a in other:
            for b in other + [0, 2, -1, True, 1.5, 2**70, 1j]:
                rows += [row(sign, x, y) for x, y in ((a, b), (b, a)) if affordable(sign, x, y)]
    for _ in range(700):
        a = random.uniform(0.001, 50)
        rows.append(row("**", a, random.uniform(-30, 30)))
        rows.append(row("**", a, float(random.randint(-12, 12))))
    for _ in range(300):
        exponent = random.uniform(-300, 300)
        rows.append(row("**", 10.0 ** random.uniform(-5, 5), exponent / 5))
        rows.append(row("**", random.randint(2, 400) ** 2 / 1.0, random.choice([0.5, 1.5, 2.5, -0.5])))
    for _ in range(150):
        bits = random.randint(40, 1300)
        a = random.getrandbits(bits) * random.choice([1, -1])
        b = random.getrandbits(random.randint(1, bits + 60)) * random.choice([1, -1]) or 1
        for sign in ("/", "//", "%", "*"):
            rows.append(row(sign, a, b))
    for _ in range(200):
        a, b = random.uniform(-100, 100), random.uniform(-9, 9)
        for sign in ("/", "//", "%"):
            rows.append(row(sign, a, b))
            rows.append(row(sign, a, random.randint(1, 9) * random.choice([1, -1])))
    return rows


def text():
    texts = [
        "", " ", "hello world", "they're bill's friends", "HELLO", "straße", "ǆ ǅ Ǆ", "İstanbul ıI", "ΟΔΥΣΣΕΥΣ σας Σ ΑΣ. ΑΣΑ",
        "e\u0301le\u0301phant cafe\u0301", "a\u0308b", "👩‍👩‍👧 family 😀x", "ﬁne oﬀ", "ŉ ǰ ΐ", "1st 2nd a1b2", "x\u00a0y\u2003z\u3000w\u0085v\x1cu\x1ft\u200bs\ufeffr",
        "\tline one\r\nline\x0btwo\x0c", "ß", "ᾳ ᾼ ᾲ", "ⓐⓑ Ⓐ", "ⅷ Ⅷ", "don\u2019t o'neill-smith", "𐐨𐐀 deseret", "ʼn ªº", "a\u0345b", "ꭰ Ꭰ Ა ა", "ᲀ ẞ", "x\u2028y\u2029z",
        "მხედრული ქართული", "Σ", "aΣ", "aΣ\u0301", "aΣ\u00adb", "A.Σ B", "\u0345Σ", "中文 字", "مرحبا بالعالم", "a\u180eb", "  many   spaces  ",
        "\ud800x", "ŐŰ őű", "ǅungla", "i\u0307 I\u0307 \u0130", "ﬃ ﬄ ﬅ ﬆ ﬓ", "և ԵՒ", "\u1e9b \u1e9e", "Ω K Å", "²³¹ x²y", "_a_b", "a\u0301b\u0301", "x\u02b0y",
    ]
    return [
        [
            value, value.upper(), value.lower(), value[::-1], len(value.split()), len(value), value.title(), value.replace(" ", ""),
            (value.split() or [""])[0], (value.split() or [""])[-1],
        ]
        for value in texts
    ]


def write(name, content):
    lines = ",\n".join(json.dumps(line, ensure_ascii=True, separators=(",", ":")) for line in content)
    (DATA / name).write_text(f'{{"python":"{sys.version.split()[0]}","rows":[\n{lines}\n]}}\n')


sys.set_int_max_str_digits(0)
write("python-arithmetic.json", arithmetic())
write("python-text.json", text())
