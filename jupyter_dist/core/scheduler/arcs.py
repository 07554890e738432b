"""What state a task may be in, and the table of what may follow.

The table in ARCHITECTURE.md is compared with `ARCS` by a test. An arc that is not here raises and changes nothing.

* released: known, not needed now. * waiting: needs inputs that are not there. * queued: could run; no worker has room
or fits. * processing: one attempt is with a worker. * memory: there is a value. * erred: there will be none.
* forgotten: gone from every table.
"""

from typing import Final, Literal

TaskState = Literal["released", "waiting", "queued", "processing", "memory", "erred", "forgotten"]

RELEASED: Final = "released"
WAITING: Final = "waiting"
QUEUED: Final = "queued"
PROCESSING: Final = "processing"
MEMORY: Final = "memory"
ERRED: Final = "erred"
FORGOTTEN: Final = "forgotten"

STATES: tuple[TaskState, ...] = (RELEASED, WAITING, QUEUED, PROCESSING, MEMORY, ERRED, FORGOTTEN)

# A task in one of these keeps its inputs needed.
ACTIVE: frozenset[TaskState] = frozenset({WAITING, QUEUED, PROCESSING})

ARCS: frozenset[tuple[TaskState, TaskState]] = frozenset(
    {
        (RELEASED, WAITING),  # needed, inputs missing
        (RELEASED, QUEUED),  # needed, inputs there
        (RELEASED, MEMORY),  # the client brought the value
        (RELEASED, ERRED),  # an input erred, or scattered data is gone
        (RELEASED, FORGOTTEN),  # nobody will ask again
        (WAITING, QUEUED),  # the last input arrived
        (WAITING, RELEASED),  # not needed any more
        (WAITING, ERRED),  # an input erred
        (WAITING, PROCESSING),  # a worker that came back runs it
        (WAITING, MEMORY),  # a worker that came back has the value
        (QUEUED, PROCESSING),  # assigned
        (QUEUED, WAITING),  # an input was lost
        (QUEUED, RELEASED),  # not needed any more
        (QUEUED, MEMORY),  # a worker that came back has the value
        (QUEUED, ERRED),  # it may have begun, on a worker that did not come back, and is not run twice
        (PROCESSING, MEMORY),  # finished
        (PROCESSING, ERRED),  # raised, or convicted
        (PROCESSING, QUEUED),  # given back: withdrawn, retried, or its worker died
        (PROCESSING, WAITING),  # given back, and an input is lost
        (PROCESSING, RELEASED),  # not needed any more
        (MEMORY, RELEASED),  # not needed any more, or lost
        (ERRED, RELEASED),  # to be tried again, or not needed any more
    }
)
