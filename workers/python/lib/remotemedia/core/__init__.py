"""Base classes and exceptions."""

from .exceptions import (
    ConfigurationError,
    NodeError,
    PipelineError,
    RemoteExecutionError,
    RemoteMediaError,
    SerializationError,
    WebRTCError,
)
from .node import Node, RemoteExecutorConfig, StreamingNode
from .sessions import SessionState, StateManager

__all__ = [
    "ConfigurationError",
    "Node",
    "NodeError",
    "PipelineError",
    "RemoteExecutionError",
    "RemoteExecutorConfig",
    "RemoteMediaError",
    "SerializationError",
    "SessionState",
    "StateManager",
    "StreamingNode",
    "WebRTCError",
]
