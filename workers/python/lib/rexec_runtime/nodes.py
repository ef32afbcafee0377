"""The SDK's nodes that run Python: CodeExecutorNode and SerializedClassExecutorNode.

Keys and texts are the SDK's. They answer with what went wrong as a value; only what ends the interpreter fails them.
"""

from __future__ import annotations

import base64
import builtins
import io
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from .failures import Invalid, UserFailure
from .pickling import load_object, needs_cloudpickle
from .user_calls import collect, guard, settle

#: Parameters that the nodes know by name; `node_config` has the others.
_PARAMETERS = frozenset({"enable_safe_imports"})

#: Left out of the builtins that CodeExecutorNode's code sees, as the SDK does: ways to load or read other things.
_WITHHELD = frozenset(
    "__import__ open input eval exec compile breakpoint help exit quit globals locals vars copyright credits license".split()
)

#: What `enable_safe_imports` adds: those of the SDK under their names, the others to be imported.
_GIVEN = ("math", "json", "base64")
_IMPORTABLE = frozenset(
    (*_GIVEN, *"bisect collections copy dataclasses datetime decimal enum fractions functools hashlib heapq itertools "
    "operator random re secrets statistics string struct textwrap time typing uuid zlib".split())
)  # fmt: skip


async def run(node_type: str, node_name: str, config: dict[str, Any], data: Any) -> Any:
    """One input through one node. Raises :class:`Invalid` for an unknown node, and :class:`UserFailure`."""
    label = f"{node_type}[{node_name}]"
    if node_type == "CodeExecutorNode":
        return _execute_code(label, config, data)
    if node_type == "SerializedClassExecutorNode":
        return await _execute_method(label, data)
    raise Invalid(f"Unknown node type: {node_type}")


def bind(node_type: str, node_name: str, config: dict[str, Any]) -> Callable[[Any], Awaitable[Any]]:
    """The node as a function over the inputs of a stream."""

    async def process(data: Any) -> Any:
        return await run(node_type, node_name, config, data)

    return process


def _missing(label: str, data: Any, *keys: str) -> dict[str, Any] | None:
    """The answer to an input of the wrong form."""
    error = None
    if not isinstance(data, dict):
        error = "Input must be a dictionary"
    else:
        error = next((f"Input must contain '{key}' key" for key in keys if key not in data), None)
    return None if error is None else {"error": error, "input": data, "processed_by": label}


def _execute_code(label: str, config: dict[str, Any], data: Any) -> dict[str, Any]:
    wrong = _missing(label, data, "code")
    if wrong is not None:
        return wrong
    code, value = data["code"], data.get("input")
    scope = _scope(bool(config.get("enable_safe_imports", False)))
    scope["input_data"] = value
    try:
        guard(exec, code, scope)
    except UserFailure as failure:
        if not isinstance(failure.raised, Exception):
            raise
        return {"error": guard(str, failure.raised), "code": code, "input": value, "processed_by": label}
    return {
        "executed_code": code,
        "input": value,
        "result": scope.get("result", "No result variable set"),
        "processed_by": label,
        "node_config": {name: setting for name, setting in config.items() if name not in _PARAMETERS},
    }


def _scope(has_imports: bool) -> dict[str, Any]:
    seen = {name: value for name, value in vars(builtins).items() if name not in _WITHHELD}
    scope: dict[str, Any] = {"__builtins__": seen, "__name__": "__main__"}
    if has_imports:
        seen["__import__"] = _import_safe
        scope.update({name: import_module(name) for name in _GIVEN})
    return scope


def _import_safe(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    top = name.partition(".")[0]
    if level != 0 or top not in _IMPORTABLE:
        raise ImportError(f"import of '{name}' is not allowed; allowed are {', '.join(sorted(_IMPORTABLE))}")
    return builtins.__import__(name, globals, locals, fromlist, level)


async def _execute_method(label: str, data: Any) -> dict[str, Any]:
    wrong = _missing(label, data, "serialized_object", "method_name")
    if wrong is not None:
        return wrong
    try:
        cloudpickle = import_module("cloudpickle")
    except ImportError:
        raise Invalid(f"Cannot run {label}: {needs_cloudpickle()}") from None
    method = data["method_name"]
    try:
        subject = _load(data["serialized_object"])
        if not guard(hasattr, subject, method):
            raise AttributeError(f"Object does not have method '{method}'")
        function = guard(getattr, subject, method)
        if not callable(function):
            raise TypeError(f"'{method}' is not callable")
        result = await _call(function, data.get("method_args"), data.get("method_kwargs"))
        updated = base64.b64encode(guard(_dumps, cloudpickle, subject)).decode("ascii")
    except Exception as error:
        raised = error.raised if isinstance(error, UserFailure) else error
        if not isinstance(raised, Exception):
            raise
        is_expected = isinstance(raised, (ValueError, AttributeError, TypeError, RuntimeError))
        text = guard(str, raised)
        return {
            "error": text if is_expected else f"Unexpected error: {text}",
            "error_type": "RuntimeError" if isinstance(raised, RuntimeError) else type(raised).__name__,
            "method_name": method,
            "processed_by": label,
        }
    return {"result": result, "updated_serialized_object": updated, "processed_by": label}


def _load(text: Any) -> Any:
    try:
        return load_object(text)
    except Invalid as error:
        raise ValueError(f"Failed to deserialize object: {error}") from None
    except UserFailure as failure:
        if not isinstance(failure.raised, Exception):
            raise
        raise ValueError(f"Failed to deserialize object: {guard(str, failure.raised)}") from None
    except TypeError as error:
        raise ValueError(f"Failed to deserialize object: {error}") from None


async def _call(function: Any, args: Any, kwargs: Any) -> Any:
    """Calls the method; awaits what is awaitable, and gives the items of a generator as a list."""
    try:
        return await collect(await settle(lambda: function(*(args or ()), **(kwargs or {}))))
    except UserFailure as failure:
        if not isinstance(failure.raised, Exception):
            raise
        raise RuntimeError(f"Method execution failed: {guard(str, failure.raised)}") from None


def _dumps(cloudpickle: Any, subject: Any) -> bytes:
    buffer = io.BytesIO()
    cloudpickle.Pickler(buffer).dump(subject)
    return buffer.getvalue()
