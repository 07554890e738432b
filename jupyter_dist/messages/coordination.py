"""Between a client and the scheduler: what clients share by name, and whose turn it is.

A request is answered by one `Coordinated`, perhaps after a long wait. The values are a user's pickles in parcels, which
the scheduler never opens; beside them stands which results they speak of, so that these are kept.
"""

from jupyter_dist.messages.base import Count, Message, Record, Some


class MentionedFuture(Record):
    """A Future inside a pickled value: its key, and the name people know its task by."""

    key: str
    label: str


class Parcel(Record):
    """A pickled value, and the futures in it."""

    value: bytes
    futures: tuple[MentionedFuture, ...] = ()


class NamedParcel(Record):
    """A value that is to be had under a name."""

    name: str
    parcel: Parcel


class ClaimedKey(Record):
    """A key the client wants, and by which wish it will hear of it."""

    key: str
    wish: int


class AcquireLease(Message, tag=120):
    """Wait for one of the ``limit`` leases there are on a name. ``kind`` is lock or semaphore.

    The lease goes by the number of this request.
    """

    request: int
    kind: str
    name: str
    limit: Some


class ReleaseLease(Message, tag=121):
    """Give a lease back; an error when it is not held any more."""

    request: int
    lease: int


class CountLeases(Message, tag=122):
    """Ask how many leases on a name are held."""

    request: int
    kind: str
    name: str


class SetValues(Message, tag=123):
    """Give names a value, all of them or none. ``kind`` is event, variable or dataset.

    With ``is_new`` it is an error when one of them has a value.
    """

    request: int
    kind: str
    values: tuple[NamedParcel, ...]
    is_new: bool = False


class GetValue(Message, tag=124):
    """Wait until a name has a value, and ask for it."""

    request: int
    kind: str
    name: str


class UnsetValue(Message, tag=125):
    """Take a name's value away; the answer counts whether it had one."""

    request: int
    kind: str
    name: str


class ListValues(Message, tag=126):
    """Ask which names have a value."""

    request: int
    kind: str


class PutItem(Message, tag=127):
    """Put a value into a queue, after waiting while it has ``size_max`` or more; 0 for any number."""

    request: int
    name: str
    parcel: Parcel
    size_max: Count = 0


class TakeItems(Message, tag=128):
    """Wait for so many values of a queue and take them out; 0 for those there are, without waiting."""

    request: int
    name: str
    count: Count = 1


class CountItems(Message, tag=129):
    """Ask how many values a queue has."""

    request: int
    name: str


class GiveUpRequest(Message, tag=130):
    """Wait no longer for this request.

    One that still waits is answered as not done, and one that does not has its answer already: either way the client
    hears what became of it. With ``undo`` the client does not listen any more: what the request was given is taken back.
    """

    request: int
    undo: bool = False


class ClaimParcels(Message, tag=131):
    """The parcels of this request's answer have arrived; these of the keys they speak of are new to the client."""

    request: int
    wishes: tuple[ClaimedKey, ...] = ()


class ClaimRequests(Message, tag=132):
    """On a connection that was made anew: these requests were said before, and no answer to them was heard.

    Each is answered again, unless it still waits. ``waits`` are those for a lease or for items, ``given_up`` those of them
    that wait no longer, ``acts`` all others that change something.
    """

    waits: tuple[int, ...] = ()
    given_up: tuple[int, ...] = ()
    acts: tuple[int, ...] = ()


class Coordinated(Message, tag=140):
    """The answer to one request: not ``done`` when it was given up before its turn came.

    ``error`` says in words why it cannot be, ``fault`` of what kind that is: usage (the call makes no sense), taken
    (a name has a value) or refused (all else). Parcels stay the scheduler's until they are claimed; so does an answer that
    ``is_kept``.
    """

    request: int
    done: bool = True
    count: int = 0
    parcels: tuple[Parcel, ...] = ()
    names: tuple[str, ...] = ()
    fault: str = ""
    error: str = ""
    is_kept: bool = False  # it is told again until `ClaimParcels` says that it was heard


CoordinationRequest = (
    AcquireLease
    | ReleaseLease
    | CountLeases
    | SetValues
    | GetValue
    | UnsetValue
    | ListValues
    | PutItem
    | TakeItems
    | CountItems
    | GiveUpRequest
    | ClaimParcels
    | ClaimRequests
)
