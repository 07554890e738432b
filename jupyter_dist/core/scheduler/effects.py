"""What the scheduler's machine asks its driver to do, collected while one batch of events is handled."""

from collections import defaultdict

from jupyter_dist.messages import Message


class Effects:
    """Everything to be done after one batch, in this order: sends, then closes, then the stop."""

    __slots__ = ("closes", "sends", "stop")

    def __init__(self) -> None:
        self.sends: defaultdict[int, list[Message]] = defaultdict(list)  # by the receiver's incarnation
        self.closes: dict[int, str] = {}  # incarnation -> why, for a person
        self.stop = ""  # why the scheduler shall end; empty: go on
