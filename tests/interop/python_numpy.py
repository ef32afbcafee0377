"""numpy in the sandbox, another version of it than the client's: arrays are the same on both sides of the border."""

from __future__ import annotations

from typing import Any

import numpy as np

from conversations import ObjectStream, expect_nothing_left
from harness import case, expect, expect_equal, rows
from python_client import RemoteObject, Shared, package, run_task
from same import expect_same
from service import ERROR, SUCCESS, Service, decode, expect_failure, expect_status

NUMPY = ["numpy>=2"]
TASKS = '''import numpy as np


def kinds(values):
    return [(type(value).__module__, type(value).__name__) for value in values]


def spectrum(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    solution = np.linalg.solve(np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([3.0, 5.0]))
    return {"peak": int(spectrum.argmax()), "spectrum": spectrum.astype(np.float32), "solution": solution}


def mean(values):
    return float(np.mean(values))


def draws(_):
    return np.random.default_rng().integers(2**62), np.random.randint(2**62, dtype=np.int64)


def wrong(array):
    return array.reshape(2, 2)
'''

VALUES: list[tuple[str, Any]] = [
    ("each type of number", [np.arange(3).astype(code) for code in "?bhiqBHIQefdFD"]),
    ("long doubles", np.array([1.5, -0.0], np.longdouble)[:0]),
    ("two dimensions", np.arange(6, dtype=np.int16).reshape(2, 3)),
    ("Fortran's order", np.asfortranarray(np.arange(6.0).reshape(2, 3))),
    ("no dimension", np.array(2.5)),
    ("no element", np.zeros((0, 3), np.uint8)),
    ("text and bytes", [np.array(["a", "üb"]), np.array([b"a", b"bc"])]),
    ("dates", np.array(["2026-01-02", "NaT"], "datetime64[D]")),
    ("records", np.array([(1, 2.5, "x")], [("a", "<i4"), ("b", "<f8"), ("c", "<U3")])),
    ("Python objects", np.array([1, "x", None], object)),
    ("scalars", [np.float32(1.5), np.int64(2**62), np.bool_(True), np.complex64(1j), np.str_("ü")]),
    ("dtypes", [np.dtype("<f4"), np.dtype([("a", "i2")])]),
    ("one array twice", (lambda array: [array, array])(np.ones(2))),
]


def run(service: Service, function: str, value: Any, **request: Any) -> Any:
    """The response to one function of `TASKS`, where numpy is asked for."""
    code_package = package(modules={"tasks.py": TASKS})
    return run_task(service, code_package, f"tasks:{function}", value, dependencies=NUMPY, **request)


def make_border() -> Any:
    class Border:
        """Lets everything pass."""

        def same(self, value: Any) -> Any:
            return value

    return Border()


border = Shared(make_border, requirements=NUMPY)


@rows("{0} cross the border and come back as they were", VALUES)
def same(service: Service, _: str, value: Any) -> None:
    expect_same(border(service).result("same", value), value)


@case("arrays and scalars are numpy's own in the sandbox")
def kinds(service: Service) -> None:
    border.close()
    response = run(service, "kinds", [np.ones(1), np.float32(1), np.dtype("i4")])
    expect_status(response, SUCCESS)
    expect_equal([*response.installed_deps], ["numpy==2.1.1"], "installed_deps")
    expected = [("numpy", "ndarray"), ("numpy", "float32"), ("numpy.dtypes", "Int32DType")]
    expect_same(decode(response.output_data), expected)


@case("Fourier transforms and linear algebra compute what the client's numpy does")
def computes(service: Service) -> None:
    samples = np.sin(2 * np.pi * 50 * np.arange(480) / 480)
    response = run(service, "spectrum", samples)
    expect_status(response, SUCCESS)
    result = decode(response.output_data)
    expect_equal(result["peak"], 50, "the loudest frequency")
    expected = np.abs(np.fft.rfft(samples * np.hanning(480)))
    expect(result["spectrum"].dtype == np.float32, result["spectrum"].dtype)
    expect(np.allclose(result["spectrum"], expected, atol=1e-4), "another spectrum")
    expect(np.allclose(result["solution"], [0.8, 1.4]), "another solution")


@case("a json input is plain lists, of which numpy computes")
def of_json(service: Service) -> None:
    response = run(service, "mean", [1, 2, 6], format="json")
    expect_status(response, SUCCESS)
    expect_same(decode(response.output_data, "json"), 3.0)


@case("no two sandboxes draw the same random numbers")
def random(service: Service) -> None:
    seen = [decode(run(service, "draws", None).output_data) for _ in range(2)]
    for one in zip(*seen):
        expect_equal(len({int(number) for number in one}), 2, f"different numbers in {one}")


@case("an error of numpy is told with the line of the package that met it")
def wrong(service: Service) -> None:
    response = run(service, "wrong", np.ones(3))
    expect_failure(response, ERROR, "ValueError: cannot reshape array of size 3 into shape (2,2)")
    expect('File "tasks.py", line' in response.error_traceback, response.error_traceback)


@case("its code is for one version of Python: on another the task is told so")
def other_version(service: Service) -> None:
    code_package = package(modules={"tasks.py": TASKS}, python_version="3.14")
    response = run_task(service, code_package, "tasks:mean", [1], dependencies=NUMPY)
    expect_failure(response, ERROR, "numpy", "cp311")


@case("a task that did not ask for numpy gets an error that says so")
def not_asked_for(service: Service) -> None:
    response = run_task(service, package(modules={"tasks.py": TASKS}), "tasks:mean")
    expect_failure(response, ERROR, "numpy")


def make_gain() -> Any:
    class Gain:
        """An effect on audio whose state is an array: it fades to the gain that it was made with."""

        def __init__(self, gain: float) -> None:
            self.state = np.array([1.0, gain], np.float32)

        def process(self, samples: Any) -> Any:
            ramp = np.linspace(self.state[0], self.state[1], samples.shape[-1], dtype=np.float32)
            self.state[0] = self.state[1]
            return samples * ramp

        def levels(self) -> Any:
            return self.state

    return Gain(0.5)


@case("an object of the client's that holds arrays computes in a session and over a stream")
def effect(service: Service) -> None:
    code_package = package(make_gain(), requirements=NUMPY)
    frame = np.ones((1, 5), np.float32)
    with RemoteObject(service, code_package) as remote:
        expect_same(remote.result("levels"), np.array([1.0, 0.5], np.float32))
        with ObjectStream(service, session_id=remote.id) as stream:
            stream.give(frame)
            expect_same(stream.output(), np.array([[1, 0.875, 0.75, 0.625, 0.5]], np.float32))
            stream.give(frame)
            stream.half_close()
            expect_same(stream.rest(), [np.full((1, 5), 0.5, np.float32)])
        expect_same(remote.result("levels"), np.array([0.5, 0.5], np.float32))
    expect_nothing_left(service)
