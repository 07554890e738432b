"""Questions about what clients share by name, from the call to its answer.

A question may wait for long, and its caller may cease to wait at any moment: by its timeout, by Ctrl-C, because its
asyncio task is cancelled. After a timeout the scheduler is asked to give the request up, and says what became of it: so
a turn that came in the last moment is neither lost nor taken twice. After anything else it is undone.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from jupyter_dist.client.blocking import Opening
from jupyter_dist.client.calls import check_own
from jupyter_dist.client.front import Front
from jupyter_dist.client.future import Future
from jupyter_dist.client.packing import dump
from jupyter_dist.client.waiting import Question
from jupyter_dist.errors import ClusterClosedError, CoordinationError, DatasetError, PackingError, UsageError
from jupyter_dist.messages import Coordinated, MentionedFuture, Message, Parcel
from jupyter_dist.protocol import travel

FAULTS: dict[str, type[Exception]] = {"usage": UsageError, "taken": DatasetError}


@contextmanager
def asking(owner: Front, make: Callable[[int], Message]) -> Iterator[Question]:
    """Ask a question, made from its number; whatever is raised inside, its outcome is undone.

    Raises
    ------
    ClusterClosedError
        The executor is closed, or of a process this one was forked from.
    """
    owner.loop.check()
    session = owner.session
    question = session.put_question(make)
    try:
        yield question
    except BaseException:
        session.abandon(question.number)
        raise


async def answered(owner: Front, question: Question, what: str, timeout: float | None = None) -> Coordinated:
    """Return the answer to a question; it is not ``done`` when its turn did not come in time. A call of steps.

    Raises
    ------
    CoordinationError, UsageError, DatasetError
        It cannot be; the text begins with ``what``.
    ClusterClosedError
        The executor was closed meanwhile, or its cluster is gone.
    TimeoutError
        The scheduler did not even say that the time is over.
    """
    session = owner.session
    if not await Opening(question, timeout):
        session.give_up(question.number)
        while not await Opening(question, session.settings.lease_s):
            if not session.is_cut_off:  # else it is looked for, and will say what became of it
                raise TimeoutError(f"{what}: the scheduler does not answer. It may be stopped or overloaded")
    answer = question.answer
    if answer is None:
        raise ClusterClosedError(session.closed_reason)
    if answer.error:
        raise FAULTS.get(answer.fault, CoordinationError)(f"{what}: {answer.error}")
    return answer


async def ask(owner: Front, make: Callable[[int], Message], what: str) -> Coordinated:
    """Return the answer to a question that need not wait. A call of steps. Raises as `answered`."""
    with asking(owner, make) as question:
        return await answered(owner, question, what)


def pack(owner: Front, value: object, what: str, setting: str) -> Parcel:
    """Return a value as it is sent, with the futures in it.

    Raises
    ------
    PackingError
        It cannot be pickled, or is larger than a setting allows.
    UsageError
        A future in it is of another executor.
    CancelledError
        A future in it was cancelled.
    """
    with travel.noting() as futures:
        try:
            packed = dump(value)
        except Exception as error:
            raise PackingError(f"{what}: a {type(value).__qualname__} cannot be pickled: {error}") from error
    limit: int = getattr(owner.settings, setting)
    if len(packed) > limit:
        raise PackingError(
            f"{what}: the value (a {type(value).__qualname__}) is {len(packed):,} bytes packed, more than the {limit:,} "
            f"it may have: put it into shared memory with `future = executor.scatter(value)` and give that future "
            f"instead, or raise JUPYTER_DIST_{setting.upper()}"
        )
    check_own(owner, futures)
    mentioned = {future.key: MentionedFuture(future.key, future.label) for future in futures}
    return Parcel(packed, tuple(mentioned.values()))


def take(owner: Front, question: Question, parcels: Sequence[Parcel], what: str) -> list[Any]:
    """Return the values of an answer, with futures of an executor in them.

    Raises
    ------
    Exception
        Whatever loading a value raises.
    """
    mentioned = [future for parcel in parcels for future in parcel.futures]
    wishes = owner.session.claim(question.number, mentioned)
    futures = [Future(owner, wish) for wish in wishes]  # they hold the results until the values do
    try:
        with travel.reading_for(owner):
            return [pickle.loads(parcel.value) for parcel in parcels]  # noqa: S301 - clients of one cluster trust it
    except Exception as error:
        error.add_note(f"{what}: the value could not be loaded here")
        raise
    finally:
        futures.clear()
