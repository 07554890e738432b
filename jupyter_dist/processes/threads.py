"""Threads of our own, started also where a user's code has put something else in the place of `threading.Thread`."""

from collections.abc import Callable
from threading import Thread


class OwnThread(Thread):
    """A thread that does not keep its process, and that is no task's."""

    start = Thread.start  # as it is when this is loaded


def start_thread(name: str, target: Callable[..., object], *arguments: object) -> None:
    """Have a thread call something.

    Raises
    ------
    RuntimeError
        The system has none left.
    """
    OwnThread(target=target, name=name, args=arguments, daemon=True).start()
