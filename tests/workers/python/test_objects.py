"""Objects and streams: open, process, flush, call, close."""

from __future__ import annotations

import os
import pickle

from interpreter import InterpreterTest
from rexec_runtime import bridge

MAIN = """
    import asyncio, collections, contextvars
    from remotemedia.core.node import Node
    from remotemedia.core.exceptions import NodeError

    seen = contextvars.ContextVar("seen", default=0)

    class Account(dict):
        def __init__(self, owner="nobody", *, balance=0):
            self.owner, self.balance = owner, balance
            self.hook = lambda: "hook"
        async def initialize(self):
            self.ready = True
        def deposit(self, amount):
            self.balance += amount
            return self.balance
        async def slowly(self):
            await asyncio.sleep(0.01)
            return self.ready
        def several(self):
            try:
                yield 1
                yield 2
            finally:
                print("several closed")
        async def several_async(self):
            try:
                yield 3
                yield 4
            finally:
                print("several_async closed")
        def none_of_them(self):
            yield from ()
        def count_calls(self):
            seen.set(seen.get() + 1)
            return seen.get()
        @property
        def secret(self):
            print("property ran")
            return lambda: 1
        @staticmethod
        def fixed():
            return "fixed"
        def _private(self):
            return 1
        def fails(self):
            raise NodeError("no")
        def cleanup(self):
            print("goodbye", self.owner)

    class Table(collections.UserDict):
        def mine(self):
            return 1

    class Effect(Node):
        def __init__(self, gain=1.0, **kwargs):
            super().__init__(**kwargs)
            self.gain = gain
        async def initialize(self):
            await super().initialize()
            print("initialized")
        async def process(self, stream):
            try:
                total = 0
                async for item in stream:
                    total += item
                    yield item * self.gain
                    if item == 3:
                        await asyncio.sleep(0.01)
                        yield "three"
                yield ("total", total)
            finally:
                print("stream ended")
        def flush(self):
            return "flushed"
        def cleanup(self):
            print("cleaned")

    class Each(Node):
        is_streaming = False
        async def process(self, item):
            yield item
            yield item

    class Collector:
        def __init__(self): self.items = []
        def process(self, item):
            if item == "bad": raise ValueError("bad item")
            self.items.append(item)
            if len(self.items) == 2:
                items, self.items = self.items, []
                return items
        def flush(self):
            yield from self.items

    async def doubled(stream):
        async for item in stream:
            yield item
            yield item

    async def first_only(stream):
        async for item in stream:
            yield item
            return

    async def failing(stream):
        async for item in stream:
            raise ValueError(item)
            yield

    async def asks_nothing(stream):
        for number in range(3):
            yield number

    async def refuses_to_end(stream):
        try:
            async for item in stream:
                yield item
        finally:
            raise RuntimeError("on the way out")

    async def never(item):
        try:
            await asyncio.Event().wait()
        finally:
            print("never ended")

    def half(item):
        return None if item % 2 else item // 2

    def numbers(count):
        try:
            yield from range(count)
        finally:
            print("numbers closed")

    instance = Account("instance")

    class FailsToStart(Collector):
        def initialize(self): raise ValueError("not today")
        def cleanup(self): print("cleaned all the same"); raise ValueError("hidden")

    class NoProcess:
        def other(self): pass
"""


class Objects(InterpreterTest):
    def setUp(self) -> None:
        super().setUp()
        self.package(main=MAIN)

    def opened(self, attribute: str, mode: str = "stream", **config: object) -> None:
        self.expect(self.open(attribute, mode, **config), "done")

    def test_call_calls_methods_of_every_kind_and_keeps_the_state(self) -> None:
        self.opened("Account", "object", owner="Ada", unknown=1)
        self.assertEqual([self.called("deposit", 10), self.called("deposit", 5)], [10, 15])
        self.assertIs(self.called("slowly"), True)
        self.assertEqual([self.called("several"), self.called("several_async")], [1, 3])
        self.assertEqual(self.console.getvalue(), "several closed\nseveral_async closed\n")
        self.assertIsNone(self.called("none_of_them"))
        self.assertEqual([self.called("count_calls"), self.called("count_calls")], [1, 2])
        self.assertEqual([self.called("fixed"), self.called("hook")], ["fixed", "hook"])
        self.assertIsNone(self.called("initialize"))
        answer = self.expect(self.call("fails"), "raised", "remotemedia.core.exceptions.NodeError: no")
        self.assertIn('File "main.py"', answer["traceback"])
        self.assertEqual(self.called("deposit", 0), 15)

    def test_call_refuses_what_is_not_a_method_of_the_users(self) -> None:
        self.opened("Account", "object")
        for name in ("_private", "__init__", "__class__", "secret", "owner", "update", "keys", "no_such", "a.b", ""):
            with self.subTest(name):
                message = f'Cannot call "{name}" of "main:Account": it has no such public method; it has '
                self.expect(self.call(name), "invalid", message)
        self.assertEqual(self.console.getvalue(), "")

    def test_call_refuses_what_a_class_has_from_the_standard_library(self) -> None:
        self.opened("Table", "object")
        self.assertEqual(self.called("mine"), 1)
        self.expect(self.call("copy"), "invalid", "it has no such public method; it has mine")

    def test_call_takes_a_list_or_tuple_of_arguments(self) -> None:
        self.opened("Account", "object")
        self.put("input", pickle.dumps((3,)))
        self.expect(self.do("call", method="deposit"), "done")
        self.assertEqual(self.output(), 3)
        self.put("input", pickle.dumps({"args": []}))
        self.expect(self.do("call", method="deposit"), "invalid", "its arguments are to be a list")

    def test_call_of_process_over_a_stream_gives_it_the_arguments(self) -> None:
        self.opened("Effect", "object", gain=2)
        self.assertEqual(self.called("process", 5), 10)
        self.assertEqual(self.called("get_config"), {"name": "Effect", "class": "Effect", "config": {}})

    def test_cleanup_runs_once_and_ends_the_object(self) -> None:
        self.opened("Account", "object", owner="Ada")
        self.assertIsNone(self.called("cleanup"))
        self.expect(self.call("deposit", 1), "invalid", 'Cannot call "deposit" of "main:Account": it has been cleaned up')
        for _ in range(2):
            self.expect(self.do("close"), "done")
        self.assertEqual(self.console.getvalue(), "goodbye Ada\n")

    def test_open_uses_an_instance_as_it_is(self) -> None:
        self.opened("instance", "object", owner="other")
        self.expect(self.do("close"), "done")
        self.assertEqual(self.console.getvalue(), "goodbye instance\n")

    def test_open_gives_the_config_to_classes_that_take_it(self) -> None:
        self.opened("Effect", gain=3, name="loud", other=1)
        self.assertEqual(self.called("get_config"), {"name": "loud", "class": "Effect", "config": {"other": 1}})
        self.assertEqual(self.process(2), [6])

    def test_open_refuses_what_cannot_be_used(self) -> None:
        for attribute, mode, message in (
            ("half", "object", 'Cannot run "main:half": it is a function; allowed are a class and an object'),
            ("NoProcess", "stream", "it is a class without a public method process; it has other; allowed are"),
            ("instance", "stream", "it is an object without a public method process"),
            ("asyncio", "object", "it is a module"),
            ("__name__", "object", "it is a str"),
            ("no_such", "stream", "does not exist"),
        ):
            with self.subTest(attribute):
                self.expect(self.open(attribute, mode), "invalid", message)
        self.expect(self.do("process"), "invalid", 'Cannot call "process": no object is open')
        self.expect(self.do("close"), "done")

    def test_open_cleans_up_after_a_failing_start(self) -> None:
        self.expect(self.open("FailsToStart"), "raised", "ValueError: not today")
        self.assertEqual(self.console.getvalue(), "cleaned all the same\n")

    def test_process_gives_what_each_call_gives(self) -> None:
        self.opened("half")
        self.assertEqual([self.process(4), self.process(3), self.process(2)], [[2], [], [1]])
        self.opened("numbers")
        self.assertEqual([self.process(3), self.process(0)], [[0, 1, 2], []])
        self.opened("Each")
        self.assertEqual([self.process(1), self.process(2)], [[1, 1], [2, 2]])
        self.opened("Collector")
        self.assertEqual([self.process(1), self.process(2), self.process(3)], [[], [[1, 2]], []])
        self.put("input", pickle.dumps("bad"))
        self.expect(self.do("process"), "raised", "ValueError: bad item")
        self.assertEqual(self.flush(), [3])

    def test_process_runs_one_generator_over_all_inputs(self) -> None:
        self.opened("Effect", gain=2)
        self.assertEqual([self.process(1), self.process(3)], [[2], [6, "three"]])
        self.assertEqual(self.flush(), [("total", 4), "flushed"])
        self.assertEqual([self.process(5), self.flush()], [[10], [("total", 5), "flushed"]])
        self.assertEqual(self.flush(), [("total", 0), "flushed"])
        self.expect(self.do("close"), "done")
        self.assertEqual(self.console.getvalue(), "initialized\n" + "stream ended\n" * 3 + "cleaned\n")

    def test_process_drops_inputs_that_nobody_asks_for(self) -> None:
        for attribute, expected in (("first_only", [1]), ("asks_nothing", [0, 1, 2]), ("doubled", [1, 1])):
            self.opened(attribute)
            self.assertEqual(self.process(1), expected)
        self.opened("first_only")
        self.assertEqual([self.process(1), self.process(2), self.flush()], [[1], [], []])
        self.opened("failing")
        self.put("input", pickle.dumps(7))
        self.expect(self.do("process"), "raised", "ValueError: 7")
        self.assertEqual([self.process(8), self.flush()], [[], []])

    def test_process_runs_on_only_as_outputs_are_taken(self) -> None:
        self.opened("numbers")
        self.put("input", pickle.dumps(3))
        bridge.begin('{"op":"process"}')
        self.assertEqual(self.poll(), {"state": "output"})
        self.assertEqual(self.output(), 0)
        self.expect(self.do("close"), "done")
        self.assertEqual(self.console.getvalue(), "numbers closed\n")

    def test_close_ends_what_runs(self) -> None:
        self.opened("never")
        self.put("input", pickle.dumps(3))
        self.assertEqual(self.do("process"), {"state": "waiting", "seconds": None})
        self.expect(self.do("close"), "done")
        self.assertEqual(self.console.getvalue(), "never ended\n")
        self.opened("Effect")
        self.assertEqual(self.process(1), [1.0])
        self.expect(self.do("close"), "done")
        self.assertEqual(self.console.getvalue(), "never ended\ninitialized\nstream ended\ncleaned\n")
        self.opened("refuses_to_end")
        self.assertEqual(self.process(1), [1])
        self.expect(self.do("close"), "raised", "RuntimeError: on the way out")

    def test_only_close_may_come_while_something_runs(self) -> None:
        self.opened("never")
        self.put("input", pickle.dumps(3))
        self.do("process")
        with self.assertRaises(RuntimeError):
            bridge.begin('{"op":"flush"}')
        self.expect(self.do("close"), "done")

    def test_files_of_the_package_are_read_where_they_lie(self) -> None:
        os.mkdir("data")
        with open("data/words.txt", "w") as file:
            file.write("words")
        self.package(reads="def main(value):\n    return open('data/words.txt').read()")
        self.expect(self.run_task("main", module="reads"), "done")
        self.assertEqual(self.output(), "words")
