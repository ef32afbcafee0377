"""Pickles of objects that import and call what they should not: all that they reach is their own sandbox."""

from __future__ import annotations

import base64
import os
import pickle
import tempfile
from collections.abc import Callable
from typing import Any

from accounts import call, expect_answer
from conversations import NodeStream, expect_nothing_left
from harness import case, expect, expect_equal
from python_client import RemoteObject, package
from service import ERROR, SECURITY_VIOLATION, Service, expect_failure

# Were any of it run on this machine, the file would be there.
MARKER = os.path.join(tempfile.gettempdir(), f"rexec-interop-python-{os.getpid()}-was-here")


class Calls:
    """Is unpickled by a call."""

    def __init__(self, function: Callable[..., Any] | str, *args: Any) -> None:
        self.called = function, args

    def __reduce__(self) -> Any:
        return self.called


def calling(module: str, name: str, *args: Any) -> str:
    """The text of a pickle that calls a function of a module, which this machine need not have."""
    data = f"c{module}\n{name}\n".encode() + b"(" + b"".join(pickle.dumps(arg, 0)[:-1] for arg in args) + b"tR."
    return base64.b64encode(data).decode()


# Ways out, and what each gives at best: nothing that happened on this machine.
ATTEMPTS = f'''
import os, socket, subprocess, sys, threading

def attempt(function):
    try:
        return "gave " + str(function())[:200]
    except BaseException as error:
        return "raised " + type(error).__name__

def attempts():
    return {{
        "system": attempt(lambda: os.system("touch {MARKER}")),
        "popen": attempt(lambda: os.popen("touch {MARKER}").read()),
        "subprocess": attempt(lambda: subprocess.run(["touch", {MARKER!r}])),
        "fork": attempt(lambda: os.fork()),
        "exec": attempt(lambda: os.execv("/bin/touch", ["touch", {MARKER!r}])),
        "connect": attempt(lambda: socket.create_connection(("127.0.0.1", 22), 1)),
        "thread": attempt(lambda: threading.Thread(target=print).start()),
        "js": attempt(lambda: __import__("js")),
        "pyodide_js": attempt(lambda: __import__("pyodide_js")),
        "run_js": attempt(lambda: __import__("pyodide.code", fromlist=["run_js"]).run_js("1")),
        "ctypes": attempt(lambda: __import__("ctypes").CDLL(None)),
        "hosts": attempt(lambda: open("/etc/hostname").read()),
        "listing": attempt(lambda: sorted(os.listdir("/"))),
        "environment": attempt(lambda: sorted(os.environ)),
        "marker": attempt(lambda: open({MARKER!r}, "w").write("here")),
    }}
'''

REFUSED = ("system", "popen", "subprocess", "fork", "exec", "connect", "thread", "js", "pyodide_js", "run_js", "ctypes",
           "hosts")  # fmt: skip


@case("an object that tries everything while it is unpickled and later: what it gets is its sandbox's own")
def tries(service: Service) -> None:
    source = (
        f"{ATTEMPTS}\n"
        "class Found:\n"
        "    found = attempts()\n"
        "    def look(self): return self.found\n"
        "    def again(self): return attempts()\n"
    )
    # One expression, since what eval gives is the object: the source runs in a scope that holds it then.
    expression = f"(lambda scope: (exec({source!r}, scope), scope['Found']())[1])({{'__name__': 'found'}})"
    text = base64.b64encode(pickle.dumps(Calls(eval, expression))).decode()
    with RemoteObject(service, package(text=text)) as remote:
        for found in (remote.result("look"), remote.result("again")):
            for name in REFUSED:
                # os.system says by its status that it did nothing.
                expect(found[name].startswith("raised ") or found[name] == "gave -1", f"{name}: {found[name]}")
            for folder in ("etc", "usr", "root"):
                expect(f"'{folder}'" not in found["listing"], found["listing"])
            for name in ("PATH", "DENO", "PYTHON_PACKAGES_DIR"):
                expect(f"'{name}" not in found["environment"], found["environment"])
    expect(not os.path.exists(MARKER), "code of a pickle ran on this machine")
    expect_nothing_left(service)


@case("objects that are no more than a call, of SerializedClassExecutorNode: their caller is told what went wrong")
def calls(service: Service) -> None:
    shell = f"touch {MARKER}"
    with NodeStream(service, "SerializedClassExecutorNode") as stream:
        for text in (
            calling("os", "system", shell),
            calling("posix", "system", shell),
            calling("subprocess", "check_output", ["touch", MARKER]),
            calling("builtins", "eval", f"__import__('os').system({shell!r})"),
            calling("pty", "spawn", shell),
            calling("js", "eval", "1"),
            calling("pyodide.code", "run_js", "1"),
        ):
            stream.give({"serialized_object": text, "method_name": "run", "method_args": [], "method_kwargs": {}})
            answer = stream.output()
            expect_equal([*answer], ["error", "error_type", "method_name", "processed_by"], "keys")
        stream.half_close()
        stream.rest()
    expect(not os.path.exists(MARKER), "code of a pickle ran on this machine")
    expect_nothing_left(service)


@case("an object that ends its interpreter while it is unpickled makes no session")
def ends(service: Service) -> None:
    text = base64.b64encode(pickle.dumps(Calls(exec, "raise SystemExit(3)"))).decode()
    response = call(service, "run", code_package=package(text=text))
    expect_answer(response, ERROR, "SystemExit: 3")
    expect_equal(response.session_id, "", "session_id")
    expect_nothing_left(service)


@case("what a node's plain input may not name is SECURITY_VIOLATION for nodes of Python, too")
def inputs(service: Service) -> None:
    for name in ("os.system", "subprocess.Popen", "builtins.eval"):
        module, _, function = name.rpartition(".")
        data = f"c{module}\n{function}\n(S'touch {MARKER}'\ntR.".encode()
        expect_failure(service.send("CodeExecutorNode", data), SECURITY_VIOLATION, name)
    expect(not os.path.exists(MARKER), "code of an input ran on this machine")
