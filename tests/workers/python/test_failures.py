"""What the caller is told of a failure."""

from __future__ import annotations

import os
import pickle
import signal

from interpreter import InterpreterTest
from rexec_runtime import bridge
from rexec_runtime.failures import MAX_MESSAGE_LENGTH, MAX_TRACEBACK_LENGTH

MAIN = """
    import asyncio, os, signal

    class Custom(Exception):
        pass

    class Unshowable(Exception):
        def __str__(self):
            raise KeyboardInterrupt
        __repr__ = __str__

    RAISED = {
        "value": lambda: ValueError("x"),
        "custom": lambda: Custom("mine"),
        "bare": lambda: ValueError(),
        "exit": lambda: SystemExit(0),
        "interrupt": lambda: KeyboardInterrupt(),
        "close": lambda: GeneratorExit(),
        "cancelled": lambda: asyncio.CancelledError(),
        "stop": lambda: StopIteration(1),
        "async stop": lambda: StopAsyncIteration(),
        "unshowable": lambda: Unshowable(),
        "huge": lambda: ValueError("x" * 10_000_000),
        "surrogate": lambda: ValueError("a\\udc00b"),
        "memory": lambda: MemoryError(),
        "group": lambda: ExceptionGroup("several", [ValueError("one"), TypeError("two")]),
    }

    def plain(name):
        raise RAISED[name]()

    async def coroutine(name):
        await asyncio.sleep(0)
        raise RAISED[name]()

    def generator(name):
        yield 1
        raise RAISED[name]()

    async def async_generator(name):
        yield 1
        raise RAISED[name]()

    def caused(name):
        try:
            plain("value")
        except ValueError as error:
            raise Custom("outer") from error

    def long_chain(name):
        error = None
        for number in range(100):
            made = ValueError(number)
            made.__cause__ = error
            error = made
        raise error

    class Hostile(type):
        def __getattribute__(cls, name):
            raise SystemExit

    class Nameless(Exception, metaclass=Hostile):
        @property
        def __class__(self):
            return KeyboardInterrupt

    def nameless(name):
        raise Nameless("x")

    def interrupts_itself(name):
        os.kill(os.getpid(), signal.SIGINT)
        while True:
            pass

    async def waits(name):
        try:
            await asyncio.Event().wait()
        finally:
            print("finally")
"""


class Failures(InterpreterTest):
    def setUp(self) -> None:
        super().setUp()
        self.package(main=MAIN)

    def test_everything_that_is_raised_is_the_users_failure(self) -> None:
        for name, message in (
            ("value", "ValueError: x"),
            ("custom", "main.Custom: mine"),
            ("bare", "ValueError"),
            ("exit", "SystemExit: 0"),
            ("interrupt", "KeyboardInterrupt"),
            ("close", "GeneratorExit"),
            ("cancelled", "asyncio.exceptions.CancelledError"),
            ("unshowable", "main.Unshowable: <exception str() failed>"),
            ("memory", "MemoryError"),
            ("group", "ExceptionGroup: several (2 sub-exceptions)"),
        ):
            for function in ("plain", "coroutine", "generator", "async_generator"):
                with self.subTest(f"{name} {function}"):
                    answer = self.expect(self.run_task(function, name), "raised")
                    self.assertEqual(answer["message"], message)
                    self.assertIn(f"in {function}\n", answer["traceback"])
        for name in ("stop", "async stop"):
            for function in ("plain", "coroutine", "generator", "async_generator"):
                self.expect(self.run_task(function, name), "raised", "Stop")

    def test_a_traceback_is_pythons_from_the_users_first_frame_on(self) -> None:
        answer = self.run_task("plain", "value")
        lines = answer["traceback"].split("\n")
        self.assertEqual(lines[0], "Traceback (most recent call last):")
        self.assertRegex(lines[1], r'^  File "main.py", line \d+, in plain$')
        self.assertEqual(lines[2], "    raise RAISED[name]()")
        self.assertEqual(lines[-1], "ValueError: x")
        self.assertNotIn("rexec_runtime", answer["traceback"])
        self.assertNotIn(self.root, answer["traceback"])

    def test_an_exception_whose_class_raises_is_still_the_users_failure(self) -> None:
        answer = self.expect(self.run_task("nameless"), "raised")
        self.assertEqual(answer["message"], "object: x")

    def test_a_traceback_has_the_causes(self) -> None:
        traceback = self.run_task("caused")["traceback"]
        self.assertLess(traceback.index("ValueError: x"), traceback.index("direct cause"))
        self.assertTrue(traceback.endswith("main.Custom: outer"))
        self.assertNotIn("rexec_runtime", traceback)
        self.assertEqual(self.run_task("long_chain")["traceback"].count("direct cause"), 8)

    def test_long_messages_are_cut_and_odd_ones_made_valid(self) -> None:
        answer = self.run_task("plain", "huge")
        self.assertLessEqual(len(answer["message"]), MAX_MESSAGE_LENGTH)
        self.assertLessEqual(len(answer["traceback"]), MAX_TRACEBACK_LENGTH)
        self.assertTrue(answer["message"].startswith("ValueError: xxx"))
        self.assertIn("in plain", answer["traceback"])
        self.assertEqual(self.run_task("plain", "surrogate")["message"], "ValueError: a?b")

    def test_an_interrupt_ends_code_that_computes(self) -> None:
        answer = self.expect(self.run_task("interrupts_itself"), "raised", "KeyboardInterrupt")
        self.assertIn("in interrupts_itself", answer["traceback"])
        self.assertTrue(answer["traceback"].endswith("KeyboardInterrupt"))

    def test_an_interrupt_ends_coroutines_that_wait(self) -> None:
        self.assertEqual(self.run_task("waits")["seconds"], None)
        step = bridge._interpreter.loop.step

        def interrupted_step() -> float | None:
            bridge._interpreter.loop.step = step
            os.kill(os.getpid(), signal.SIGINT)
            return step()

        bridge._interpreter.loop.step = interrupted_step
        while (answer := self.poll())["state"] == "waiting":
            pass
        self.expect(answer, "raised", "KeyboardInterrupt")
        self.assertIn("in waits", answer["traceback"])
        self.assertTrue(answer["traceback"].endswith("KeyboardInterrupt"))
        self.assertIn("finally", self.console.getvalue())

    def test_poll_answers_whatever_is_broken(self) -> None:
        self.package(breaks="""
            import json, pickle, traceback
            def main(value):
                def broken(*args, **kwargs):
                    raise SystemExit("broken")
                json.dumps = json.loads = json.JSONEncoder.encode = pickle.dumps = pickle.Pickler = broken
                traceback.TracebackException.format = broken
                raise ValueError("x")
        """)
        import json
        import traceback

        kept = json.dumps, json.loads, json.JSONEncoder.encode, pickle.dumps, pickle.Pickler
        form = traceback.TracebackException.format
        self.put("input", pickle.dumps(None))
        bridge.begin('{"op":"run","module":"breaks","attribute":"main"}')
        try:
            answer = bridge.poll()
        finally:
            json.dumps, json.loads, json.JSONEncoder.encode, pickle.dumps, pickle.Pickler = kept
            traceback.TracebackException.format = form
        self.assertEqual(json.loads(answer)["state"], "raised")
