"""The scheduler as one machine: events in, effects out.

A source is an incarnation, the number of one connection. What a source may say depends on what it registered as: a
message it has no right to closes that connection and changes nothing else.
"""

from collections.abc import Callable, Mapping, Sequence

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.scheduler import (
    adapting,
    attaching,
    code,
    compaction,
    completion,
    dispatch,
    doubt,
    explaining,
    invariants,
    keeping,
    lifetime,
    managing,
    membership,
    moving,
    observing,
    replay,
    retiring,
    submission,
    waiting,
)
from jupyter_dist.core.scheduler.coordination import answers, departures, leases, parcels, queues, returns, rows, values
from jupyter_dist.core.scheduler.effects import Effects
from jupyter_dist.core.scheduler.records import Member, Nanny, Session
from jupyter_dist.core.scheduler.state import IDLE_FUNCTIONS_MAX, State
from jupyter_dist.messages import (
    AcquireLease,
    AdaptCluster,
    AttemptGoesOn,
    AttemptWaits,
    Cancel,
    CancelTasks,
    ClaimParcels,
    ClaimRequests,
    ClaimWishes,
    CloseSession,
    CodeTaken,
    CopyFailed,
    CopyMade,
    CountItems,
    CountLeases,
    Describe,
    DescribeSessions,
    DescribeTask,
    DescribeTasks,
    DescribeVersions,
    Explain,
    GetValue,
    GiveUpRequest,
    InputMissing,
    KeepsWorkers,
    KeepTasks,
    Leaving,
    ListTasks,
    ListValues,
    MemoryState,
    Message,
    MissingValue,
    NameKeys,
    OpenSession,
    Ping,
    Pulse,
    PutCode,
    PutItem,
    PutValue,
    RebalanceKeys,
    RegisterNanny,
    RegisterWorker,
    Release,
    ReleaseLease,
    ReplicateKeys,
    RestartCluster,
    RestartWorkers,
    RetireWorkers,
    RetryKeys,
    RetryTasks,
    ScaleCluster,
    SetValues,
    StopAdapting,
    StopCluster,
    Submit,
    TakeItems,
    TakeOver,
    TaskErred,
    TaskFinished,
    TaskOutput,
    UnsetValue,
    Unwatch,
    WantKeys,
    Watch,
    Withdrawn,
    WorkerDied,
    WorkerSample,
)
from jupyter_dist.settings import Settings

Event = Message | Disconnected
Handler = Callable[..., None]


def _once_recovered(handler: Handler) -> Handler:
    """Have a request wait until it is known which workers are there, and what they hold."""

    def take(state: State, session: Session, message: Message, now: float) -> None:
        if replay.is_recovered(state, now):
            handler(state, session, message, now)
        else:
            state.moves.asked.append((handler, session, message))

    return take


WORKER: dict[type, Handler] = {
    TaskFinished: completion.on_finished,
    TaskErred: completion.on_erred,
    Withdrawn: completion.on_withdrawn,
    InputMissing: completion.on_input_missing,
    TaskOutput: completion.on_output,
    WorkerSample: completion.on_sample,
    MemoryState: completion.on_memory_state,
    CopyMade: moving.on_copy_made,
    CopyFailed: moving.on_copy_failed,
    Leaving: retiring.on_leaving,
    AttemptWaits: waiting.on_waits,
    AttemptGoesOn: waiting.on_goes_on,
    CodeTaken: code.on_taken,
}
CLIENT: dict[type, Handler] = {
    Submit: submission.on_submit,
    PutValue: submission.on_put_value,
    Release: submission.on_release,
    Cancel: submission.on_cancel,
    MissingValue: submission.on_missing_value,
    RestartCluster: lifetime.on_restart,
    ScaleCluster: _once_recovered(lifetime.on_scale),
    AdaptCluster: adapting.on_adapt,
    StopAdapting: adapting.on_stop_adapting,
    StopCluster: lifetime.on_stop,
    Describe: observing.on_describe,
    DescribeTasks: observing.on_describe_tasks,
    Explain: explaining.on_explain,
    RetryKeys: submission.on_retry,
    ReplicateKeys: _once_recovered(moving.on_replicate),
    RebalanceKeys: _once_recovered(moving.on_rebalance),
    RetireWorkers: _once_recovered(retiring.on_retire),
    RestartWorkers: _once_recovered(retiring.on_restart_workers),
    PutCode: code.on_put,
    DescribeVersions: observing.on_describe_versions,
    ListTasks: managing.on_list_tasks,
    DescribeTask: managing.on_describe_task,
    CancelTasks: managing.on_cancel_tasks,
    RetryTasks: managing.on_retry_tasks,
    ClaimWishes: submission.on_claim,
    Ping: observing.on_ping,
    NameKeys: attaching.on_name_keys,
    DescribeSessions: attaching.on_describe_sessions,
    TakeOver: attaching.on_take_over,
    KeepTasks: keeping.on_keep,
    WantKeys: submission.on_want_keys,
    Watch: observing.on_watch,
    Unwatch: observing.on_unwatch,
    AcquireLease: leases.on_acquire,
    ReleaseLease: leases.on_release,
    CountLeases: leases.on_count,
    SetValues: values.on_set,
    GetValue: values.on_get,
    UnsetValue: values.on_unset,
    ListValues: values.on_list,
    PutItem: queues.on_put,
    TakeItems: queues.on_take,
    CountItems: queues.on_count,
    GiveUpRequest: departures.on_give_up,
    ClaimParcels: parcels.on_claim,
    ClaimRequests: returns.on_claim_requests,
}
NANNY: dict[type, Handler] = {
    Pulse: membership.on_pulse,
    WorkerDied: membership.on_worker_died,
    KeepsWorkers: retiring.on_keeps_workers,
}
FIRST: dict[type, Handler] = {
    RegisterWorker: membership.on_register_worker,
    RegisterNanny: membership.on_register_nanny,
    OpenSession: membership.on_open_session,
}

LOOK_S_MIN = 0.01  # between two looks at who has fallen silent


def _end_recovery(state: State, now: float) -> None:
    """Do what had to wait until nobody comes back any more."""
    if state.moves.asked:
        _grant_asked(state, now)
    if state.doubtful:
        replay.give_up_doubtful(state, now)
    if state.once.in_doubt or state.once.is_restored:
        doubt.give_up(state, now)


def _grant_asked(state: State, now: float) -> None:
    asked, state.moves.asked = state.moves.asked, []
    for handler, session, message in asked:
        if state.sessions.get(session.id) is session:
            handler(state, session, message, now)


class SchedulerMachine:
    """The scheduler's core. See `jupyter_dist.core.machine.Machine` for the rules of its methods.

    Parameters
    ----------
    settings
        Defaults and limits.
    epoch
        Which scheduler of this cluster this is, from 1; a later one never reuses an attempt number.
    cluster
        The cluster's name, for people.
    now
        The present on the clock of all later calls, seconds.
    wall_offset_s
        What makes a ``now`` seconds since 1970; only shown, never decided by.
    detached
        Whether the cluster stops by itself when it is idle for long.
    versions
        Of what the process is made of; only told.
    """

    def __init__(
        self,
        settings: Settings,
        epoch: int,
        cluster: str,
        now: float,
        *,
        wall_offset_s: float = 0.0,
        detached: bool = False,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        self.state = State(settings, epoch, cluster, now, wall_offset_s)
        self.state.detached = detached
        self.state.versions = versions or {}
        self._seen_s = now
        self._look_s = now + settings.heartbeat_s  # when to look for what has fallen silent or run out

    def handle(self, source: int, events: Sequence[Event], now: float) -> Effects:
        """Take what came from one connection, in order, and return what to do."""
        self._note_time(now)
        table, peer = self._peer(source)
        if peer is not None:
            peer.heard_s = now
        state = self.state
        taken = len(events)
        for event in events:
            handler = table.get(type(event))
            if handler is not None:
                handler(state, peer, event, now)
            else:
                taken -= 1
                self._handle_other(source, event, now)
                table, peer = self._peer(source)
        if isinstance(peer, Member | Session):
            peer.received += taken
        return self._settle(now, peer)

    def _peer(self, source: int) -> tuple[dict[type, Handler], Member | Session | Nanny | None]:
        """Return what a connection may say, and the record of who it is."""
        state = self.state
        if (member := state.members.get(source)) is not None:
            return ({} if member.state == "dying" else WORKER), member
        if (session := state.session_of.get(source)) is not None:
            return CLIENT, session
        if (nanny := state.nannies.get(source)) is not None:
            return NANNY, nanny
        return {}, None

    def _handle_other(self, source: int, event: Event, now: float) -> None:
        """Handle a connection's first and last words, and those it has no right to."""
        state = self.state
        is_known = any(
            source in table for table in (state.members, state.session_of, state.nannies, state.aftermath.parked)
        )
        register = FIRST.get(type(event))
        if isinstance(event, Disconnected):
            self._disconnected(source, event.reason, now)
        elif isinstance(event, CloseSession) and source in state.session_of:
            membership.close_session(state, state.session_of[source], now)
            state.effects.closes[source] = "its session was closed"  # the client waits for this
        elif register is not None and not is_known:
            register(state, source, event, now)
        else:
            state.effects.closes[source] = f"{type(event).__name__} is not for this connection to say"

    def _disconnected(self, source: int, reason: str, now: float) -> None:
        state = self.state
        state.aftermath.parked.pop(source, None)
        if source in state.members:
            membership.on_worker_gone(state, state.members[source], reason, now)
        elif source in state.session_of:
            membership.on_session_gone(state, state.session_of.pop(source), now)
        elif source in state.nannies:
            del state.nannies[source]
            state.version += 1

    def restore(self, records: replay.Records, now: float) -> Effects:
        """Begin with what the scheduler before wrote down: records by kind and key. Called once, before all else."""
        replay.restore(self.state, records, now)
        return self._settle(now)

    def written(self, number: int, now: float) -> Effects:
        """Note that the changes of all batches up to this one are on the disk, and give the answers that waited for it.

        `tick` tells those who would say again what was not written.
        """
        state = self.state
        state.ledger.on_written(number, now)
        answers.on_written(state)
        if state.once.unsent:
            state.once.send_at_s = now
        effects, state.effects = state.effects, Effects()
        effects.number = state.ledger.number
        return effects

    def on_trouble(self, words: str, now: float) -> None:
        """Note why nothing is written down any more; watchers hear of it with the next `tick`."""
        self.state.ledger.trouble = words
        self.state.record("journal-stopped", now, words)

    def _settle(self, now: float, peer: Member | Session | Nanny | None = None) -> Effects:
        state = self.state
        if state.aftermath.parked and not replay.has_to_wait(state, now):
            membership.admit_parked(state, now)
        is_expectant = state.moves.asked or state.doubtful or state.once.in_doubt or state.once.is_restored
        if is_expectant and replay.is_recovered(state, now):
            _end_recovery(state, now)
        if state.moves.is_active:
            retiring.advance(state, now)
            moving.advance(state, now)
        dispatch.dispatch(state, now)
        if state.code.pending:
            code.settle(state, now)
        if state.restarts:
            lifetime.settle_restarts(state, now)
        if len(state.idle_functions) > IDLE_FUNCTIONS_MAX:
            submission.drop_functions(state)
        if state.freed and state.nannies:
            lifetime.free_objects(state)
        if state.coordination.changed.is_any:
            rows.write(state)
        compaction.compact(state)
        effects, state.effects = state.effects, Effects()
        effects.journal, effects.number = state.ledger.close_batch(None if isinstance(peer, Nanny) else peer, now)
        answers.send(state, effects)
        effects.is_awaited = effects.is_awaited or state.once.waits_for(effects.number)
        return effects

    def deadline(self) -> float | None:
        """Return when `tick` is due."""
        state = self.state
        due_s = self._look_s
        for other_s in (
            observing.deadline(state),
            state.retract_at_s,
            state.once.send_at_s,
            state.ledger.ack_due_s,
            state.recover_until_s,
            state.adaptation.due_s if state.adaptation is not None else None,
            state.aftermath.admit_at_s if state.aftermath.parked else None,
        ):
            if other_s is not None and other_s < due_s:
                due_s = other_s
        return due_s

    def tick(self, now: float) -> Effects:
        """Do what time asks for."""
        state = self.state
        self._note_time(now)
        if state.once.send_at_s is not None:
            doubt.send_written(state, now)
        if now >= self._look_s:
            membership.on_tick(state, now)
            self._look_s = max(now + LOOK_S_MIN, min(now + state.settings.heartbeat_s, membership.next_silent_s(state)))
            moving.on_tick(state, now)
            lifetime.on_tick(state, now)
            replay.settle_objects(state, now)
        if state.ledger.ack_due_s is not None and now >= state.ledger.ack_due_s:
            for incarnation, message in state.ledger.acknowledge():
                state.say(incarnation, message)
        adapting.on_tick(state, now)
        observing.on_tick(state, now)
        return self._settle(now)

    def _note_time(self, now: float) -> None:
        """Notice that this process was stopped for a while: it comes back every heartbeat otherwise."""
        if now - self._seen_s > self.state.settings.lease_s:
            membership.resume(self.state, now)
        self._seen_s = now

    def check(self) -> None:
        """Raise InvariantError when the tables contradict each other."""
        invariants.check(self.state)
