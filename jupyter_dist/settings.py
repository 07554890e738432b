"""Every default and every limit of the package, in one place.

A limit ends in ``_max``; a unit comes last (``lease_s``, ``frame_bytes_max``). Each setting can be changed from the
environment by its name in capitals with ``JUPYTER_DIST_`` before it: ``JUPYTER_DIST_LEASE_S=10``. Settings are read
once, where a process starts, and handed down: no module below reads the environment.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from jupyter_dist.errors import UsageError

PREFIX = "JUPYTER_DIST_"
KIB = 1024
MIB = 1024 * KIB


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """The defaults and limits of one cluster or one client."""

    # liveness
    lease_s: float = 3.0  # a peer that is silent for so long is given up
    heartbeat_s: float = 0.5  # how often a nanny and a worker say they are there
    stop_grace_s: float = 2.0  # how long a task that is interrupted may take to end, before its process is ended
    certificate_wait_s: float = 1.0  # how long a lost worker's tasks wait for its death certificate
    start_s_max: float = 30.0  # how long a cluster may take to come up
    stop_s_max: float = 5.0  # how long an orderly shutdown may take before processes are killed

    reconnect_s_max: float = 60.0  # how long a client looks for a scheduler it has lost

    # the wire
    frame_bytes_max: int = 256 * MIB  # control frame: messages with small user bytes
    object_bytes_max: int = 16 * 1024 * MIB  # one object between two processes
    handshake_s_max: float = 5.0
    unauthenticated_max: int = 64  # connections that have not proved themselves yet
    outbox_bytes_max: int = 64 * MIB  # unsent bytes before a channel asks its user to wait
    unread_bytes_max: int = 256 * MIB  # unsent messages for a peer that does not read on, before it is closed

    # data
    inline_bytes_max: int = 64 * KIB  # results up to this size ride in the finished message
    inline_total_bytes_max: int = 256 * MIB  # what the scheduler keeps of them in all
    argument_bytes_max: int = 64 * MIB  # a packed call; larger data goes through `scatter`
    code_bytes_max: int = 64 * MIB  # one file of code that workers get: a module, an archive
    code_total_bytes_max: int = 256 * MIB  # what the scheduler keeps of them in all
    code_wait_s_max: float = 30.0  # how long an upload waits for workers that are busy
    capture_bytes_max: int = 50 * 1000 * 1000  # what one distributed cell may ship
    cell_tasks_max: int = 10_000  # and how many tasks it may be

    # a worker's memory, in shares of its limit: what the process has for itself, without what it maps of files
    memory_target: float = 0.6  # results it holds beyond this are spilled to disk, least recently used first
    memory_spill: float = 0.7  # a process that uses more, for whatever reason, spills back to the target
    memory_pause: float = 0.8  # it is given no more tasks until it is below ``memory_spill`` again
    memory_terminate: float = 1.0  # its nanny replaces it
    memory_look_s: float = 0.1  # how often its nanny looks
    memory_wait_s: float = 2.0  # how long it stays paused when nothing more can be freed, before it is replaced
    spill_retry_s: float = 2.0  # between two attempts to write to a disk that is full or broken

    # dispatch
    hand_s: float = 0.01  # seconds of expected work a slot keeps in hand
    hand_max: int = 256  # tasks a slot keeps in hand at most
    retract_after_s: float = 0.02  # an unstarted task in hand is taken back after this, when others idle
    adapt_target_s: float = 5.0  # a cluster that scales itself has workers to do its expected work in this time
    crash_limit: int = 2  # deaths a task may cause before it errs
    waiting_max: int = 1000  # tasks of one worker that may wait for something of the cluster, each in a thread

    # what clients share by name: locks, events, queues, variables, published datasets
    lock_lease_s: float = 30.0  # a holder that lost its connection keeps its locks for this long
    shared_bytes_max: int = 64 * KIB  # one value in a queue or variable; larger data goes through `scatter`
    dataset_bytes_max: int = 16 * MIB  # one published dataset, the results of its futures not counted
    shared_total_bytes_max: int = 128 * MIB  # what the scheduler keeps of all these
    requests_max: int = 10_000  # what one session may hold and wait for at a time

    # output and watching
    output_bytes_max: int = 64 * KIB  # what is kept of one task's prints (the tail)
    output_total_bytes_max: int = 16 * MIB  # what the scheduler keeps of all tasks' prints
    output_interval_s: float = 0.1  # how often prints are forwarded while the task runs
    events_max: int = 20_000  # task events the scheduler keeps
    errors_max: int = 200  # errors a snapshot tells in full
    watch_interval_s_min: float = 0.05

    # the scheduler's journal
    journal_queue_bytes_max: int = 256 * MIB  # unwritten records before the scheduler is to wait; 4 times that stops it
    journal_waste_bytes_max: int = 32 * MIB  # in records of tasks that are gone, before the others are written anew
    journal_interval_s: float = 0.005  # between two commits: what comes and goes in between is not written

    # lifetime
    idle_stop_s: float = 3600.0  # a detached cluster without a session stops after this
    linger_notebook_s: float = 3600.0  # a lost notebook session keeps its results for this long
    linger_script_s: float = 30.0
    linger_task_s: float = 1.0  # that of a dead worker's tasks: these soon run elsewhere, and want the same
    restart_burst_max: int = 5  # deaths of one worker at start-up before its nanny waits longer
    restart_wait_s_max: float = 10.0
    workers_max: int = 1024
    leave_s_max: float = 20.0  # how long a worker that was sent SIGTERM works on before it ends
    log_bytes_max: int = MIB  # what is kept of one process's own output (the tail)

    # a worker's fetches of inputs from other workers
    fetches_max: int = 16  # at one time
    fetch_bytes_per_s_min: int = 10 * MIB  # a holder slower than this is given up

    # copies of results
    copies_max: int = 4  # made by one worker at a time

    # the Jupyter server
    threads_per_worker_max: int = 256
    starts_max: int = 4  # clusters one server starts at the same time
    ended_max: int = 20  # failed and lost clusters a server still shows
    ended_shown_s: float = 60.0  # how long it shows a lost one
    observe_interval_s: float = 1.0  # how often it is told about each cluster
    feed_interval_s_min: float = 0.2  # how often it tells a browser about one thing at most
    feed_events_max: int = 500  # task events one of its messages carries
    feed_topics_max: int = 64  # things one browser page watches at a time
    survey_interval_s: float = 10.0  # how often it looks for clusters nobody told it about


def load_settings(environ: Mapping[str, str] | None = None, **overrides: float) -> Settings:
    """Return the settings, with changes from the environment and then from keywords.

    Raises
    ------
    UsageError
        A variable or a keyword names no setting, or its value is not a number.
    """
    types = {field.name: field.type for field in dataclasses.fields(Settings)}
    given: dict[str, str | float] = {
        name.removeprefix(PREFIX).lower(): text
        for name, text in (os.environ if environ is None else environ).items()
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).lower() in types
    }
    values: dict[str, float] = {}
    for name, value in {**given, **overrides}.items():
        if name not in types:
            raise UsageError(f"there is no setting {name!r}; see jupyter_dist.settings for the list")
        try:
            values[name] = int(value) if types[name] == "int" else float(value)
        except ValueError:
            raise UsageError(f"setting {name}: {value!r} is not a number") from None
    return Settings(**values)  # type: ignore[arg-type]  # checked against the fields just above
