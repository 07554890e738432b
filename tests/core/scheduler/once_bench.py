"""What tests of tasks that are not run twice share: one that is handed out, and the deaths of its worker and scheduler."""

from jupyter_dist.messages import KeyErred, WorkerDied
from tests.core.scheduler.bench import certificate

PID = 7


def begin(bench, key="a", **worker):
    """Have a task that is not run twice handed out; return its client, its worker and its attempt."""
    client, source = bench.client("c"), bench.worker("w0", nanny="n", pid=PID, **worker)
    bench.submit(client, key, once=True)
    bench.write()
    return client, source, bench.assigned(source)[key]


def error_of(bench, client):
    """Return the error a client was told last."""
    return bench.heard(client, KeyErred)[-1].error


def die(bench, attempts=(), *, cause="signal", waiting=(), ended=()):
    """Have the worker of `begin` die with a certificate that is told to the scheduler there is now."""
    died = certificate("w0", PID, attempts, cause, waiting=waiting, ended=ended)
    bench.say(next(iter(bench.state.nannies)), WorkerDied(died))


def follow(bench, workers=1):
    """Have another scheduler follow, to which the client comes back."""
    bench.succeed()
    bench.nanny(workers=workers)
    return bench.client("c")
