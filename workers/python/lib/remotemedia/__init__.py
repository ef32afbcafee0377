"""What classes of user code that were written for the RemoteMedia SDK need of it: its base classes and exceptions."""

from .core import Node, NodeError, PipelineError, RemoteExecutorConfig

__all__ = ["Node", "NodeError", "PipelineError", "RemoteExecutorConfig"]
