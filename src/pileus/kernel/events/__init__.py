"""Events: what happened to resources, written in the transaction that made it happen, and streams of them."""

from pileus.kernel.events.events import Events

__all__ = ["Events"]
