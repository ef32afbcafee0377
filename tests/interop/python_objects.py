"""ExecuteObjectMethod with the client's own Python classes: by value, by reference, and as nodes of the SDK."""

from __future__ import annotations

import asyncio
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from accounts import expect_answer
from conversations import ObjectStream, expect_nothing_left, sessions
from harness import case, expect, expect_equal, rows
from python_client import RemoteObject, Shared, client_modules, main_class, package
from same import expect_same
from service import ERROR, SECURITY_VIOLATION, SUCCESS, Service, decode, execution, types

CALCULATOR = '''
class Calculator:
    """Remembers what it has computed."""

    def __init__(self, name="calculator"):
        self.name = name
        self.total = 0
        self.history = []
        self.is_ready = False

    def initialize(self):
        self.is_ready = True

    def add(self, number):
        return self._note("add", number, self.total + number)

    async def multiply(self, number):
        return self._note("multiply", number, self.total * number)

    def report(self):
        return {"name": self.name, "ready": self.is_ready, "history": [list(entry) for entry in self.history]}

    def cleanup(self):
        print("goodbye from", self.name)

    def _note(self, operation, number, total):
        self.history.append((operation, number, total))
        self.total = total
        return total
'''

LOCAL_MODULES = {
    "calculators/__init__.py": "",
    "calculators/remembering.py": "from .names import shout\n"
    + CALCULATOR.replace("self.name = name", "self.name = shout(name)"),
    "calculators/names.py": "import settings\n\ndef shout(text):\n    return text.upper() + settings.MARK\n",
    "settings.py": "MARK = '!'\n",
}


def of_main() -> tuple[bytes, str]:
    return package(main_class(CALCULATOR, "Calculator")("of main")), "of main"


def of_function() -> tuple[bytes, str]:
    scope: dict[str, Any] = {"__name__": __name__}
    exec(CALCULATOR, scope)
    kind = scope["Calculator"]
    kind.__qualname__ = "of_function.<locals>.Calculator"
    return package(kind("of a function")), "of a function"


def of_module() -> tuple[bytes, str]:
    with client_modules(LOCAL_MODULES):
        from calculators.remembering import Calculator  # type: ignore[import-not-found]

        content = package(Calculator("of modules"), modules=LOCAL_MODULES, python_version="3.14")
    return content, "OF MODULES!"


WAYS = [("by value, of __main__", of_main), ("by value, of a function's scope", of_function),
        ("by reference, with the local modules that it imports", of_module)]  # fmt: skip


@rows("a calculator keeps its state over ten calls of one session: {0}", WAYS)
def calculator(service: Service, _: str, make: Any) -> None:
    content, name = make()
    with RemoteObject(service, content) as remote:
        totals = []
        for number in range(1, 10):
            method, format = ("add", "pickle") if number % 2 else ("multiply", "json")
            totals.append(remote.result(method, number, format=format))
        expect_same(totals, [1, 2, 5, 20, 25, 150, 157, 1256, 1265])
        report = remote.result("report")
        steps = [["multiply" if at % 2 else "add", at + 1, total] for at, total in enumerate(totals)]
        expect_same(report, {"name": name, "ready": True, "history": steps})
        [listed] = sessions(service)
        expect_equal((listed.session_id, listed.processed_items), (remote.id, 10), "session listed")
        closed = remote.close()
        expect_answer(closed, SUCCESS)
        expect_equal((closed.stdout, closed.session_id), (f"goodbye from {name}\n", ""), "console and session")
    expect_nothing_left(service)


@case("two sessions at once do not mix")
def apart(service: Service) -> None:
    content, _ = of_main()
    with ThreadPoolExecutor(2) as pool:
        both = [*pool.map(lambda _: RemoteObject(service, content), range(2))]

        def count(index: int) -> list[int]:
            return [both[index].result("add", 10**index) for _ in range(20)]

        totals = [*pool.map(count, range(2))]
        histories = [*pool.map(lambda remote: len(remote.result("report")["history"]), both)]
        for remote in both:
            remote.close()
    expect(both[0].id != both[1].id, "both are one session")
    expect_equal(totals, [[*range(1, 21)], [*range(10, 210, 10)]], "totals")
    expect_equal(histories, [20, 20], "lengths of the histories")
    expect_nothing_left(service)


def make_worker() -> Any:
    """An object with a method of every kind, of a class that is only in this scope."""

    class Base:
        def inherited(self) -> str:
            return "of the base"

    class Worker(Base):
        def __init__(self) -> None:
            self.events: list[str] = []
            self.limit = 3

        async def initialize(self) -> None:
            self.events.append("initialize")

        def generator(self) -> Any:
            try:
                yield {"first": 1}
                yield {"second": 2}
            finally:
                self.events.append("generator closed")

        async def async_generator(self) -> Any:
            try:
                await asyncio.sleep(0)
                yield "first"
                yield "second"
            finally:
                self.events.append("async generator closed")

        def empty(self) -> Any:
            yield from ()

        async def waits(self) -> str:
            await asyncio.sleep(0.001)
            return "waited"

        def same(self, *values: Any) -> Any:
            return values

        def look(self, array: Any) -> Any:
            return array.shape, str(array.dtype), array.tolist(), bytes(array.data)

        def imports(self, names: list[str]) -> list[str]:
            from importlib import import_module

            found = []
            for name in names:
                try:
                    found.append(import_module(name).__name__)
                except ImportError as error:
                    found.append(f"{type(error).__name__}: {error}")
            return found

        def nothing(self) -> None:
            pass

        def seen(self) -> list[str]:
            return self.events

        def fails(self, number: int) -> float:
            def divide() -> float:
                return 1 / number

            try:
                return divide()
            except ZeroDivisionError as error:
                raise LookupError(f"no {number}") from error

        def exits(self) -> None:
            raise SystemExit(3)

        def _private(self) -> int:
            return 1

        @property
        def computed(self) -> int:
            self.events.append("computed")
            return 1

    return Worker()


worker = Shared(make_worker)


@case("initialize ran once before the first call, and does not run again when a client asks for it")
def initialized(service: Service) -> None:
    remote = worker(service)
    remote.result("initialize")
    expect_same(remote.result("seen"), ["initialize"])


@case("the first item of a generator is the result, and the generator is ended")
def first_item(service: Service) -> None:
    remote = worker(service)
    expect_same(remote.result("generator"), {"first": 1})
    expect_same(remote.result("async_generator", format="json"), "first")
    expect_same(remote.result("empty"), None)
    expect_same(remote.result("seen"), ["initialize", "generator closed", "async generator closed"])


@case("coroutines are awaited, and inherited methods are there")
def methods(service: Service) -> None:
    remote = worker(service)
    expect_same(remote.result("waits"), "waited")
    expect_same(remote.result("inherited"), "of the base")
    expect_same(remote.result("nothing"), None)


@case("modules of the standard library are there, and what is not there is no module")
def imports(service: Service) -> None:
    names = ["json.tool", "logging.handlers", "asyncio.taskgroups", "email.mime.text", "encodings.cp1252", "sqlite3x"]
    expected = [*names[:-1], "ModuleNotFoundError: No module named 'sqlite3x'"]
    expect_same(worker(service).result("imports", names), expected)


@case("values keep their types")
def types_kept(service: Service) -> None:
    values = (1, 1.0, True, None, "ü", b"\x00", 2**70, {1: (2, 3)}, {4}, [float("inf")], complex(1, 2))
    expect_same(worker(service).result("same", *values), values)
    expect_same(worker(service).result("same", 1, 1.0, [None], {"a": "ü"}, format="json"), [1, 1.0, [None], {"a": "ü"}])


ARRAYS = [
    np.arange(6, dtype=np.int16).reshape(2, 3),
    np.linspace(-1, 1, 480, dtype=np.float32).reshape(1, 480),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(3, dtype=">i4"),
    np.array(["a", "üb"]),
    np.array([1 + 2j]),
    np.zeros((0, 3), np.uint8),
    np.array(2.5),
]


@case("numpy arrays arrive as arrays that can be read, and go back as numpy's")
def arrays(service: Service) -> None:
    remote = worker(service)
    # numpy itself turns the bytes of those that have the other order when it reads a pickle.
    expect_same(remote.result("same", *ARRAYS, np.float32(1.5)), (*pickle.loads(pickle.dumps(ARRAYS)), 1.5))
    first = ARRAYS[0]
    seen = (first.shape, "int16", first.tolist(), first.tobytes())
    expect_same(remote.result("look", first), seen)


REFUSED = ["_private", "__init__", "__class__", "__reduce__", "__getattribute__", "computed", "limit", "events",
           "missing", "seen.append", "mro"]  # fmt: skip


@rows("{0} is no method to call: ERROR, with those that are", [(name,) for name in REFUSED])
def refused(service: Service, name: str) -> None:
    remote = worker(service)
    before = remote.result("seen")
    response = remote.call(name)
    expect_answer(response, ERROR, f'"{name}"', "generator", "inherited", "waits")
    expect_equal(response.failure_reason, types.FAILURE_REASON_INVALID_TASK, "failure_reason")
    expect("_private" not in response.error_message.replace(f'"{name}"', ""), response.error_message)
    expect_same(remote.result("seen"), before)


@case("an exception is told in Python's form with its cause and the client's own files, and the object goes on")
def fails(service: Service) -> None:
    remote = worker(service)
    for format in ("pickle", "json"):
        response = remote.call("fails", 0, format=format)
        expect_answer(response, ERROR)
        expect_equal(response.error_message, "LookupError: no 0", "error_message")
        lines = response.error_traceback.split("\n")
        expect_equal((lines[0], lines[-1]), ("Traceback (most recent call last):", "LookupError: no 0"), "ends")
        frames = [line.strip() for line in lines if line.startswith("  File ")]
        own = [frame for frame in frames if "python_objects.py" in frame]
        expect_equal([frame.rpartition(", in ")[2] for frame in frames], ["fails", "divide", "fails"], "functions")
        expect_equal(own, frames, "frames")
        for text in ("ZeroDivisionError: division by zero", "The above exception was the direct cause"):
            expect(text in response.error_traceback, f"the traceback lacks {text!r}: {response.error_traceback}")
        expect_equal(response.session_id, remote.id, "session_id")
    expect_answer(remote.call("exits"), ERROR, "SystemExit: 3")
    expect_same(remote.result("waits"), "waited")


@case("arguments that name what no caller may have are SECURITY_VIOLATION, and nothing of them happens")
def hostile_arguments(service: Service) -> None:
    remote = worker(service)
    for name in ("os.system", "subprocess.Popen", "builtins.eval", "builtins.exec", "cloudpickle.loads", "js.eval",
                 "rexec_runtime.bridge.begin", "pyodide.code.run_js"):  # fmt: skip
        module, _, function = name.rpartition(".")
        message = execution.ExecuteObjectMethodRequest(
            session_id=remote.id,
            method_name="same",
            method_args_data=f"(c{module}\n{function}\n(S'1'\ntRl.".encode(),
            serialization_format="pickle",
        )
        expect_answer(service.stub.ExecuteObjectMethod(message, 60), SECURITY_VIOLATION, name)
    expect_same(remote.result("waits"), "waited")


@case("the session ends with a close, and all that it was is gone")
def ended(service: Service) -> None:
    remote = worker(service)
    worker.close()
    expect_answer(remote.call("seen"), ERROR, "Session not found")
    expect_nothing_left(service)
