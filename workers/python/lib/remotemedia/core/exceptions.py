"""The exceptions of the SDK."""

from __future__ import annotations


class RemoteMediaError(Exception):
    """What they all are."""


class PipelineError(RemoteMediaError):
    """A pipeline is put together or run wrongly."""


class NodeError(RemoteMediaError):
    """A node cannot do its work."""


class RemoteExecutionError(RemoteMediaError):
    """Something failed elsewhere."""

    def __init__(self, message: str, remote_traceback: str | None = None) -> None:
        super().__init__(message)
        self.remote_traceback = remote_traceback


class WebRTCError(RemoteMediaError):
    """A WebRTC connection failed."""


class SerializationError(RemoteMediaError):
    """A value cannot be serialized, or read."""


class ConfigurationError(RemoteMediaError):
    """A parameter is missing or wrong."""
