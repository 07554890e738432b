"""How many workers there are to be, when those that leave have left."""

from jupyter_dist.core.scheduler.moves import Retirement
from jupyter_dist.core.scheduler.records import Nanny
from jupyter_dist.core.scheduler.state import State


def list_going(state: State, nanny: Nanny) -> list[Retirement]:
    """Return the workers of a host that leave, and whose places nobody takes."""
    return [
        retirement
        for retirement in state.moves.leaving.values()
        if retirement.ends and not retirement.replaced and retirement.member.nanny == nanny.name
    ]


def goal(state: State, nanny: Nanny) -> int:
    """Return how many workers a nanny is to keep."""
    return nanny.wanted - len(list_going(state, nanny))


def wanted_workers(state: State) -> int:
    """Return how many workers the nannies that are there are to keep."""
    return sum(goal(state, nanny) for nanny in state.nannies.values())
