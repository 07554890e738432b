from __future__ import annotations

import gc
import weakref

from jupyter_dist import as_completed


def test_iteration_that_was_left_holds_no_future(quiet):
    futures = quiet.executor.map(abs, range(3))
    keys = [future.key for future in futures]
    quiet.finish(futures[0], 0)
    completed = as_completed(futures)
    for future in completed:
        assert future is futures[0]
        break
    left = weakref.ref(completed)
    del future, futures, completed
    gc.collect()
    assert left() is None
    assert sorted(quiet.released()) == sorted(keys)


def test_iteration_that_goes_on_holds_what_it_is_still_to_give(quiet):
    completed = as_completed(quiet.executor.map(abs, range(2)))
    gc.collect()
    assert quiet.released() == []
    assert completed.count() == 2
    completed.clear()
    gc.collect()
    assert len(quiet.released()) == 2


def test_future_that_is_done_after_the_iteration_was_left_harms_nobody(quiet):
    future = quiet.executor.submit(abs, -1)
    as_completed([future])
    gc.collect()
    quiet.finish(future, 1)
    assert future.result() == 1
