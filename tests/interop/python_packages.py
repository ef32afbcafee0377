"""ExecuteCustomTask with Python packages: entry points, what they depend on, and where it comes from."""

from __future__ import annotations

from typing import Any

import watch_pb2_grpc

from conversations import expect_nothing_left
from harness import case, expect_equal, rows
from python_client import package, run_task
from same import expect_same
from service import (
    CALL_TIMEOUT_SECONDS,
    ERROR,
    SECURITY_VIOLATION,
    SUCCESS,
    Service,
    decode,
    encode,
    execution,
    expect_failure,
    expect_status,
    types,
)

MODULES = {
    "tasks/__init__.py": "",
    "tasks/main.py": '''import base64
from pathlib import Path

from tasks.local import double


def plain(value):
    print("plain", value)
    return {"value": double(value), "data": Path("data.txt").read_text()}


async def asynchronous(value):
    import cloudpickle

    return [base64.b64encode(cloudpickle.dumps(lambda: value)).decode(), cloudpickle.__version__]


def generator(count):
    yield from range(count)


def fails(value):
    double(value)
    raise OSError(5, "no such luck")
''',
    "tasks/local.py": "def double(value):\n    return value * 2\n",
    "data.txt": "some data\n",
}


@rows("an entry point with a local module, a data file and its answer's form ({0})", [("pickle",), ("json",)])
def plain(service: Service, format: str) -> None:
    entry = "tasks.main:plain" if format == "pickle" else "tasks.main.plain"
    response = run_task(service, package(modules=MODULES), entry, [1, 2.0], format=format)
    expect_status(response, SUCCESS)
    expect_same(decode(response.output_data, format), {"value": [1, 2.0, 1, 2.0], "data": "some data\n"})
    expect_equal((response.stdout, [*response.installed_deps]), ("plain [1, 2.0]\n", []), "console and installed_deps")


# Where a package may say what it depends on.
PLACES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("the request's dependencies", {}, {"dependencies": ["cloudpickle>=2"]}),
    ("the manifest's pip_requirements", {"requirements": ["cloudpickle"]}, {}),
    ("requirements.txt", {"files": {"requirements.txt": "# tools\ncloudpickle >= 2.0, < 4  # by value\n"}}, {}),
]


@rows("a dependency named in {0} is installed, and told with its version", PLACES)
def installed(service: Service, _: str, content: dict[str, Any], request: dict[str, Any]) -> None:
    response = run_task(service, package(modules=MODULES, **content), "tasks.main:asynchronous", (1, "x"), **request)
    expect_status(response, SUCCESS)
    text, version = decode(response.output_data)
    expect_equal([*response.installed_deps], [f"cloudpickle=={version}"], "installed_deps")
    expect_equal(text[:2], "gA", "what cloudpickle made")


@rows("one that is not there is an ERROR, named in {0}", PLACES)
def missing(service: Service, _: str, content: dict[str, Any], request: dict[str, Any]) -> None:
    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: renamed(item) for key, item in value.items()}
        return [renamed(item) for item in value] if isinstance(value, list) else value.replace("cloudpickle", "no-such-lib")

    response = run_task(service, package(modules=MODULES, **renamed(content)), "tasks.main:plain", 1, **renamed(request))
    expect_failure(response, ERROR, "no-such-lib", "is not in", "the folder of packages")
    expect_equal(response.failure_reason, types.FAILURE_REASON_INVALID_TASK, "failure_reason")
    expect_equal([*response.installed_deps], [], "installed_deps")


@rows("a version that is not there is an ERROR with those that are: {0}", [("cloudpickle<1",), ("cloudpickle==99.0",)])
def wrong_version(service: Service, requirement: str) -> None:
    response = run_task(service, package(modules=MODULES), "tasks.main:plain", 1, dependencies=[requirement])
    expect_failure(response, ERROR, "cloudpickle")


@case("a watched task tells its console in order while it runs, and at last all that ExecuteCustomTask tells")
def watched(service: Service) -> None:
    source = "import sys\ndef main(value):\n    print('a')\n    print('b', file=sys.stderr)\n    print('c')\n    return value\n"
    request = execution.ExecuteCustomTaskRequest(
        code_package=package(modules={"main.py": source}),
        entry_point="main:main",
        input_data=encode([1, "x"], "pickle"),
        serialization_format="pickle",
    )
    *events, last = watch_pb2_grpc.WatchServiceStub(service.channel).WatchCustomTask(request, timeout=CALL_TIMEOUT_SECONDS)
    texts = [text for event in events for text in event.console.texts]
    expect_equal([(text.WhichOneof("stream"), text.stdout or text.stderr) for text in texts],
                 [("stdout", "a\n"), ("stderr", "b\n"), ("stdout", "c\n")], "console")  # fmt: skip
    expect_equal(last.WhichOneof("event"), "response", "last event")
    expect_status(last.response, SUCCESS)
    expect_same(decode(last.response.output_data), [1, "x"])
    expect_equal((last.response.stdout, last.response.stderr), ("a\nc\n", "b\n"), "console of the response")


@case("a task that raises is ERROR with the package's own files in its traceback")
def fails(service: Service) -> None:
    response = run_task(service, package(modules=MODULES), "tasks.main:fails", 1)
    expect_failure(response, ERROR, "OSError: [Errno 5] no such luck")
    lines = response.error_traceback.split("\n")
    expect_equal(lines[0], "Traceback (most recent call last):", "first line")
    expect_equal(lines[1].split(", ")[0], '  File "tasks/main.py"', "first frame")
    expect_equal(lines[2].strip(), 'raise OSError(5, "no such luck")', "its source")
    expect_equal(lines[-1], "OSError: [Errno 5] no such luck", "last line")


ABSENT = [("tasks.main:nothing", "nothing"), ("os:system", "os")]


@rows("{0} is no entry point of the package: ERROR", ABSENT)
def no_entry(service: Service, entry: str, text: str) -> None:
    expect_failure(run_task(service, package(modules=MODULES), entry, "x"), ERROR, text)


@case("an input that names what no caller may have is SECURITY_VIOLATION with its name")
def hostile_input(service: Service) -> None:
    for name in ("os.system", "builtins.eval"):
        module, _, function = name.rpartition(".")
        data = f"c{module}\n{function}\n(S'1'\ntR.".encode()
        message = execution.ExecuteCustomTaskRequest(
            code_package=package(modules=MODULES),
            entry_point="tasks.main:plain",
            input_data=data,
            serialization_format="pickle",
        )
        response = service.stub.ExecuteCustomTask(message, CALL_TIMEOUT_SECONDS)
        expect_failure(response, SECURITY_VIOLATION, name)
    expect_nothing_left(service)
