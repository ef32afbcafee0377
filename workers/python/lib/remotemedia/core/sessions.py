"""State that a node keeps for each session of its callers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

_DEFAULT_TTL = timedelta(hours=24)

#: Where the SDK has these classes, and pickles look for them.
_SDK_MODULE = "remotemedia.core.node"


@dataclass
class SessionState:
    """One session's values by name."""

    __module__ = _SDK_MODULE

    session_id: str
    data: dict[str, Any] = field(default_factory=dict)
    created_at: datetime = field(default_factory=datetime.now)
    last_accessed: datetime = field(default_factory=datetime.now)
    metadata: dict[str, Any] = field(default_factory=dict)

    def update_access_time(self) -> None:
        """Counts as used just now."""
        self.last_accessed = datetime.now()

    def get(self, key: str, default: Any = None) -> Any:
        """The value of this name."""
        self.update_access_time()
        return self.data.get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Sets one value."""
        self.update({key: value})

    def update(self, updates: dict[str, Any]) -> None:
        """Sets several values."""
        self.update_access_time()
        self.data.update(updates)

    def clear(self) -> None:
        """Forgets all values."""
        self.update_access_time()
        self.data.clear()


class StateManager:
    """The sessions of one node. Those that nobody used for the time to live are forgotten when another one is asked for."""

    __module__ = _SDK_MODULE

    def __init__(
        self,
        default_ttl: timedelta | None = None,
        max_sessions: int | None = None,
        enable_persistence: bool = False,
    ) -> None:
        self.default_ttl = default_ttl or _DEFAULT_TTL
        self.max_sessions = max_sessions
        self.enable_persistence = enable_persistence
        self._states: dict[str, SessionState] = {}

    async def get_or_create_session(self, session_id: str) -> SessionState:
        """The session of this id; a new one takes the place of the one unused for longest where there are too many."""
        await self.cleanup_expired_sessions()
        if session_id not in self._states:
            if self.max_sessions and len(self._states) >= self.max_sessions:
                del self._states[min(self._states, key=lambda key: self._states[key].last_accessed)]
            self._states[session_id] = SessionState(session_id)
        return self._states[session_id]

    async def get_session(self, session_id: str) -> SessionState | None:
        """The session of this id, where there is one."""
        return self._states.get(session_id)

    async def delete_session(self, session_id: str) -> bool:
        """Forgets a session; says whether there was one."""
        return self._states.pop(session_id, None) is not None

    async def get_all_sessions(self) -> dict[str, SessionState]:
        """All sessions by their ids."""
        return dict(self._states)

    async def clear_all_sessions(self) -> None:
        """Forgets all sessions."""
        self._states.clear()

    async def cleanup_expired_sessions(self) -> int:
        """Forgets those that were not used for the time to live; says how many."""
        oldest = datetime.now() - self.default_ttl
        expired = [key for key, state in self._states.items() if state.last_accessed < oldest]
        for key in expired:
            del self._states[key]
        return len(expired)

    async def start_cleanup_task(self, interval: timedelta | None = None) -> None:
        """Nothing to start: sessions expire as others are asked for."""

    async def stop_cleanup_task(self) -> None:
        """Nothing to stop."""
