"""Between whoever needs a result (a worker, a client) and the worker that holds it.

A result travels as raw buffers beside the message: the first is its pickle stream, the others are out-of-band buffers
of pickle protocol 5, in order.
"""

from jupyter_dist.messages.base import Message


class Fetch(Message, tag=80):
    """Send me the result of this key."""

    request: int
    key: str


class Found(Message, tag=81):
    """Here it is, in the buffers of this frame."""

    request: int
    key: str


class NotFound(Message, tag=82):
    """It is not here, or it cannot be packed; the reason is for a person."""

    request: int
    key: str
    reason: str


ToHolder = Fetch
FromHolder = Found | NotFound
