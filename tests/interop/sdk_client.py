"""The calls as a client on asyncio makes them: the form that the RemoteMedia SDK uses.

It connects with a GetStatus, writes config values with `str()`, always sends options, keeps one `grpc.aio` channel and
waits for each answer with `asyncio.wait_for`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import numpy as np

from harness import case, expect, expect_equal
from same import expect_same
from service import ERROR, Service, decode, encode, execution, execution_grpc, types

TIMEOUT_SECONDS = 30


class SdkLikeClient:
    """A client with the SDK's habits."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.stub = execution_grpc.RemoteExecutionServiceStub(channel)

    async def execute_node(self, node: str, config: dict[str, Any], value: Any, format: str = "pickle") -> Any:
        message = execution.ExecuteNodeRequest(
            node_type=node,
            config={key: str(setting) for key, setting in config.items()},
            input_data=encode(value, format),
            serialization_format=format,
            options=types.ExecutionOptions(
                timeout_seconds=TIMEOUT_SECONDS,
                memory_limit_mb=512,
                cpu_limit_percent=100,
                enable_networking=False,
                enable_filesystem=False,
            ),
        )
        response = await asyncio.wait_for(self.stub.ExecuteNode(message), timeout=TIMEOUT_SECONDS)
        if response.status != types.EXECUTION_STATUS_SUCCESS:
            raise RuntimeError(response.error_message, response.status)
        return decode(response.output_data, format)

    async def stream_node(
        self, node: str, config: dict[str, Any], inputs: AsyncIterator[Any], format: str = "pickle"
    ) -> AsyncIterator[Any]:
        async def requests() -> AsyncIterator[execution.StreamData]:
            text = {key: str(setting) for key, setting in config.items()}
            init = execution.StreamInit(node_type=node, config=text, serialization_format=format)
            yield execution.StreamData(init=init)
            async for value in inputs:
                yield execution.StreamData(data=encode(value, format))

        async for response in self.stub.StreamNode(requests()):
            if response.error_message:
                raise RuntimeError(f"Remote stream error: {response.error_message}")
            yield decode(response.data, format)

    async def execute_object_method(
        self,
        code_package: bytes,
        method: str,
        args: list[Any],
        format: str = "pickle",
        session_id: str | None = None,
    ) -> dict[str, Any]:
        which = {"session_id": session_id} if session_id else {"code_package": code_package}
        message = execution.ExecuteObjectMethodRequest(
            serialization_format=format, method_name=method, method_args_data=encode(args, format), **which
        )
        response = await self.stub.ExecuteObjectMethod(message)
        if response.status != types.EXECUTION_STATUS_SUCCESS:
            raise RuntimeError(response.error_message, response.error_traceback)
        return {"result": decode(response.result_data, format), "session_id": response.session_id}

    async def stream_object(
        self, inputs: AsyncIterator[Any], format: str = "pickle", **which: Any
    ) -> AsyncIterator[Any]:
        async def requests() -> AsyncIterator[execution.StreamObjectRequest]:
            init = execution.StreamObjectInit(config={}, serialization_format=format, **which)
            yield execution.StreamObjectRequest(init=init)
            async for value in inputs:
                yield execution.StreamObjectRequest(data=encode(value, format))

        async for response in self.stub.StreamObject(requests()):
            if response.HasField("error"):
                raise RuntimeError(f"Remote stream error: {response.error}")
            if response.HasField("data"):
                yield decode(response.data, format)


def with_client(service: Service, use: Callable[[SdkLikeClient], Awaitable[None]]) -> None:
    """Connects, uses the client and disconnects."""

    async def run() -> None:
        async with grpc.aio.insecure_channel(service.address) as channel:
            await use(SdkLikeClient(channel))

    asyncio.run(run())


@case("it connects, lists nodes and asks for the status")
def connects(service: Service) -> None:
    async def use(client: SdkLikeClient) -> None:
        status = await client.stub.GetStatus(execution.StatusRequest(include_metrics=True, include_sessions=False))
        expect_equal(status.status, types.SERVICE_STATUS_HEALTHY, "status")
        nodes = await client.stub.ListNodes(execution.ListNodesRequest(category=""))
        expect("PassThroughNode" in [node.node_type for node in nodes.available_nodes], "PassThroughNode is not listed")

    with_client(service, use)


@case("it runs nodes with config that went through str()")
def runs_nodes(service: Service) -> None:
    async def use(client: SdkLikeClient) -> None:
        audio = (np.zeros((1, 480), np.float32), 48_000)
        samples, rate = await client.execute_node("AudioTransform", {"output_sample_rate": 48_000}, audio)
        expect_equal((samples.shape, rate), ((2, 480), 48_000))
        config = {"resolution": (4, 2), "flip": None}
        frame = await client.execute_node("VideoTransform", config, np.zeros((2, 2, 3), np.uint8))
        expect_equal(frame.shape, (2, 4, 3))
        config = {"filter_mode": True, "include_metadata": False}
        expect_equal(await client.execute_node("VoiceActivityDetector", config, audio), None)
        answer = await client.execute_node("TextProcessorNode", {"a": None, "b": [1]}, {"text": "x"}, "json")
        expect_same(dict(sorted(answer["node_config"].items())), {"a": None, "b": [1]})

    with_client(service, use)


@case("a failure has the message that it shows, and the channel goes on")
def fails(service: Service) -> None:
    async def use(client: SdkLikeClient) -> None:
        try:
            await client.execute_node("NoSuchNode", {}, 1)
        except RuntimeError as error:
            message, status = error.args
            expect(message.startswith("Unknown node type: NoSuchNode"), message)
            expect_equal(status, ERROR, "status")
        else:
            raise AssertionError("an unknown node ran")
        expect_equal(await client.execute_node("PassThroughNode", {}, 1), 1)

    with_client(service, use)


@case("many calls at once on its one channel are answered each with its own")
def many(service: Service) -> None:
    async def use(client: SdkLikeClient) -> None:
        calls = [client.execute_node("PassThroughNode", {}, {"n": number}) for number in range(500)]
        expect_equal(await asyncio.gather(*calls), [{"n": number} for number in range(500)])

    with_client(service, use)
