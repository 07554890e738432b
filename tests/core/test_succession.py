"""How often one is followed by another: waits, and their end."""

import pytest

from jupyter_dist.core.succession import Patience, calm_after_s, plan_waits
from jupyter_dist.settings import Settings


def test_waits_are_a_short_list_whatever_is_set():
    assert len(plan_waits(Settings(restart_burst_max=10**6))) < 1010


@pytest.mark.parametrize(
    ("settings", "waits"),
    [
        (Settings(), (0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0)),
        (Settings(restart_burst_max=1, restart_wait_s_max=0.4), (0.0, 0.2, 0.4)),
        (Settings(restart_burst_max=0, restart_wait_s_max=0.0), (0.0,)),
    ],
)
def test_waits_grow_to_their_limit_and_end(settings, waits):
    assert plan_waits(settings) == pytest.approx(waits)


def test_ends_in_a_row_use_the_patience_up():
    settings = Settings(restart_burst_max=2, restart_wait_s_max=0.3)
    patience, now = Patience(settings), 5.0
    taken = []
    for _ in range(5):
        patience.note_start(now)
        now += calm_after_s(settings) - 0.1
        taken.append(patience.take(now))
    assert taken == [0.0, 0.0, 0.2, 0.3, None]


def test_end_after_a_long_life_is_the_first_of_a_row_again():
    settings = Settings(restart_burst_max=1, restart_wait_s_max=0.2)
    patience = Patience(settings)
    assert [patience.take(0.0) for _ in range(3)] == [0.0, 0.2, None]
    patience.note_start(1.0)
    assert patience.take(1.0 + calm_after_s(settings)) == 0.0
    assert patience.take(1.0 + calm_after_s(settings)) == 0.0  # nothing was started since
