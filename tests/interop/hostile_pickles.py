"""Pickles that ask for what no caller may have: SECURITY_VIOLATION by name, and nothing else happens."""

from __future__ import annotations

import os
import pickle
import struct
import tempfile
from typing import Any

from harness import case, expect, rows
from service import SECURITY_VIOLATION, Service, expect_failure

# If any of these programs ran on this machine, the file would be there.
MARKER = os.path.join(tempfile.gettempdir(), f"rexec-interop-{os.getpid()}-was-here")
SHELL = f"touch {MARKER}"
PYTHON = f"__import__('pathlib').Path({MARKER!r}).touch()"

# Module, name, and an argument with which the call would do harm.
GLOBALS: list[tuple[str, str, str]] = [
    ("os", "system", SHELL),
    ("posix", "system", SHELL),
    ("nt", "system", SHELL),
    ("os", "popen", SHELL),
    ("os", "_wrap_close", SHELL),
    ("subprocess", "Popen", MARKER),
    ("subprocess", "check_output", MARKER),
    ("pty", "spawn", SHELL),
    ("builtins", "eval", PYTHON),
    ("builtins", "exec", PYTHON),
    ("builtins", "compile", PYTHON),
    ("builtins", "open", MARKER),
    ("builtins", "print", "x"),
    ("builtins", "getattr", "x"),
    ("builtins", "setattr", "x"),
    ("builtins", "__import__", "os"),
    ("builtins", "type", "x"),
    ("builtins", "super", "x"),
    ("builtins", "map", "x"),
    ("builtins", "globals", "x"),
    ("builtins", "breakpoint", "x"),
    ("builtins", "__dict__", "x"),
    ("__builtin__", "eval", PYTHON),
    ("__builtin__", "apply", PYTHON),
    ("__builtin__", "execfile", MARKER),
    ("builtins", "int.from_bytes", "x"),
    ("builtins", "list.__class__", "x"),
    ("functools", "partial", "x"),
    ("functools", "reduce", "x"),
    ("operator", "attrgetter", "system"),
    ("operator", "methodcaller", "system"),
    ("operator", "itemgetter", "x"),
    ("importlib", "import_module", "os"),
    ("runpy", "run_path", MARKER),
    ("timeit", "timeit", PYTHON),
    ("code", "interact", "x"),
    ("socket", "create_connection", "x"),
    ("urllib.request", "urlopen", f"file://{MARKER}"),
    ("webbrowser", "open", "x"),
    ("pathlib", "PosixPath", MARKER),
    ("io", "open", MARKER),
    ("shutil", "rmtree", MARKER),
    ("ctypes", "CDLL", "libc.so.6"),
    ("marshal", "loads", "x"),
    ("pickle", "loads", "x"),
    ("_pickle", "loads", "x"),
    ("types", "CodeType", "x"),
    ("types", "FunctionType", "x"),
    ("copyreg", "__newobj__", "x"),
    ("copyreg", "__newobj_ex__", "x"),
    ("copyreg", "add_extension", "x"),
    ("copyreg", "_extension_registry", "x"),
    ("copy_reg", "__newobj__", "x"),
    ("collections", "namedtuple", PYTHON),
    ("collections", "UserDict", "x"),
    ("decimal", "getcontext", "x"),
    ("datetime", "datetime.now", "x"),
    ("uuid", "getnode", "x"),
    ("uuid", "os.system", SHELL),
    ("numpy", "load", MARKER),
    ("numpy", "fromfile", MARKER),
    ("numpy", "memmap", MARKER),
    ("numpy", "loadtxt", MARKER),
    ("numpy.core.multiarray", "fromfile", MARKER),
    ("numpy.core._internal", "eval", PYTHON),
    ("numpy.testing._private.utils", "runstring", PYTHON),
    ("numpy.f2py.diagnose", "run_command", SHELL),
    ("numpy.lib.npyio", "load", MARKER),
    ("numpy.ma.core", "_mareconstruct", "x"),
    ("numpy", "record", "x"),
    ("cloudpickle.cloudpickle", "_make_function", "x"),
    ("cloudpickle", "loads", "x"),
    ("torch.storage", "_load_from_bytes", "x"),
    ("pandas", "read_pickle", MARKER),
    ("sklearn.externals.joblib", "load", MARKER),
    ("my_package.models", "Thing", "x"),
    ("__main__", "Thing", "x"),
    ("", "", "x"),
    ("builtins", "", "x"),
    ("constructor", "constructor", "return 1"),
    ("builtins", "constructor", "return 1"),
    ("__proto__", "toString", "x"),
    ("builtins", "__proto__", "x"),
    ("node:child_process", "execSync", SHELL),
    ("Deno", "Command", SHELL),
]  # fmt: skip


def text(value: str) -> bytes:
    """BINUNICODE."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def stack_global(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def line_global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def programs(module: str, name: str, argument: str) -> dict[str, bytes]:
    """Every way in which a pickle can reach for a global."""
    by_line, by_stack, call = line_global(module, name), stack_global(module, name), text(argument)
    return {
        "GLOBAL, REDUCE": by_line + call + b"\x85R.",
        "STACK_GLOBAL, REDUCE": b"\x80\x04" + by_stack + call + b"\x85R.",
        "INST": b"(" + call + f"i{module}\n{name}\n".encode() + b".",
        "OBJ": b"(" + by_line + call + b"o.",
        "NEWOBJ": b"\x80\x04" + by_stack + call + b"\x85\x81.",
        "NEWOBJ_EX": b"\x80\x04" + by_stack + call + b"\x85}\x92.",
        "only named": b"\x80\x04" + by_stack + b".",
        "named and dropped": b"\x80\x04" + by_stack + b"0N.",
        "in the memo": b"\x80\x04" + by_stack + b"\x940h\x00" + call + b"\x85R.",
        "as a key": b"\x80\x04}" + by_stack + b"Ks.",
        "as defaultdict's factory": line_global("collections", "defaultdict") + by_line + b"\x85R.",
        "as a class to reconstruct": line_global("copyreg", "_reconstructor") + by_line + b"cbuiltins\nobject\nN\x87R.",
        "as state": b"\x80\x04" + stack_global("uuid", "UUID") + b")\x81" + by_stack + b"b.",
        "after the answer's half": b"\x80\x04](K\x01K\x02" + by_stack + b"e.",
    }


@rows("{0}.{1}, in every way that a pickle has to reach it", GLOBALS)
def refused(service: Service, module: str, name: str, argument: str) -> None:
    for way, program in programs(module, name, argument).items():
        try:
            expect_failure(service.send("PassThroughNode", program), SECURITY_VIOLATION, f"{module}.{name}")
        except AssertionError as error:
            raise AssertionError(f"{way}: {error}") from error
    service.check_alive()
    expect(not os.path.exists(MARKER), "the pickle's program ran on this machine")


class Reduce:
    """Pickles itself as a call."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


PICKLED: list[tuple[str, Any, str]] = [
    ("a function of the standard library", os.getcwd, "posix.getcwd"),
    ("a call", Reduce(os.system, (SHELL,)), "posix.system"),
    ("a call deep inside", {"a": [({"b": Reduce(eval, (PYTHON,))},)]}, "builtins.eval"),
    ("a call as a key", {Reduce(eval, ("1",)): 1}, "builtins.eval"),
    ("a call for an attribute", Reduce(getattr, (1, "real")), "builtins.getattr"),
    ("an exception", ValueError("x"), "builtins.ValueError"),
    ("a class", Reduce, "hostile_pickles.Reduce"),
]


@rows("what pickle.dumps makes of {0}, protocols 3 to 5", PICKLED)
def pickled(service: Service, _: str, value: Any, name: str) -> None:
    for protocol in range(3, 6):
        response = service.send("PassThroughNode", pickle.dumps(value, protocol))
        expect_failure(response, SECURITY_VIOLATION, name)
    service.check_alive()
    expect(not os.path.exists(MARKER), "the pickle's program ran on this machine")


FORBIDDEN: list[tuple[str, bytes, str]] = [
    ("EXT1", b"\x80\x02\x82\x01.", "extension code 1 "),
    ("EXT2", b"\x80\x02\x83\x01\x01.", "extension code 257 "),
    ("EXT4", b"\x80\x02\x84\x01\x01\x01\x00.", "extension code 65793 "),
    ("PERSID", b"Pthing\n.", "persistent ids"),
    ("BINPERSID", b"\x80\x02K\x01Q.", "persistent ids"),
]


@rows("{0}: what a pickle could and this service does not allow", FORBIDDEN)
def forbidden(service: Service, _: str, program: bytes, name: str) -> None:
    expect_failure(service.send("PassThroughNode", program), SECURITY_VIOLATION, name)
    service.check_alive()


NODES = ["BufferNode", "StatefulCounter", "AudioTransform", "VideoTransform", "CalculatorNode", "TextProcessorNode"]


@rows("{0} refuses alike: the input is decoded before any node sees it", [(node,) for node in NODES])
def every_node(service: Service, node: str) -> None:
    program = pickle.dumps({"text": Reduce(os.system, (SHELL,))})
    expect_failure(service.send(node, program), SECURITY_VIOLATION, "posix.system")
    service.check_alive()


@case("a refusal's name is no longer than one can read")
def long_name(service: Service) -> None:
    response = service.send("PassThroughNode", stack_global("m" * 100_000, "n" * 100_000) + b".")
    expect_failure(response, SECURITY_VIOLATION, "mmmm")
    expect(len(response.error_message) < 2_000, f"the message has {len(response.error_message)} characters")


@case("nothing of all this ran")
def nothing_happened(_: Service) -> None:
    expect(not os.path.exists(MARKER), "the pickle's program ran on this machine")
