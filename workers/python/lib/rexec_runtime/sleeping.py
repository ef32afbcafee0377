"""`time.sleep` for a sandbox: the thread waits instead of counting loops, which would cost CPU time."""

import math
import os
import struct
import time

_DEVICE = "/dev/sleep"

#: A wait is taken in pieces, so that a signal that comes meanwhile is heard. In seconds.
_LONGEST_WAIT = 0.5

_monotonic = time.monotonic
_open = os.open
_write = os.write
_close = os.close
_WRITE_ONLY = os.O_WRONLY


def sleep(seconds, /):
    """Delay execution for a given number of seconds. The argument may be a floating-point number."""
    duration = float(seconds)
    if math.isnan(duration):
        raise ValueError("Invalid value NaN (not a number)")
    if duration < 0:
        raise ValueError("sleep length must be non-negative")
    end = _monotonic() + duration
    device = _open(_DEVICE, _WRITE_ONLY)
    try:
        while (left := end - _monotonic()) > 0:
            _write(device, struct.pack("<d", min(left, _LONGEST_WAIT) * 1000))
    finally:
        _close(device)
