"""The operation run: one function of a package on one input."""

from __future__ import annotations

import os
import pickle
import random
import statistics
import uuid

from interpreter import InterpreterTest
from rexec_runtime import bridge
from rexec_runtime.places import PLACES, Places

MAIN = """
    import asyncio, contextlib, logging, os, sys, time

    def plain(value):
        return {"value": value, "cwd": os.getcwd(), "environment": dict(os.environ)}

    async def coroutine(value):
        await asyncio.sleep(0.02)
        return value + 1

    def generator(count):
        yield from range(count)

    async def async_generator(count):
        for number in range(count):
            await asyncio.sleep(0)
            yield number

    def awaitable(value):
        return coroutine(value)

    def runs_a_loop(value):
        return asyncio.run(coroutine(value))

    def runs_the_loop(value):
        return asyncio.get_event_loop().run_until_complete(coroutine(value))

    def runs_in_a_generator(value):
        yield asyncio.run(coroutine(value))

    async def in_thread(value):
        return await asyncio.to_thread(runs_a_loop, value)

    async def together(value):
        return await asyncio.gather(*(coroutine(number) for number in range(value)))

    async def late(value):
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.02)
        except TimeoutError:
            return "timed out"

    async def never(value):
        try:
            await asyncio.Event().wait()
        finally:
            print("finally")

    async def busy(value):
        while not os.path.exists("stop"):
            await asyncio.sleep(0)

    async def leaves_behind(value):
        async def background():
            try:
                await asyncio.Event().wait()
            finally:
                print("background ended")
        async def numbers():
            try:
                yield 1
            finally:
                print("generator closed")
        global kept
        kept = numbers(), asyncio.create_task(background())
        await anext(kept[0])
        await asyncio.sleep(0)

    async def background_exits(value):
        async def background():
            sys.exit(3)
        task = asyncio.create_task(background())
        await asyncio.Event().wait()

    async def cancels_timers(count):
        asyncio.get_running_loop().call_later(1800, print)
        for _ in range(count):
            await asyncio.wait_for(asyncio.sleep(0), 3600)
        await asyncio.sleep(0.001)
        return len(asyncio.get_running_loop()._scheduled) < 200

    class Tool:
        factor = 2
        def double(self, value):
            return value * self.factor
        @staticmethod
        def triple(value):
            return value * 3

    def logs(value):
        logging.getLogger("mine").info("number %d", value)
        logging.getLogger("mine").debug("unseen")

    def logs_its_way(value):
        logging.basicConfig(format="%(message)s!")
        logging.warning("mine")

    number = 5

    def calls_itself(value):
        return calls_itself(value)

    def gives_what_no_pickle_holds(value):
        return [print, (item for item in ())]

    class Strange:
        def __reduce__(self):
            raise RuntimeError("not me")

    def gives_strange(value):
        return Strange()
"""


class Run(InterpreterTest):
    def setUp(self) -> None:
        super().setUp()
        self.package(main=MAIN)

    def test_gives_what_functions_of_every_kind_give(self) -> None:
        for name, value, expected in (
            ("coroutine", 1, 2),
            ("generator", 3, [0, 1, 2]),
            ("async_generator", 3, [0, 1, 2]),
            ("awaitable", 1, 2),
            ("runs_a_loop", 1, 2),
            ("runs_the_loop", 1, 2),
            ("runs_in_a_generator", 1, [2]),
            ("in_thread", 1, 2),
            ("together", 3, [1, 2, 3]),
            ("late", 0, "timed out"),
            ("Tool.double", 4, 8),
            ("Tool.triple", 4, 12),
        ):
            with self.subTest(name):
                self.assertEqual(self.result_of(name, value), expected)

    def test_starts_in_the_package_with_the_environment_of_its_request_alone(self) -> None:
        os.environ["SECRET"] = "not for tasks"
        self.expect(self.do("start"), "done")
        self.expect(self.do("environment", environment={"GREETING": "hello"}), "done")
        result = self.result_of("plain", 1)
        self.assertEqual(result["cwd"], os.path.realpath(PLACES.package))
        self.assertEqual(result["environment"], {"GREETING": "hello", "HOME": PLACES.home})
        self.assertEqual(Places().home, "/home")

    def test_says_how_long_coroutines_sleep(self) -> None:
        self.result_of("coroutine", 1)
        self.assertTrue(any(seconds and 0 < seconds <= 0.02 for seconds in self.waits), self.waits)

    def test_waits_for_ever_and_ends_with_close(self) -> None:
        self.assertEqual(self.run_task("never"), {"state": "waiting", "seconds": None})
        self.assertEqual(self.poll(), {"state": "waiting", "seconds": None})
        self.expect(self.do("close"), "done")
        self.assertIn("finally", self.console.getvalue())
        self.assertEqual(self.result_of("coroutine", 1), 2)

    def test_gives_way_though_something_is_always_ready(self) -> None:
        self.put("input", pickle.dumps(None))
        bridge.begin('{"op":"run","module":"main","attribute":"busy"}')
        self.assertEqual(self.poll(), {"state": "waiting", "seconds": 0})
        with open(os.path.join(PLACES.package, "stop"), "w"):
            pass
        while (answer := self.poll())["state"] == "waiting":
            pass
        self.expect(answer, "done")

    def test_ends_what_is_left_behind(self) -> None:
        self.result_of("leaves_behind")
        self.assertIn("background ended", self.console.getvalue())
        self.assertIn("generator closed", self.console.getvalue())

    def test_fails_where_a_task_in_the_background_exits(self) -> None:
        self.expect(self.run_task("background_exits"), "raised", "SystemExit: 3")

    def test_shows_log_records_unless_told_how(self) -> None:
        self.result_of("logs", 3)
        self.assertEqual(self.console.getvalue(), "INFO:mine:number 3\n")
        self.addCleanup(lambda: __import__("logging").getLogger().handlers.clear())
        self.result_of("logs_its_way")
        self.assertEqual(self.console.getvalue(), "INFO:mine:number 3\nmine!\n")

    def test_refuses_what_is_not_there(self) -> None:
        for module, attribute, message in (
            ("nothing", "f", 'Cannot run "nothing:f": there is no module "nothing"; the package has main'),
            ("main.part", "f", 'Cannot run "main.part:f": there is no module "main.part"'),
            ("main", "no_such", 'Cannot run "main:no_such": the attribute "no_such" does not exist; the module has'),
            ("main", "Tool.no_such", 'Cannot run "main:Tool.no_such": the attribute "no_such" does not exist; the class'),
            ("main", "number", 'Cannot run "main:number": the attribute is of type int and cannot be called'),
        ):
            with self.subTest(message):
                self.expect(self.run_task(attribute, module=module), "invalid", message)

    def test_lays_a_failing_import_to_the_user(self) -> None:
        self.package(lacks="import no_such_module", broken="def main(input:\n  return", ends="raise SystemExit(0)",
                     pretends="raise ModuleNotFoundError('mine', name='pretends')")
        for module, message in (
            ("lacks", "ModuleNotFoundError: No module named 'no_such_module'"),
            ("broken", "SyntaxError: "),
            ("ends", "SystemExit: 0"),
            ("pretends", "ModuleNotFoundError: mine"),
        ):
            answer = self.expect(self.run_task("main", module=module), "raised", message)
            self.assertIn(f'File "{module}.py", line 1', answer["traceback"])
            self.assertNotIn("importlib", answer["traceback"])

    def test_refuses_results_that_no_pickle_holds(self) -> None:
        self.expect(self.run_task("gives_what_no_pickle_holds"), "unwritable", "Cannot pickle the result: TypeError:")
        self.expect(self.run_task("gives_strange"), "unwritable", "RuntimeError: not me")
        self.assertFalse(os.path.exists(PLACES.file("output")))

    def test_prefers_the_packages_module_to_one_of_the_same_name_that_is_loaded(self) -> None:
        self.package(statistics="def main(value):\n    return 'mine'")
        self.assertFalse(PLACES.holds(statistics.__file__))
        for _ in range(2):
            self.expect(self.run_task("main", module="statistics"), "done")
            self.assertEqual(self.output(), "mine")

    def test_forgets_timers_that_were_cancelled(self) -> None:
        self.assertEqual(self.result_of("cancels_timers", 500), True)

    def test_survives_recursion(self) -> None:
        self.expect(self.run_task("calls_itself"), "raised", "RecursionError: maximum recursion depth exceeded")
        self.assertEqual(self.result_of("coroutine", 1), 2)

    def test_has_other_randomness_after_each_start(self) -> None:
        seen = set()
        for _ in range(3):
            random.seed(1)
            uuid._node = 1
            self.expect(self.do("start", environment={}), "done")
            seen.add(random.random())
            self.assertIsNone(uuid._node)
        self.assertEqual(len(seen), 3)

    def test_refuses_unknown_operations_and_polls_without_one(self) -> None:
        self.expect(self.do("dance"), "invalid", "dance")
        self.expect(self.poll(), "invalid", "no operation has begun")
