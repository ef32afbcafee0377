"""A reader that stops reading for ten seconds while its stream is fed as fast as the transport takes it."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Iterator

from conversations import ExecuteStream, NodeStream, expect_nothing_left
from harness import case, expect, expect_equal
from same import expect_same
from service import CALL_TIMEOUT_SECONDS, Service, decode, encode, execution

PAUSE_SECONDS = 10

# 400 MB, were nobody to hold them.
ITEM_BYTES = 256 * 1024
ITEMS = 1_600

# What may come from the collectors of all processes, and a host that starts meanwhile, is far below.
MAX_GROWTH_BYTES = 200 * 1024 * 1024


def resident_bytes(pid: int) -> int:
    """What a process and all that descend of it have in memory."""
    total = 0
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        children = [path.read_text() for path in pathlib.Path(f"/proc/{pid}/task").glob("*/children")]
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it has ended meanwhile
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            total += int(line.split()[1]) * 1024
    return total + sum(resident_bytes(int(child)) for text in children for child in text.split())


@case(f"a reader that pauses {PAUSE_SECONDS} s holds its own stream alone, costs little, and then gets every output")
def slow_reader(service: Service) -> None:
    service.wait_until(lambda status: status.metrics.available_workers == 2, "all workers are available")
    fed = 0

    def requests() -> Iterator[execution.StreamData]:
        nonlocal fed
        yield execution.StreamData(init=execution.StreamInit(node_type="PassThroughNode"))
        for number in range(ITEMS):
            yield execution.StreamData(data=encode((number, number.to_bytes(4, "big") * (ITEM_BYTES // 4))))
            fed = number + 1

    def next_output(number: int) -> None:
        message = next(call)
        expect_equal(message.error_message, "", "error_message")
        mark, data = decode(message.data)
        expect_equal(mark, number, "number of the output")
        expect(data == number.to_bytes(4, "big") * (ITEM_BYTES // 4), f"output {number} differs")

    other_channel = service.reconnect()
    call = service.stub.StreamNode(requests(), timeout=CALL_TIMEOUT_SECONDS)
    try:
        next_output(0)
        before = most = resident_bytes(service.server_pid)
        with (
            NodeStream(service, "StatefulCounter") as beside,
            ExecuteStream(other_channel, "StatefulCounter", format="json") as elsewhere,
        ):
            elsewhere.open()
            rounds = 0
            pause_ends_at = time.monotonic() + PAUSE_SECONDS
            while time.monotonic() < pause_ends_at:
                for stream in (beside, elsewhere):
                    stream.give("x")
                expect_same((beside.output(), elsewhere.output()), ((rounds,), [rounds]))
                for caller in (service, other_channel):
                    expect_equal(caller.value("PassThroughNode", rounds), rounds)
                most = max(most, resident_bytes(service.server_pid))
                rounds += 1
        expect(fed < ITEMS / 2, f"{fed} of {ITEMS} inputs were taken for a reader that reads nothing")
        grown = most - before
        expect(grown < MAX_GROWTH_BYTES, f"the server grew by {grown // 2**20} MB in {rounds} rounds")
        for number in range(1, ITEMS):
            next_output(number)
        expect_equal(next(call, None), None, "what comes after the last")
    finally:
        call.cancel()
        other_channel.close()
    expect_nothing_left(service)
