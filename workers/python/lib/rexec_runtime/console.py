"""Where log records go when user code does not say."""

from __future__ import annotations

import logging
import sys
from typing import TextIO


class _ErrorStream(logging.StreamHandler):
    """Writes to whatever standard error is at that time."""

    def __init__(self) -> None:
        logging.Handler.__init__(self, logging.INFO)

    @property
    def stream(self) -> TextIO:
        return sys.stderr


def log_to_console() -> None:
    """Shows records from INFO on as `LEVEL:name:message` until user code adds a handler.

    It is the last resort and no handler of the root logger, since `logging.basicConfig()` would do nothing with one.
    """
    handler = _ErrorStream()
    handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
    logging.lastResort = handler
    logging.getLogger().setLevel(logging.INFO)
