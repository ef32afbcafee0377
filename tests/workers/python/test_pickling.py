"""What may come in as a pickle."""

from __future__ import annotations

import base64
import collections
import datetime
import decimal
import os
import pickle
import sys
import unittest
import uuid

from interpreter import InterpreterTest
from rexec_runtime.places import PLACES

try:
    import cloudpickle
except ImportError:
    cloudpickle = None

MAIN = """
    import os
    from os import system, getcwd
    from dataclasses import dataclass

    @dataclass
    class Point:
        x: int
        class Inner:
            pass

    class Hostile:
        def __setstate__(self, state):
            raise ValueError("in setstate")

    alias = os.system
    bound = [].append

    def same(value):
        return value

    def where(value):
        return value.x
"""


def call(module: str, name: str, *args: object, protocol: int = 4) -> bytes:
    """A pickle that names something and calls it."""
    if protocol == 4:
        head = b"\x80\x04" + b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name)) + b"\x93"
    else:
        head = f"c{module}\n{name}\n".encode()
    return head + pickle.dumps(args, 0)[:-1] + b"R."


class Inputs(InterpreterTest):
    def setUp(self) -> None:
        super().setUp()
        self.package(main=MAIN, other="from main import Point\nimport subprocess")

    def run_bytes(self, data: bytes, attribute: str = "same") -> dict:
        self.put("input", data)
        return self.do("run", module="main", attribute=attribute)

    def test_plain_values_of_every_protocol_arrive(self) -> None:
        counter = collections.Counter("hello")
        value = [
            1, 2**100, -0.5, True, None, "ü\0", b"\xff", bytearray(b"x"), (1,), {1: [2]}, {3}, frozenset({4}), 1j,
            range(3), slice(1, 2), int, collections.OrderedDict(a=1), collections.deque([1], 5), counter,
            collections.defaultdict(list, a=[1]), datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
            datetime.timedelta(1), decimal.Decimal("1.10"), uuid.UUID(int=5),
        ]  # fmt: skip
        for protocol in range(6):
            self.expect(self.run_bytes(pickle.dumps(value, protocol)), "done")
            self.assertEqual(self.output(), value)
            with open(PLACES.file("output"), "rb") as file:
                self.assertEqual(file.read(2), b"\x80\x04")

    def test_what_reaches_further_is_refused_by_name(self) -> None:
        for module, name in (
            ("os", "system"), ("posix", "system"), ("subprocess", "Popen"), ("builtins", "eval"), ("builtins", "exec"),
            ("builtins", "getattr"), ("builtins", "__import__"), ("builtins", "open"), ("builtins", "str.format"),
            ("builtins", "object.__subclasses__"), ("builtins", "map"), ("builtins", "print"), ("codecs", "decode"),
            ("functools", "partial"), ("operator", "attrgetter"), ("importlib", "import_module"), ("sys", "exit"),
            ("collections", "OrderedDict.fromkeys"), ("datetime", "datetime.now"), ("numpy", "load"),
            ("numpy", "fromfile"), ("numpy.core.multiarray", "fromfile"), ("numpy.f2py", "run_main"),
            ("cloudpickle.cloudpickle", "_make_function"), ("rexec_runtime.bridge", "begin"), ("__main__", "x"),
            ("main", "system"), ("main", "os.system"), ("main", "alias"), ("main", "getcwd"), ("main", "bound"),
            ("main", "same.__globals__"), ("main", "Point.__init__"), ("main", "no_such"), ("other", "Point"),
            ("other", "subprocess.Popen"), ("../main", "same"), ("main\0", "same"), ("no_such", "x"),
        ):  # fmt: skip
            for protocol in (0, 4):
                with self.subTest(f"{module}.{name} {protocol}"):
                    answer = self.run_bytes(call(module, name, "touch hacked", protocol=protocol))
                    self.expect(answer, "unreadable", "is not allowed")
                    self.assertIn("Cannot unpickle: global ", answer["message"])
        self.assertFalse(os.path.exists("hacked"))
        self.assertEqual(self.console.getvalue(), "")

    def test_classes_of_the_package_arrive(self) -> None:
        from main import Point

        data = pickle.dumps([Point(3), Point.Inner])
        del sys.modules["main"]
        self.expect(self.run_bytes(data), "done")
        point, inner = self.output()
        self.assertEqual((point.x, inner.__qualname__), (3, "Point.Inner"))

    def test_what_the_packages_classes_raise_is_the_users_failure(self) -> None:
        data = b"\x80\x04\x8c\x04main\x8c\x07Hostile\x93)\x81K\x01b."
        answer = self.expect(self.run_bytes(data), "raised", "ValueError: in setstate")
        self.assertIn('File "main.py"', answer["traceback"])

    def test_malformed_pickles_are_unreadable(self) -> None:
        for data in (b"", b"\x80", b"\x80\x09.", b"K\x01", b".", b"\x80\x04\x97.", b"P1\n.", b"\x82\x01.", b"not a pickle"):
            with self.subTest(data):
                self.expect(self.run_bytes(data), "unreadable", "Cannot unpickle: ")


@unittest.skipIf(cloudpickle is None, "cloudpickle is not installed")
class Objects(InterpreterTest):
    """Serialized objects, by value and by reference."""

    def open_object(self, subject: object) -> dict:
        self.put("object", base64.b64encode(cloudpickle.dumps(subject)))
        return self.do("open", mode="object", entry={"kind": "object"}, config=False)

    def made_in_main(self) -> object:
        scope = {"__name__": "__main__"}
        source = """if True:
            import math
            from remotemedia.core.node import Node
            class Point:
                def __init__(self, x): self.x = x
            class Shape(Node):
                def __init__(self): super().__init__(name="shape"); self.calls = 0
                def process(self, x):
                    self.calls += 1
                    return math.sqrt(x), self.calls
                def point(self, x): return Point(x)
                def fails(self): raise ValueError("by value")
        """
        exec(compile(source, "/client/shapes.py", "exec"), scope)
        return scope["Shape"]

    def test_a_class_by_value_works_and_is_given_back(self) -> None:
        made = self.made_in_main()
        for subject in (made, made()):
            self.expect(self.open_object(subject), "done")
            self.assertEqual([self.called("process", 4), self.called("process", 9)], [(2.0, 1), (3.0, 2)])
            self.assertEqual(self.called("point", 5).x, 5)
            answer = self.expect(self.call("fails"), "raised", "ValueError: by value")
            self.assertIn('File "/client/shapes.py", line 12, in fails', answer["traceback"])

    def test_a_class_by_reference_comes_from_the_package(self) -> None:
        self.package(shapes="class Square:\n    def area(self):\n        return self.side ** 2")
        data = b"\x80\x04\x8c\x06shapes\x8c\x06Square\x93)\x81}\x8c\x04sideK\x05sb."
        self.put("object", base64.b64encode(data))
        self.expect(self.do("open", mode="object", entry={"kind": "object"}, config=False), "done")
        self.assertEqual(self.called("area"), 25)

    def test_what_is_missing_is_named(self) -> None:
        data = base64.b64encode(cloudpickle.dumps(self.made_in_main()))
        names = [name for name in sys.modules if name.partition(".")[0] == "cloudpickle"]
        kept = {name: sys.modules.pop(name) for name in names}
        sys.modules["cloudpickle"] = None
        try:
            self.put("object", data)
            answer = self.do("open", mode="object", entry={"kind": "object"}, config=False)
        finally:
            sys.modules.update(kept)
        self.expect(answer, "invalid", "it needs cloudpickle, which is not there; it must be in the wheelhouse")
        self.put("object", base64.b64encode(call("no_such_module", "X")))
        answer = self.do("open", mode="object", entry={"kind": "object"}, config=False)
        self.expect(answer, "invalid", 'it needs the module "no_such_module"')

    def test_what_is_no_pickle_is_refused(self) -> None:
        for data in (b"", b"!", b"\xff\xfe", base64.b64encode(b"junk"), base64.b64encode(b"\x80\x04K\x05.")):
            with self.subTest(data):
                self.put("object", data)
                answer = self.do("open", mode="object", entry={"kind": "object"}, config=False)
                self.expect(answer, "invalid", "Cannot ")
