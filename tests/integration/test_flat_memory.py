"""Many small tasks that come and go leave nothing behind, in no process. ``benchmarks.memory`` looks longer."""

from benchmarks.memory import growth, measure
from jupyter_dist import Executor

TASKS = 15_000
GROWTH_BYTES_MAX = 200  # a task; a record that is kept for each would be more, a heap that settles is less


def test_many_small_tasks_leave_scheduler_workers_and_client_as_they_were(monkeypatch):
    monkeypatch.setenv("JUPYTER_DIST_EVENTS_MAX", "500")  # else the scheduler fills its ring meanwhile
    with Executor(n_workers=2) as executor:
        executor.wait_for_workers(timeout=60)
        grown = growth(list(measure(executor, TASKS, 10)))
    assert grown.keys() == {"client", "nanny", "scheduler", "worker-0", "worker-1"}
    assert {name: nbytes for name, nbytes in grown.items() if nbytes > GROWTH_BYTES_MAX} == {}
