"""A bench with clients that ask for what is shared by name."""

from itertools import count

from jupyter_dist.messages import (
    AcquireLease,
    ClaimedKey,
    ClaimParcels,
    Coordinated,
    CountItems,
    CountLeases,
    GetValue,
    GiveUpRequest,
    ListValues,
    MentionedFuture,
    NamedParcel,
    Parcel,
    PutItem,
    ReleaseLease,
    SetValues,
    TakeItems,
    UnsetValue,
)
from tests.core.scheduler.bench import Bench


def parcel(value, *keys):
    return Parcel(value.encode(), tuple(MentionedFuture(key, "f") for key in keys))


class SharingBench(Bench):
    """Every method that asks returns the request's number; what was answered is read with `outcome`.

    With ``is_prompt`` everything is on the disk at once.
    """

    def __init__(self, **changes):
        super().__init__(**changes)
        self.is_prompt = True
        self._requests = count(1)
        self.outcomes = {}

    def _take(self, effects):
        effects = super()._take(effects)
        if self.is_prompt and effects.journal:
            self._note(self.machine.written(effects.number, self.now))
        return effects

    def ask(self, client, make):
        request = next(self._requests)
        self.say(client, make(request))
        return request

    def outcome(self, request):
        """Return the answer to a request, None while there is none; an answer comes once."""
        for source in tuple(self.sent):
            for message in self.heard(source, Coordinated):
                assert message.request not in self.outcomes, f"{message} is a second answer"
                self.outcomes[message.request] = message
        return self.outcomes.get(request)

    def is_done(self, *requests):
        return [(answer := self.outcome(request)) is not None and answer.done for request in requests]

    def values(self, request):
        return [found.value.decode() for found in self.outcome(request).parcels]

    # -- leases

    def acquire(self, client, name="x", limit=1, kind="lock"):
        return self.ask(client, lambda request: AcquireLease(request, kind, name, limit))

    def release_lease(self, client, lease):
        return self.outcome(self.ask(client, lambda request: ReleaseLease(request, lease)))

    def leases(self, client, name="x", kind="lock"):
        return self.outcome(self.ask(client, lambda request: CountLeases(request, kind, name))).count

    # -- queues

    def put_item(self, client, value, *keys, name="q", size_max=0):
        return self.ask(client, lambda request: PutItem(request, name, parcel(value, *keys), size_max))

    def take(self, client, number=1, name="q"):
        return self.ask(client, lambda request: TakeItems(request, name, number))

    def size(self, client, name="q"):
        return self.outcome(self.ask(client, lambda request: CountItems(request, name))).count

    # -- values

    def set_value(self, client, value, *keys, name="v", kind="variable", is_new=False):
        named = (NamedParcel(name, parcel(value, *keys)),)
        return self.ask(client, lambda request: SetValues(request, kind, named, is_new))

    def get_value(self, client, name="v", kind="variable"):
        return self.ask(client, lambda request: GetValue(request, kind, name))

    def unset(self, client, name="v", kind="variable"):
        return self.outcome(self.ask(client, lambda request: UnsetValue(request, kind, name))).count

    def names(self, client, kind="dataset"):
        return self.outcome(self.ask(client, lambda request: ListValues(request, kind))).names

    # -- what any request may come to

    def give_up(self, client, request, *, undo=False):
        self.say(client, GiveUpRequest(request, undo))

    def claim(self, client, request, **wishes):
        self.say(client, ClaimParcels(request, tuple(ClaimedKey(key, wish) for key, wish in wishes.items())))

    def is_empty(self):
        books = self.state.coordination
        tables = (books.leases, books.queues, books.values, books.turns, books.kept, books.lapses, books.keeper.wants)
        return not any(tables) and not books.nbytes
