"""The event loop of every process of ours: uvloop where it exists, else asyncio's own, which does the same slower."""

import asyncio
from collections.abc import Callable

try:
    import uvloop
except ImportError:
    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    new_event_loop = uvloop.new_event_loop

__all__ = ["new_event_loop"]
