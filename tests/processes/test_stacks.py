"""Where the code of running tasks is."""

import sys
import threading

from jupyter_dist.processes.stacks import format_frames
from jupyter_dist.protocol.tracebacks import FRAMES_MAX
from tests.processes.test_call import run


def read(function, *args):
    """Return the frames of a task, read from another thread while it waits."""
    begun, done, found = threading.Event(), threading.Event(), []
    thread = threading.Thread(target=lambda: found.append(run(function, begun, done, *args)))
    thread.start()
    begun.wait(10)
    frames = format_frames(sys._current_frames()[thread.ident or 0])
    done.set()
    thread.join(10)
    return frames


def test_stack_of_a_task_begins_with_its_own_code(monkeypatch):
    monkeypatch.setattr("tests.processes.test_call.cloudpickle.dumps", lambda value: value)
    monkeypatch.setattr("jupyter_dist.processes.call.loads", lambda value: value)

    def inner(begun, done):
        begun.set()
        done.wait(10)

    def outer(begun, done):
        inner(begun, done)

    frames = read(outer)
    assert "in outer" in frames[0]
    assert "inner(begun, done)" in frames[0]
    assert "in inner" in frames[1]


def test_deep_stack_is_cut_in_the_middle(monkeypatch):
    monkeypatch.setattr("tests.processes.test_call.cloudpickle.dumps", lambda value: value)
    monkeypatch.setattr("jupyter_dist.processes.call.loads", lambda value: value)

    def dive(begun, done, depth):
        if depth:
            dive(begun, done, depth - 1)
        else:
            begun.set()
            done.wait(10)

    frames = read(dive, 500)
    assert len(frames) <= 2 * FRAMES_MAX + 1  # Python joins equal ones
    assert any("frames were left out here" in frame for frame in frames)
    assert any("done.wait(10)" in frame for frame in frames)
