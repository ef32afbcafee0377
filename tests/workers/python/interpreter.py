"""The library as the glue sees it: requests in, states and files out, in a folder of the test's own."""

from __future__ import annotations

import io
import json
import logging
import os
import pickle
import shutil
import sys
import tempfile
import textwrap
import time
import unittest
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from rexec_runtime import bridge
from rexec_runtime.places import PLACES

#: Polls of one operation; more than any of them needs.
MAX_POLLS = 10_000


class InterpreterTest(unittest.TestCase):
    """Starts the library anew for each test, and puts back what it changed of the process."""

    maxDiff = None

    def setUp(self) -> None:
        self.root = tempfile.mkdtemp(prefix="rexec-python-")
        self.addCleanup(shutil.rmtree, self.root)
        cwd, path, environment = os.getcwd(), list(sys.path), dict(os.environ)
        modules, root, last = dict(sys.modules), logging.getLogger(), logging.lastResort
        level = root.level

        def restore() -> None:
            bridge._interpreter = None
            PLACES.use("/")
            os.chdir(cwd)
            sys.path[:] = path
            os.environ.clear()
            os.environ.update(environment)
            for name in set(sys.modules) - set(modules):
                del sys.modules[name]
            sys.modules.update(modules)
            root.setLevel(level)
            logging.lastResort = last

        self.addCleanup(restore)
        PLACES.use(self.root)
        bridge._interpreter = None
        self.console = io.StringIO()
        for redirect in (redirect_stdout, redirect_stderr):
            self.enterContext(redirect(self.console))
        # Before the rest, so that no generator outlives its loop.
        self.addCleanup(lambda: self.do("close"))
        #: Seconds that were asked to wait, in order.
        self.waits: list[float | None] = []
        self.expect(self.do("start", environment={"GREETING": "hello"}), "done")

    def package(self, **modules: str) -> None:
        """Writes modules of the package."""
        for name, source in modules.items():
            with open(os.path.join(PLACES.package, f"{name}.py"), "w") as file:
                file.write(textwrap.dedent(source))

    def put(self, name: str, data: bytes) -> None:
        with open(PLACES.file(name), "wb") as file:
            file.write(data)

    def output(self) -> Any:
        with open(PLACES.file("output"), "rb") as file:
            return pickle.load(file)

    def poll(self) -> dict[str, Any]:
        return json.loads(bridge.poll())

    def do(self, op: str, **request: Any) -> dict[str, Any]:
        """Runs an operation as the glue does: to its end, or until nobody knows how long it waits."""
        bridge.begin(json.dumps({"op": op, **request}))
        self.outputs: list[Any] = []
        for _ in range(MAX_POLLS):
            answer = self.poll()
            if answer["state"] == "output":
                self.outputs.append(self.output())
            elif answer["state"] != "waiting":
                return answer
            else:
                self.waits.append(answer["seconds"])
                if answer["seconds"] is None:
                    return answer
                time.sleep(answer["seconds"])
        raise AssertionError("it did not end")

    def expect(self, answer: dict[str, Any], state: str, message: str = "") -> dict[str, Any]:
        self.assertEqual(answer["state"], state, answer)
        self.assertIn(message, answer.get("message", ""))
        return answer

    def run_task(self, attribute: str, value: Any = None, *, module: str = "main") -> dict[str, Any]:
        self.put("input", pickle.dumps(value, 4))
        return self.do("run", module=module, attribute=attribute)

    def result_of(self, attribute: str, value: Any = None) -> Any:
        self.expect(self.run_task(attribute, value), "done")
        return self.output()

    def open(self, attribute: str, mode: str = "stream", **config: Any) -> dict[str, Any]:
        self.put("config", pickle.dumps(config, 4))
        entry = {"kind": "python", "module": "main", "attribute": attribute}
        return self.do("open", mode=mode, entry=entry, config=True)

    def process(self, value: Any) -> list[Any]:
        self.put("input", pickle.dumps(value, 4))
        self.expect(self.do("process"), "done")
        return self.outputs

    def flush(self) -> list[Any]:
        self.expect(self.do("flush"), "done")
        return self.outputs

    def call(self, method: str, *args: Any) -> dict[str, Any]:
        self.put("input", pickle.dumps(list(args), 4))
        return self.do("call", method=method)

    def called(self, method: str, *args: Any) -> Any:
        self.expect(self.call(method, *args), "done")
        return self.output()
