"""The base class under the name that nodes of the SDK import it by, too."""

from ..core.node import Node, RemoteExecutorConfig

__all__ = ["Node", "RemoteExecutorConfig"]
