"""Proof that the simulator notices when what a value speaks of is not kept, or kept for ever."""

import pytest

from jupyter_dist.core.scheduler import ledger, speaking
from jupyter_dist.core.worker import running
from tests.simulator.simulate import simulate

SEEDS = 600  # all are noticed within some dozens


def keep_nothing_that_is_spoken_of(patch):
    """Let go of what a value speaks of when its worker does."""
    patch.setattr(speaking, "note", lambda *_: [])


def forget_what_is_spoken_of(patch):
    """Do not write down what values speak of."""
    patch.setattr(ledger.Ledger, "speak", lambda *_: None)


def let_futures_go_with_the_task(patch):
    """Do not keep the futures in a result until the scheduler has heard of it."""
    patch.setattr(running, "_keep_futures", lambda *_: None)


def speak_for_ever(patch):
    """Keep what a value speaks of when that is let go of."""
    patch.setattr(speaking, "end", lambda *_: [])


PLANTS = (
    keep_nothing_that_is_spoken_of,
    forget_what_is_spoken_of,
    let_futures_go_with_the_task,
    speak_for_ever,
)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_rule_left_out_is_noticed(monkeypatch, plant):
    plant(monkeypatch)
    noticed = next((seed for seed in range(SEEDS) if simulate(seed).fault), None)
    assert noticed is not None, f"{SEEDS} seeds pass without the rule: {plant.__doc__}"
