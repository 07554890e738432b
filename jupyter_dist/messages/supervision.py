"""Between the scheduler and a nanny: which processes shall live, and how they died."""

from jupyter_dist.messages.base import Count, DeathCertificate, Message, Percent, Record
from jupyter_dist.messages.handshake import Refused, RegisterNanny, Welcome


class ProcessPulse(Record):
    """One watched process as the nanny sees it from outside.

    ``state`` is running, sleeping, stopped or gone; ``inside`` are the attempts that are inside a user's code.
    """

    worker: str
    pid: int
    state: str
    memory_bytes: Count
    cpu_percent: Percent
    inside: tuple[int, ...] = ()


class Pulse(Message, tag=100):
    """The nanny's heartbeat, for itself and for each of its workers."""

    workers: tuple[ProcessPulse, ...]


class WorkerDied(Message, tag=101):
    """A worker process is gone. The nanny replaces it unless it was told not to."""

    certificate: DeathCertificate


class KeepsWorkers(Message, tag=188):
    """The nanny's answer to `SetWorkers` and `EndWorkers`: how many workers it keeps now."""

    workers: Count


class SetWorkers(Message, tag=110):
    """Keep so many workers on this host; the nanny starts or ends some, first those that are not among ``keep``."""

    workers: int
    keep: tuple[str, ...] = ()


class EndWorkers(Message, tag=174):
    """End these workers at once, and keep so many fewer: a number that was ended is free for a later worker."""

    names: tuple[str, ...]
    reason: str


class ReplaceWorkers(Message, tag=111):
    """End these workers (all when empty) at once and start fresh ones."""

    names: tuple[str, ...]
    reason: str


class AbortWorker(Message, tag=115):
    """End this worker so that it still writes where it was, certify that as an overrun, and start a fresh one."""

    name: str
    pid: int
    words: str


class StopHost(Message, tag=112):
    """End everything on this host, the nanny last."""

    reason: str


class FreeObjects(Message, tag=113):
    """Remove these from the host's object store: nobody needs them any more, or they cannot be read."""

    names: tuple[str, ...]


class KeepObjects(Message, tag=114):
    """Of what was in the store when the scheduler before this one died, nobody needs anything but these.

    Nor of the copies with names below ``first``: an earlier scheduler gave them, and some may have been written since.
    """

    names: tuple[str, ...]
    first: str


FromNanny = RegisterNanny | Pulse | WorkerDied | KeepsWorkers
ToNanny = (
    Welcome | Refused | SetWorkers | ReplaceWorkers | AbortWorker | EndWorkers | StopHost | FreeObjects | KeepObjects
)
