"""Between whoever needs a result (a worker, a client) and the worker that holds it; and what a client asks beside it.

A result travels as raw buffers beside the message: the first is its pickle stream, the others are out-of-band buffers
of pickle protocol 5, in order. Only a client may have something run: a peer has no message for it.
"""

from jupyter_dist.messages.base import ErrorInfo, Message, Record


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


class RunCall(Message, tag=154):
    """Call this at once, beside what the slots do. ``call`` is the pickled function, arguments and keyword arguments.

    A ``request`` of 0 asks for no answer.
    """

    request: int
    call: bytes


class Ran(Message, tag=155):
    """What the call returned, in the buffers of this frame; or what it raised, and there are none."""

    request: int
    error: ErrorInfo | None = None


class ReadStacks(Message, tag=156):
    """Tell where the code of the running tasks is now."""

    request: int


class RunningStack(Record):
    """Where one running task is: its frames from the outermost of the user's on, each as Python prints it."""

    key: str
    slot: int
    frames: tuple[str, ...]


class Stacks(Message, tag=157):
    """The answer to `ReadStacks`."""

    request: int
    running: tuple[RunningStack, ...]


ToHolder = Fetch
FromHolder = Found | NotFound
FromCaller = Fetch | RunCall | ReadStacks
ToCaller = Found | NotFound | Ran | Stacks
