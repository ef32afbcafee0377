"""User code in Python, sent as the RemoteMedia SDK's RemoteProxy sends it: a pickled object with the sources it needs."""

from __future__ import annotations

import base64
import importlib
import io
import json
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cloudpickle

from accounts import call, expect_answer
from harness import expect
from service import CALL_TIMEOUT_SECONDS, SUCCESS, Service, decode, encode, execution


def pickled(subject: Any) -> str:
    """An object as text, its class by value where no module of the service's can have it."""
    return base64.b64encode(cloudpickle.dumps(subject)).decode("ascii")


def package(
    subject: Any = None,
    *,
    text: str | None = None,
    modules: Mapping[str, str] | None = None,
    requirements: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
    **manifest: Any,
) -> bytes:
    """A code package.

    `subject` is pickled, or `text` is what stands for its pickle; `modules` are sources by path below `code/`, `files`
    what else there is; `requirements` are listed where the SDK lists them, in the manifest.
    """
    if subject is not None:
        text = pickled(subject)
    sources = modules or {}
    described = {
        "version": "1.0",
        "type": "code_package",
        "has_serialized_object": text is not None,
        "pip_requirements": [*requirements],
        "entry_files": [],
        "dependencies": [f"code/{path}" for path in sources],
        **manifest,
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(described, indent=2))
        if text is not None:
            archive.writestr("serialized_object.pkl", text)
        for path, source in sources.items():
            archive.writestr(f"code/{path}", source)
        for path, content in (files or {}).items():
            archive.writestr(path, content)
    return packed.getvalue()


def main_class(source: str, name: str) -> type:
    """A class of the client's `__main__`, where a script's own classes are."""
    main = sys.modules["__main__"]
    exec(compile(source, "<client>", "exec"), vars(main))
    return getattr(main, name)


class RemoteObject:
    """A session with an object of the client's. Used in a `with` statement, it is closed at the end."""

    def __init__(self, service: Service, code_package: bytes, format: str = "pickle", **request: Any) -> None:
        self.service = service
        self.format = format
        #: The answer that opened it.
        self.opened = call(service, "", format=format, code_package=code_package, **request)
        expect_answer(self.opened, SUCCESS)
        expect(self.opened.session_id, "the session has no name")
        self.id = self.opened.session_id

    def __enter__(self) -> RemoteObject:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> execution.ExecuteObjectMethodResponse:
        return self.call("", close=True)

    def call(self, method: str, *args: Any, format: str | None = None, **request: Any) -> Any:
        """What a call comes to, an ExecuteObjectMethodResponse."""
        return call(self.service, method, *args, format=format or self.format, session_id=self.id, **request)

    def result(self, method: str, *args: Any, format: str | None = None, **request: Any) -> Any:
        """What a method gives; fails the case unless it succeeds."""
        response = self.call(method, *args, format=format, **request)
        expect_answer(response, SUCCESS)
        return decode(response.result_data, format or self.format)


class Shared:
    """One session for several cases; the last of them closes it."""

    def __init__(self, make: Callable[[], Any], **package: Any) -> None:
        self._make = make
        self._package = package
        self._remote: RemoteObject | None = None

    def __call__(self, service: Service) -> RemoteObject:
        if self._remote is None:
            self._remote = RemoteObject(service, package(self._make(), **self._package))
        return self._remote

    def close(self) -> None:
        if self._remote is not None:
            self._remote.close()
            self._remote = None


def run_task(
    service: Service, code_package: bytes, entry_point: str, value: Any = None, *, format: str = "pickle", **request: Any
) -> execution.ExecuteCustomTaskResponse:
    """ExecuteCustomTask, whatever it comes to."""
    message = execution.ExecuteCustomTaskRequest(
        code_package=code_package,
        entry_point=entry_point,
        input_data=encode(value, format),
        serialization_format=format,
        **request,
    )
    return service.stub.ExecuteCustomTask(message, CALL_TIMEOUT_SECONDS)


@contextmanager
def client_modules(sources: Mapping[str, str]) -> Iterator[None]:
    """Modules of the client's own, which it can import meanwhile, so that their classes are pickled by reference."""
    with tempfile.TemporaryDirectory() as folder:
        for path, source in sources.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(source, encoding="utf-8")
        known = {*sys.modules}
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.path.remove(folder)
            for name in {*sys.modules} - known:
                if str(getattr(sys.modules[name], "__file__", "")).startswith(folder):
                    del sys.modules[name]
