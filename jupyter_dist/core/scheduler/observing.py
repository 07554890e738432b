"""What watchers are told: a snapshot of the tables, and the events since the last one.

A watcher hears at most as often as it asked to, and only when something changed. The ring of events is bounded: what a
slow watcher missed is counted and said.
"""

from itertools import islice

from jupyter_dist.core.scheduler import goals, lifetime
from jupyter_dist.core.scheduler.arcs import ERRED, MEMORY, PROCESSING, QUEUED, WAITING
from jupyter_dist.core.scheduler.records import Member, Session, Tally, Task, Watcher
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import (
    AdaptView,
    Answer,
    ClusterSnapshot,
    Describe,
    DescribeTasks,
    DescribeVersions,
    FunctionView,
    Observation,
    Ping,
    TaskEvent,
    TaskHome,
    TaskView,
    Unwatch,
    Watch,
    WorkerView,
)

FUNCTIONS_MAX = 50  # labels a snapshot tells, those with most to do first
RUNNING_MAX = 500  # running tasks it tells
EVENTS_SENT_MAX = 5000  # events one observation carries


def on_watch(state: State, session: Session, message: Watch, now: float) -> None:
    """Begin to tell a session what happens."""
    interval_s = max(message.interval_s, state.settings.watch_interval_s_min)
    session.watch = Watcher(interval_s, message.after, now)


def on_unwatch(_state: State, session: Session, _message: Unwatch, _now: float) -> None:
    """Stop telling it."""
    session.watch = None


def on_ping(state: State, session: Session, message: Ping, _now: float) -> None:
    """Give a sign of life."""
    state.say(session.incarnation, Answer(message.request))


def on_describe(state: State, session: Session, message: Describe, now: float) -> None:
    """Answer with one snapshot."""
    state.say(session.incarnation, Answer(message.request, snapshot=snapshot(state, now)))


def on_describe_tasks(state: State, session: Session, message: DescribeTasks, _now: float) -> None:
    """Answer with where tasks are."""
    keys = message.keys or tuple(state.tasks)
    homes = tuple(_home(state.tasks[key]) for key in keys if key in state.tasks)
    state.say(session.incarnation, Answer(message.request, tasks=homes))


def on_describe_versions(state: State, session: Session, message: DescribeVersions, _now: float) -> None:
    """Answer with the versions of what this process is made of."""
    state.say(session.incarnation, Answer(message.request, versions=tuple(state.versions.items())))


def _home(task: Task) -> TaskHome:
    worker = task.member.name if task.member is not None else ""
    return TaskHome(task.key, task.state, worker, tuple(member.name for member in task.holders), task.nbytes)


def deadline(state: State) -> float | None:
    """Return when the next watcher is due, if there is anything new for one."""
    due = [w.due_s for w in _watchers(state) if w.version != state.version]
    return min(due) if due else None


def _watchers(state: State) -> list[Watcher]:
    return [session.watch for session in state.session_of.values() if session.watch is not None]


def on_tick(state: State, now: float) -> None:
    """Tell the watchers that are due."""
    due = [
        (session, watch)
        for session in state.session_of.values()
        if (watch := session.watch) is not None and watch.version != state.version and watch.due_s <= now
    ]
    if not due:
        return
    seen = snapshot(state, now)
    for session, watch in due:
        events, dropped = events_after(state, watch.number)
        watch.number = events[-1].number if events else state.chronicle.number
        watch.due_s = now + watch.interval_s
        watch.version = state.version
        state.say(session.incarnation, Observation(seen, events, dropped))


def events_after(state: State, number: int) -> tuple[tuple[TaskEvent, ...], int]:
    """Return the newest events after a number, oldest first, and how many before them cannot be told any more."""
    wanted = min(state.chronicle.number - number, len(state.chronicle.events), EVENTS_SENT_MAX)
    if wanted <= 0:
        return (), 0
    events = tuple(islice(state.chronicle.events, len(state.chronicle.events) - wanted, None))
    return events, state.chronicle.number - number - wanted


def snapshot(state: State, now: float) -> ClusterSnapshot:
    """Return what a person may want to know of the cluster at this moment."""
    return ClusterSnapshot(
        cluster=state.cluster,
        at_s=now + state.wall_offset_s,
        started_s=state.started_s + state.wall_offset_s,
        last_event=state.chronicle.number,
        wanted=goals.wanted_workers(state),
        workers=tuple(_worker_view(state, member, now) for member in state.members.values()),
        counts={name: state.counts[name] for name in (WAITING, QUEUED, PROCESSING, MEMORY, ERRED)},
        finished=state.finished,
        erred=state.erred,
        sessions=tuple(s.name or s.id for s in state.sessions.values() if s.kind not in lifetime.NOBODY),
        functions=_function_views(state),
        running=tuple(islice(_running(state), RUNNING_MAX)),
        errors=tuple(state.chronicle.errors),
        nannies={member.name: member.nanny for member in state.members.values()},
        adapting=_adapt_view(state),
        recovering=state.recover_until_s is not None,
        trouble=state.ledger.trouble,
    )


def _adapt_view(state: State) -> AdaptView | None:
    adaptation = state.adaptation
    return None if adaptation is None else AdaptView(*adaptation.bounds, adaptation.target)


def _worker_view(state: State, member: Member, now: float) -> WorkerView:
    silent_s = now - member.heard_s
    nanny = next((nanny for nanny in state.nannies.values() if nanny.name == member.nanny), None)
    shown = _shown_state(state, member, silent_s)
    running = min(member.load, member.slots)
    return WorkerView(
        name=member.name,
        host=member.host,
        pid=member.pid,
        nanny=member.nanny,
        address=member.address,
        state=shown,
        slots=member.slots,
        running=running,
        queued=member.load - running,
        memory_bytes=member.memory_bytes,
        memory_bytes_max=member.memory_bytes_max,
        cpu_percent=member.cpu_percent,
        held=len(member.held),
        held_bytes=member.held_bytes,
        spilled_bytes=member.spilled_bytes,
        heard_s=silent_s,
        restarts=nanny.deaths.get(member.name, 0) if nanny else 0,
        last_death=nanny.last_death.get(member.name, "") if nanny else "",
        resources={name: (member.resources.get(name, 0.0), left) for name, left in member.free().items()},
        modules=member.modules,
        trouble=member.trouble,
    )


def _shown_state(state: State, member: Member, silent_s: float) -> str:
    if member.state == "dying":
        return "lost"
    if silent_s > state.settings.lease_s / 2:
        return "silent"
    return "paused" if member.state == "running" and member.is_paused else member.state


def _function_views(state: State) -> tuple[FunctionView, ...]:
    def active(entry: Tally) -> tuple[int, int]:
        counts = entry.counts
        return counts[WAITING] + counts[QUEUED] + counts[PROCESSING], entry.finished

    busiest = sorted(state.labels.items(), key=lambda item: active(item[1]), reverse=True)[:FUNCTIONS_MAX]
    return tuple(
        FunctionView(
            label,
            entry.counts[WAITING],
            entry.counts[QUEUED],
            entry.counts[PROCESSING],
            entry.counts[MEMORY],
            entry.counts[ERRED],
            entry.finished,
            entry.seconds,
        )
        for label, entry in busiest
    )


def _running(state: State) -> list[TaskView]:
    views = []
    for member in state.members.values():
        for attempt, slot, started_s in member.running:
            task = member.processing.get(attempt) or member.waiting.get(attempt)
            if task is not None:
                since_s = task.since_s + state.wall_offset_s
                group = task.options.group
                views.append(
                    TaskView(
                        task.key, task.label, task.state, group, member.name, slot, since_s, started_s, task.attempts
                    )
                )
    return views
