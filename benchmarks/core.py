"""The scheduler's core alone: ``python -m benchmarks.core [--tasks N] [--workers N …]``.

One `SchedulerMachine` between a simulated client and simulated workers: no process, no socket, no message is encoded.
The tasks form layers; each but those of the first layer depends on two of the layer before. Everything a worker is
given is answered in one batch, as an idle link would deliver it. The virtual clock moves a millisecond a sweep.

Each phase is told in microseconds a task: entering the tasks, running them to the end, and forgetting them.
"""

import argparse
import gc
import itertools
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from jupyter_dist.core.scheduler.effects import Effects
from jupyter_dist.core.scheduler.machine import SchedulerMachine
from jupyter_dist.messages import (
    AssignTask,
    FromWorker,
    FunctionBody,
    KeyFinished,
    Message,
    OpenSession,
    RegisterNanny,
    RegisterWorker,
    Release,
    Submit,
    TaskFinished,
    TaskOptions,
    TaskSpec,
    Withdraw,
    Withdrawn,
    WorkerSample,
)
from jupyter_dist.settings import Settings

NANNY, CLIENT, FIRST_WORKER = 1, 2, 10
LAYER = 1000
BATCH = 10_000
SWEEP_S = 0.001
RUN_S = 0.00001
SAMPLE_SWEEPS = 500  # a heartbeat of every worker each half second


@dataclass(slots=True)
class Cluster:
    """The machine, the simulated workers' mail, and what the client heard."""

    machine: SchedulerMachine
    workers: range
    now_s: float = 0.0
    finished: int = 0
    mail: dict[int, list[FromWorker]] = field(default_factory=lambda: defaultdict(list))

    def tell(self, source: int, messages: list[Message]) -> None:
        """Hand the machine what came from one connection, and take what it wants done."""
        self.take(self.machine.handle(source, messages, self.now_s))

    def take(self, effects: Effects) -> None:
        """Do what the machine wants."""
        if effects.closes or effects.stop:
            raise RuntimeError(f"the machine gave something up: {effects.closes or effects.stop}")
        for receiver, messages in effects.sends.items():
            if receiver == CLIENT:
                self.finished += sum(type(message) is KeyFinished for message in messages)
            elif receiver >= FIRST_WORKER:
                answers = [answer for message in messages if (answer := answer_to(message))]
                if answers:
                    self.mail[receiver].extend(answers)

    def sweep(self) -> None:
        """Deliver what the workers have to say, once each."""
        self.now_s += SWEEP_S
        mail, self.mail = self.mail, defaultdict(list)
        for worker, messages in mail.items():
            self.take(self.machine.handle(worker, messages, self.now_s))
        due_s = self.machine.deadline()
        if due_s is not None and due_s <= self.now_s:
            self.take(self.machine.tick(self.now_s))

    def beat(self) -> None:
        """Send every worker's heartbeat."""
        for worker in self.workers:
            self.tell(worker, [WorkerSample((), 50_000_000, 1.0, 0, 0)])


def answer_to(message: Message) -> FromWorker | None:
    """Return what a worker says that does everything at once."""
    if isinstance(message, AssignTask):
        return TaskFinished(message.task.key, message.task.attempt, b"r", 1, "int", 0.0, RUN_S)
    if isinstance(message, Withdraw):
        return Withdrawn(())
    return None


def start(workers: int) -> Cluster:
    """Return a cluster with its workers and one client."""
    cluster = Cluster(SchedulerMachine(Settings(), 1, "core", 0.0), range(FIRST_WORKER, FIRST_WORKER + workers))
    cluster.tell(NANNY, [RegisterNanny("nanny", "host", 1, workers)])
    for worker in cluster.workers:
        name = f"worker-{worker}"
        cluster.tell(worker, [RegisterWorker(name, "host", worker, f"unix:/{name}", 1, 0, "nanny", "3.11")])
    cluster.tell(CLIENT, [OpenSession("session", "script", "bench", 30.0, 1)])
    return cluster


def specs(tasks: int) -> Iterator[TaskSpec]:
    """Yield the tasks, each after those it depends on."""
    for number in range(tasks):
        layer, place = divmod(number, LAYER)
        before = (layer - 1) * LAYER
        pair = (place, (7 * place + 1) % LAYER)
        needs = tuple(f"task-{before + one}" for one in dict.fromkeys(pair)) if layer else ()
        yield TaskSpec(f"task-{number}", b"arguments", needs, number + 1)


def submissions(tasks: int) -> Iterator[Submit]:
    """Yield the tasks as a client would send them."""
    function, options = FunctionBody("id", "increment", b"body"), TaskOptions()
    batch: list[TaskSpec] = []
    for spec in specs(tasks):
        batch.append(spec)
        if len(batch) == BATCH:
            yield Submit(function, options, tuple(batch))
            batch = []
    if batch:
        yield Submit(function, options, tuple(batch))


def run_all(cluster: Cluster, tasks: int) -> None:
    """Let the workers work until all is done."""
    sweeps = 0
    while cluster.mail:
        cluster.sweep()
        sweeps += 1
        if sweeps % SAMPLE_SWEEPS == 0:
            cluster.beat()
    if cluster.finished != tasks:
        raise RuntimeError(f"only {cluster.finished:,} of {tasks:,} tasks were finished")


def measure(tasks: int, workers: int) -> None:
    """Run everything once and tell the time of each phase."""
    messages = list(submissions(tasks))
    keys = [spec.key for message in messages for spec in message.tasks]
    cluster = start(workers)
    gc.collect()
    gc.freeze()  # the messages are the benchmark's own
    times_s = [time.perf_counter()]
    for message in messages:
        cluster.tell(CLIENT, [message])
    times_s.append(time.perf_counter())
    run_all(cluster, tasks)
    times_s.append(time.perf_counter())
    for begin in range(0, tasks, BATCH):
        cluster.tell(CLIENT, [Release(tuple(keys[begin : begin + BATCH]))])
    times_s.append(time.perf_counter())
    gc.unfreeze()
    cluster.machine.check()
    entering, running, forgetting = (1e6 * (after - before) / tasks for before, after in itertools.pairwise(times_s))
    total = entering + running + forgetting
    print(
        f"{workers:5} workers, {tasks:,} tasks: {total:5.1f} us a task ({1e6 / total:,.0f} tasks/s): "
        f"enter {entering:.1f}, run {running:.1f}, forget {forgetting:.1f}",
        flush=True,
    )


def main(arguments: list[str]) -> int:
    """Measure with each number of workers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.core", description="The scheduler's core alone.")
    parser.add_argument("--tasks", type=int, default=200_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[10, 1000])
    options = parser.parse_args(arguments)
    for workers in options.workers:
        measure(options.tasks, workers)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
