"""The SDK's nodes that run Python."""

from __future__ import annotations

import base64
import pickle
import sys
import unittest
from typing import Any

from interpreter import InterpreterTest

try:
    import cloudpickle
except ImportError:
    cloudpickle = None


class Nodes(InterpreterTest):
    def node(self, node_type: str, data: Any, **config: Any) -> dict[str, Any]:
        self.put("config", pickle.dumps(config))
        self.put("input", pickle.dumps(data))
        return self.do("node", nodeType=node_type, nodeName=f"remote_{node_type}")

    def answered(self, node_type: str, data: Any, **config: Any) -> Any:
        self.expect(self.node(node_type, data, **config), "done")
        return self.output()

    def test_code_executor_runs_code(self) -> None:
        label = "CodeExecutorNode[remote_CodeExecutorNode]"
        code = "def f(x): return g(x)\ndef g(x): return [y * 2 for y in x]\nresult = f(input_data)\nprint('seen')"
        self.assertEqual(
            self.answered("CodeExecutorNode", {"code": code, "input": [1, 2]}, other=1, enable_safe_imports=False),
            {"executed_code": code, "input": [1, 2], "result": [2, 4], "processed_by": label, "node_config": {"other": 1}},
        )
        self.assertEqual(self.console.getvalue(), "seen\n")
        for data, expected in (
            ({"code": "x = 1"}, {"result": "No result variable set", "input": None}),
            ({"code": "result = 1 / 0"}, {"error": "division by zero", "code": "result = 1 / 0", "processed_by": label}),
            ({"code": "import os"}, {"error": "__import__ not found"}),
            ({"code": "result = ("}, {"error": "'(' was never closed (<string>, line 1)"}),
            ({"code": 5}, {"error": "exec() arg 1 must be a string, bytes or code object"}),
            ({"input": 1}, {"error": "Input must contain 'code' key", "input": {"input": 1}, "processed_by": label}),
            ("code", {"error": "Input must be a dictionary", "input": "code", "processed_by": label}),
        ):
            with self.subTest(data):
                answer = self.answered("CodeExecutorNode", data)
                self.assertEqual(answer | expected, answer)

    def test_code_executor_imports_what_is_safe_where_it_is_asked_to(self) -> None:
        code = "import datetime, collections.abc\nresult = (math.floor(1.5), json.dumps([1]), datetime.date(2026, 1, 2).year)"
        answer = self.answered("CodeExecutorNode", {"code": code}, enable_safe_imports=True)
        self.assertEqual(answer["result"], (1, "[1]", 2026))
        answer = self.answered("CodeExecutorNode", {"code": "import os"}, enable_safe_imports=True)
        self.assertIn("import of 'os' is not allowed", answer["error"])
        self.assertEqual(self.answered("CodeExecutorNode", {"code": "math"})["error"], "name 'math' is not defined")

    def test_code_executor_fails_where_its_code_ends_the_interpreter(self) -> None:
        answer = self.node("CodeExecutorNode", {"code": "raise SystemExit(1)"})
        self.expect(answer, "raised", "SystemExit: 1")
        self.expect(self.node("OtherNode", 1), "invalid", "Unknown node type: OtherNode")

    @unittest.skipIf(cloudpickle is None, "cloudpickle is not installed")
    def test_class_executor_calls_a_method_and_gives_the_object_back(self) -> None:
        scope: dict[str, Any] = {"__name__": "__main__"}
        exec(
            "class Counter:\n"
            "    total = 0\n"
            "    attribute = 5\n"
            "    def add(self, x, times=1): self.total += x * times; return self.total\n"
            "    async def later(self): return 'later'\n"
            "    def items(self): yield 1; yield 2\n"
            "    def fails(self): raise KeyError('gone')\n",
            scope,
        )
        text = base64.b64encode(cloudpickle.dumps(scope["Counter"]())).decode()
        label = "SerializedClassExecutorNode[remote_SerializedClassExecutorNode]"

        def call(method: Any, *args: Any, **kwargs: Any) -> Any:
            data = {"serialized_object": text, "method_name": method, "method_args": list(args), "method_kwargs": kwargs}
            return self.answered("SerializedClassExecutorNode", data)

        answer = call("add", 2, times=3)
        self.assertEqual((answer["result"], answer["processed_by"], len(answer)), (6, label, 3))
        text = answer["updated_serialized_object"]
        self.assertEqual([call("add", 1)["result"], call("later")["result"], call("items")["result"]], [7, "later", [1, 2]])

        def failure(error: str, kind: str, method: str) -> dict[str, Any]:
            return {"error": error, "error_type": kind, "method_name": method, "processed_by": label}

        self.assertEqual(call("no"), failure("Object does not have method 'no'", "AttributeError", "no"))
        self.assertEqual(call("attribute"), failure("'attribute' is not callable", "TypeError", "attribute"))
        self.assertEqual(call("fails"), failure("Method execution failed: 'gone'", "RuntimeError", "fails"))
        text = "junk"
        answer = call("add")
        self.assertTrue(answer["error"].startswith("Failed to deserialize object: "), answer)
        self.assertEqual(answer["error_type"], "ValueError")
        self.assertEqual(
            self.answered("SerializedClassExecutorNode", {"serialized_object": text}),
            {"error": "Input must contain 'method_name' key", "input": {"serialized_object": text}, "processed_by": label},
        )

    def test_class_executor_names_cloudpickle_where_it_is_missing(self) -> None:
        kept = sys.modules.get("cloudpickle")
        sys.modules["cloudpickle"] = None
        try:
            answer = self.node("SerializedClassExecutorNode", {"serialized_object": "", "method_name": "x"})
        finally:
            if kept is None:
                del sys.modules["cloudpickle"]
            else:
                sys.modules["cloudpickle"] = kept
        self.expect(answer, "invalid", "needs cloudpickle, which is not there; it must be in the wheelhouse")
