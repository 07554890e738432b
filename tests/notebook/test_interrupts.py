"""The stop button in cells that wait for what they submitted."""

from __future__ import annotations

import pytest

from jupyter_dist.errors import ClusterClosedError
from jupyter_dist.notebook.interrupts import InterruptedCells
from tests.notebook.fakes import snapshot, task_view


@pytest.fixture
def notebook(magics, shell, clusters):
    interrupted = InterruptedCells(magics.current)
    shell.events.register("pre_run_cell", interrupted.begin)
    shell.events.register("post_run_cell", interrupted.end)
    shell.run_cell("%distributed start -n 2")
    yield shell.run_cell
    shell.events.unregister("pre_run_cell", interrupted.begin)
    shell.events.unregister("post_run_cell", interrupted.end)


SUBMIT = "futures = [executor.submit_task(len, ([],), label='f') for _ in range(3)]\n"


def test_interrupted_cell_has_its_own_work_stopped_and_said(notebook, clusters, capsys):
    executor = clusters.latest
    executor.hold.clear()
    notebook("earlier = executor.submit_task(len, ([],))")
    executor.view = snapshot(running=(task_view("f-2"), task_view("f-3", worker="worker-1"), task_view("len-1")))
    notebook(SUBMIT + "raise KeyboardInterrupt")
    assert executor.calls == ["cancel 3 force=True"]
    assert executor.futures["len-1"].status == "pending"
    out = capsys.readouterr().out
    assert "Interrupted: 2 running tasks were stopped and 1 waiting one was cancelled." in out


def test_interrupted_cell_tells_of_a_worker_that_was_killed(notebook, clusters, capsys, monkeypatch):
    executor = clusters.latest
    executor.hold.clear()
    executor.view = snapshot(running=(task_view("f-1"),))
    executor.stuck = {"worker-0": {"f-1"}}

    def interrupt(_seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("jupyter_dist.notebook.stopping.time.sleep", interrupt)
    notebook("future = executor.submit_task(len, ([],), label='f')\nraise KeyboardInterrupt")
    assert executor.calls == ["cancel 1 force=True", "kill worker-0"]
    out = capsys.readouterr().out
    assert "Interrupted: 1 running task was stopped; worker-0 did not stop and was killed." in out


@pytest.mark.parametrize("ending", ["", "raise ValueError", "executor.gather(futures)\nraise KeyboardInterrupt"])
def test_cell_that_ends_otherwise_or_has_nothing_to_stop_is_left_alone(notebook, clusters, ending):
    notebook(SUBMIT + ending)
    assert clusters.latest.calls == []


def test_interrupt_without_a_cluster_is_only_that(notebook, clusters, capsys):
    notebook("%distributed stop")
    capsys.readouterr()
    notebook("raise KeyboardInterrupt")
    assert "Interrupted" not in capsys.readouterr().out.replace("KeyboardInterrupt", "")


def test_interrupt_while_the_cluster_is_lost_says_so(notebook, clusters, capsys, monkeypatch):
    clusters.latest.hold.clear()

    def lost():
        raise ClusterClosedError("the scheduler is gone")

    monkeypatch.setattr(clusters.latest, "snapshot", lost)
    notebook(SUBMIT + "raise KeyboardInterrupt")
    assert "could not be stopped: the scheduler is gone" in capsys.readouterr().out
