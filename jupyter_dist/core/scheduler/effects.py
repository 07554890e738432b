"""What the scheduler's machine asks its driver to do, collected while one batch of events is handled."""

from collections import defaultdict

from jupyter_dist.core.scheduler.ledger import Change
from jupyter_dist.messages import Message


class Effects:
    """Everything to be done after one batch, in this order: the journal, sends, then closes, then the stop.

    The journal is given its changes, and writes them in its own time; sooner if an answer waits for it.
    """

    __slots__ = ("closes", "is_awaited", "journal", "number", "sends", "stop")

    def __init__(self) -> None:
        self.journal: list[Change] = []
        self.number = 0  # of the newest batch that has changes
        self.is_awaited = False  # whether answers wait, or will in a moment, until it is written
        self.sends: defaultdict[int, list[Message]] = defaultdict(list)  # by the receiver's incarnation
        self.closes: dict[int, str] = {}  # incarnation -> why, for a person
        self.stop = ""  # why the scheduler shall end; empty: go on
