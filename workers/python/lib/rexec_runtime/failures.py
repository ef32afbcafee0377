"""How an operation fails, and what its caller is told."""

from __future__ import annotations

import os
from traceback import StackSummary, TracebackException, clear_frames, walk_tb
from types import TracebackType

from .places import PLACES

#: Characters; the same as in workers/protocol.ts.
MAX_MESSAGE_LENGTH = 8_192
MAX_TRACEBACK_LENGTH = 32_768

#: Exceptions of one chain that are shown.
MAX_CAUSES = 8

# As frames have it: what was compiled before has another place than its source, which `__file__` tells.
OWN_FOLDER = os.path.dirname(os.path.abspath((lambda: None).__code__.co_filename)) + os.sep
LIBRARY_FOLDER = os.path.dirname(os.path.dirname(OWN_FOLDER)) + os.sep

_LEFT_OUT = "\n[... {} characters left out ...]\n"


class Invalid(Exception):
    """The request asks for something that there is not."""


class Unreadable(Exception):
    """An input's pickle cannot be decoded."""


class Unwritable(Exception):
    """A result cannot be pickled."""


class UserFailure(Exception):
    """Something that the user's code raised, whatever it is: it never chooses how the service sees the task's end."""

    def __init__(self, raised: BaseException) -> None:
        super().__init__()
        self.raised = raised


def clean(text: str, limit: int) -> str:
    """Valid Unicode of at most so many characters; the middle of a longer text is left out."""
    if len(text) > limit:
        kept = limit - len(_LEFT_OUT) - 12
        head = kept // 2
        text = text[:head] + _LEFT_OUT.format(len(text) - kept) + text[head - kept :]
    return text.encode("utf-8", "replace").decode("utf-8")


def name_of(kind: type) -> str:
    """A class's name as CPython's tracebacks show it."""
    try:
        module, name = kind.__module__, kind.__qualname__
        return f"{name}" if module in ("builtins", "__main__") else f"{module}.{name}"
    except BaseException:  # a metaclass may raise anything
        return "object"


def message_of(error: BaseException) -> str:
    """`ValueError: x`; an exception that cannot be shown is shown by its name."""
    try:
        text = str(error)
        text = str.__str__(text)
    except BaseException:
        text = "<exception str() failed>"
    name = name_of(type(error))
    return clean(f"{name}: {text[: 2 * MAX_MESSAGE_LENGTH]}" if text else name, MAX_MESSAGE_LENGTH)


def traceback_of(error: BaseException) -> str:
    """The traceback as CPython writes it, from the user's first frame on, with the package's files shown relative."""
    try:
        if isinstance(error, MemoryError):
            clear_frames(error.__traceback__)
        shown = TracebackException(type(error), error, _of_user(error.__traceback__), compact=True)
        _prune(shown, 0)
        text = ""
        for part in shown.format():
            text += part
            if len(text) > 4 * MAX_TRACEBACK_LENGTH:
                text = clean(text, 2 * MAX_TRACEBACK_LENGTH)
    except BaseException:
        text = f"Traceback (most recent call last):\n{message_of(error)}\n"
    for folder in (PLACES.package + os.sep, LIBRARY_FOLDER):
        text = text.replace(f'File "{folder}', 'File "')
    return clean(text, MAX_TRACEBACK_LENGTH).rstrip("\n")


def comes_from_package(error: BaseException) -> bool:
    """Whether the package's code was running when this was raised."""
    return any(PLACES.holds(frame.f_code.co_filename) for frame, _ in walk_tb(error.__traceback__))


def _of_user(traceback: TracebackType | None) -> TracebackType | None:
    """From the first frame that is neither ours nor of the import system or asyncio on."""
    while traceback is not None and _leads_to_user(traceback.tb_frame.f_code.co_filename):
        traceback = traceback.tb_next
    return traceback


def _leads_to_user(path: str) -> bool:
    is_library = path.startswith("<frozen ") or f"{os.sep}importlib{os.sep}" in path or f"{os.sep}asyncio{os.sep}" in path
    return path.startswith(OWN_FOLDER) or is_library


def _prune(shown: TracebackException, depth: int) -> None:
    """Leaves out the frames of ours that are left, and what lies too deep."""
    stack: StackSummary = shown.stack
    stack[:] = [frame for frame in stack if not frame.filename.startswith(OWN_FOLDER)]
    for name in ("__cause__", "__context__"):
        other = getattr(shown, name)
        if other is None:
            continue
        if depth == MAX_CAUSES:
            setattr(shown, name, None)
            continue
        first = next((at for at, frame in enumerate(other.stack) if not _leads_to_user(frame.filename)), 0)
        del other.stack[:first]
        _prune(other, depth + 1)
    for other in shown.exceptions or () if hasattr(shown, "exceptions") else ():
        if depth < MAX_CAUSES:
            _prune(other, depth + 1)
