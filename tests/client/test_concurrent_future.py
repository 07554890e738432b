"""Outcomes are loaded by whoever asks, once; callbacks stay out of the I/O thread."""

import concurrent.futures
import functools
import threading

import pytest

from jupyter_dist.client.concurrent_future import ConcurrentFuture, PackedError
from jupyter_dist.client.loop import loop_thread


def make_future() -> ConcurrentFuture:
    return ConcurrentFuture("task", lambda _future: False)


def test_result_is_loaded_at_the_first_ask_and_kept():
    loads: list[object] = []

    def load() -> object:
        loads.append(object())
        return loads[-1]

    future = make_future()
    future.set_result(load)
    assert (future.done(), loads) == (True, [])
    assert future.result() is future.result()
    assert loads == [future.result()]


def test_result_that_is_taken_is_not_kept():
    future = make_future()
    future.set_result(object)
    assert future.take() is not future.take()


def test_result_that_does_not_load_is_the_exception():
    future = make_future()
    future.set_result(functools.partial(int, "no number"))
    assert isinstance(future.exception(), ValueError)
    for ask in (future.result, future.take):
        with pytest.raises(ValueError, match="no number"):
            ask()


def test_exception_is_loaded_at_the_first_ask_and_stops_a_wait_for_errors():
    future = make_future()
    future.set_exception(PackedError(lambda: KeyError("of the task")))
    waited = concurrent.futures.wait([future, make_future()], timeout=1, return_when=concurrent.futures.FIRST_EXCEPTION)
    assert waited.done == {future}
    assert future.exception() is future.exception()
    with pytest.raises(KeyError, match="of the task"):
        future.result()


def test_cancel_asks_whether_the_call_can_be_taken_back():
    sent, waiting = make_future(), ConcurrentFuture("task", lambda _future: True)
    assert (sent.cancel(), waiting.cancel()) == (False, True)
    assert (sent.cancelled(), waiting.cancelled()) == (False, True)
    with pytest.raises(concurrent.futures.CancelledError):
        waiting.result()
    with pytest.raises(TimeoutError):
        sent.result(timeout=0)


def test_done_callback_runs_at_once_or_outside_of_the_io_thread():
    here = make_future()
    threads: list[threading.Thread] = []
    here.set_result(int)
    here.add_done_callback(lambda _: threads.append(threading.current_thread()))
    assert threads == [threading.current_thread()]

    there, called = make_future(), threading.Event()
    there.add_done_callback(lambda _: threads.append(threading.current_thread()))
    there.add_done_callback(lambda _: called.set())
    loop_thread().loop.call_soon_threadsafe(there.set_result, int)
    assert called.wait(5)
    assert threads[1].name == "jupyter_dist-callbacks"
