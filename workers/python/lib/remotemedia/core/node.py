"""The base class of the SDK's nodes."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from .exceptions import ConfigurationError
from .sessions import SessionState, StateManager

#: Keys that tell metadata from a dict that is data.
_METADATA_KEYS = ("session_id", "metadata", "user_name", "timestamp")


@dataclass
class RemoteExecutorConfig:
    """Where a node would run remotely. Here it is data only: nothing can be reached from a sandbox."""

    host: str
    port: int
    protocol: str = "grpc"
    auth_token: str | None = None
    timeout: float = 30.0
    max_retries: int = 3
    ssl_enabled: bool = True
    pip_packages: list[str] | None = None

    def __post_init__(self) -> None:
        if self.protocol not in ("grpc", "http"):
            raise ConfigurationError(f"Unsupported protocol: {self.protocol}")
        if not 0 < self.port <= 65535:
            raise ConfigurationError(f"Invalid port: {self.port}")
        if self.timeout <= 0:
            raise ConfigurationError(f"Invalid timeout: {self.timeout}")


class Node(ABC):
    """One step of processing. Subclasses implement :meth:`process`."""

    def __init__(
        self,
        name: str | None = None,
        enable_state: bool = True,
        state_ttl: timedelta | None = None,
        max_sessions: int | None = None,
        **config: Any,
    ) -> None:
        self.name = name or type(self).__name__
        self.config = config
        self.logger = logging.getLogger(type(self).__name__)
        self.enable_state = enable_state
        self.state = StateManager(state_ttl, max_sessions) if enable_state else None
        self._is_initialized = False
        self._current_session_id: str | None = None

    @abstractmethod
    def process(self, data: Any) -> Any:
        """What becomes of one input; of a stream of them where this is an async generator."""

    async def initialize(self) -> None:
        """Runs once, before the first input."""
        self._is_initialized = True

    async def flush(self) -> Any:
        """What is left at the end of the inputs; None for nothing."""
        return None

    async def cleanup(self) -> None:
        """Runs once, after the last input."""
        if self.state is not None:
            await self.state.clear_all_sessions()
        self._is_initialized = False

    @property
    def is_initialized(self) -> bool:
        """Whether it is between `initialize` and `cleanup`."""
        return self._is_initialized

    def get_config(self) -> dict[str, Any]:
        """Name, class and parameters."""
        return {"name": self.name, "class": type(self).__name__, "config": self.config}

    def set_session_id(self, session_id: str) -> None:
        """Says whose input is processed now."""
        self._current_session_id = session_id

    def get_session_id(self) -> str | None:
        """Whose input is processed now."""
        return self._current_session_id

    async def get_session_state(self, session_id: str | None = None) -> SessionState | None:
        """The state of a session, the current one where none is named."""
        session_id = session_id or self._current_session_id
        if self.state is None or not session_id:
            return None
        return await self.state.get_or_create_session(session_id)

    def extract_session_id(self, data: Any) -> str | None:
        """The session that an input names: in itself, or in the dict that is the last of a tuple."""
        holder = data[-1] if isinstance(data, tuple) and len(data) >= 2 else data
        return holder.get("session_id") if isinstance(holder, dict) else None

    def split_data_metadata(self, data: Any) -> tuple[Any, dict[str, Any] | None]:
        """Takes the metadata off `(value, metadata)` or `(a, b, metadata)`."""
        if not isinstance(data, tuple) or len(data) < 2 or not isinstance(data[-1], dict):
            return data, None
        if not any(key in data[-1] for key in _METADATA_KEYS):
            return data, None
        return (data[0] if len(data) == 2 else data[:-1]), data[-1]

    def merge_data_metadata(self, data: Any, metadata: dict[str, Any] | None) -> Any:
        """Puts metadata back behind the value it belongs to."""
        if metadata is None:
            return data
        return (*data, metadata) if isinstance(data, tuple) else (data, metadata)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name='{self.name}')"


class StreamingNode(Node):
    """A node whose `process` is an async generator over a stream of inputs."""

    is_streaming = True
