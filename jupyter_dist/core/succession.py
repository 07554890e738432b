"""How often a host's nanny, or its guardian, is followed by another when it ends without a word.

A nanny and its guardian watch each other, and each starts what follows the other. Ends that come close upon each other
are waited for longer and longer, and in the end nobody follows: a cluster that cannot live must end. The waits are a
list, one for each end in a row, because the guardian is too small a process to decide anything: it takes the first.
A nanny that has lived for a while says the list anew.
"""

from __future__ import annotations

from jupyter_dist.settings import Settings

FIRST_WAIT_S = 0.2  # doubles with each further end
AT_ONCE_MAX = 1000  # followers in a row without a wait: the list has to be a short one
CALM_LEASES = 10  # who lives for so many leases has not ended right after its start


def plan_waits(settings: Settings) -> tuple[float, ...]:
    """Return how long to wait after each end in a row before another is started; after as many ends, none is."""
    waits = [0.0] * min(settings.restart_burst_max, AT_ONCE_MAX)
    wait_s = FIRST_WAIT_S
    while wait_s < settings.restart_wait_s_max:
        waits.append(wait_s)
        wait_s *= 2
    return (*waits, settings.restart_wait_s_max)


def calm_after_s(settings: Settings) -> float:
    """Return how long one must have lived for its end to be the first of a row."""
    return CALM_LEASES * settings.lease_s


class Patience:
    """The waits of one kind of process, as far as they are not used up."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._waits = list(plan_waits(settings))
        self._started_s = 0.0

    def note_start(self, now: float) -> None:
        """Take note that one was started."""
        self._started_s = now

    def take(self, now: float) -> float | None:
        """Return how long to wait after an end; None: nobody follows."""
        if now - self._started_s >= calm_after_s(self._settings):
            self._waits = list(plan_waits(self._settings))
        return self._waits.pop(0) if self._waits else None
