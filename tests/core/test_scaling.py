"""How many workers a load is worth, and how patient a cluster is before it ends some."""

import pytest

from jupyter_dist.core.scaling import Adaptation, Bounds, Load, desired

BOUNDS = Bounds(minimum=1, maximum=8, interval_s=1.0, wait_count=3)


@pytest.mark.parametrize(
    ("load", "workers"),
    [
        (Load(0, 0.0, 0), 1),  # nothing to do: the minimum
        (Load(1, 0.001, 1), 1),
        (Load(100, 14.0, 100), 3),  # what is done in five seconds by three
        (Load(100, 1e6, 100), 8),  # the maximum
        (Load(2, 1e6, 2), 2),  # more would have nothing to do
        (Load(9, 1e6, 3), 3),
    ],
)
def test_load_is_worth_so_many_workers(load, workers):
    assert desired(load, BOUNDS, target_s=5.0) == workers


def test_minimum_of_none_gives_one_as_soon_as_there_is_a_task():
    bounds = BOUNDS._replace(minimum=0)
    assert desired(Load(0, 0.0, 0), bounds, 5.0) == 0
    assert desired(Load(1, 0.0, 0), bounds, 5.0) == 1


def test_more_are_had_at_once_and_fewer_after_so_many_looks():
    adaptation = Adaptation(BOUNDS, 100.0)
    busy, idle = Load(50, 20.0, 50), Load(0, 0.0, 0)
    assert adaptation.look(1, busy, 5.0, 100.0) == 3
    assert (adaptation.due_s, adaptation.target) == (101.0, 4)
    assert [adaptation.look(4, idle, 5.0, 101.0) for _ in range(2)] == [0, 0]
    assert adaptation.look(4, busy, 5.0, 103.0) == 0  # and the count begins anew
    assert [adaptation.look(4, idle, 5.0, 104.0) for _ in range(4)] == [0, 0, -3, -3]
