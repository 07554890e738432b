"""Rules about tasks that are not run twice, left out on purpose: a world notices each."""

from types import SimpleNamespace

import pytest

from jupyter_dist.core.scheduler import doubt, invariants, lineage, once, recovery, replay
from tests.simulator import once as worlds
from tests.simulator.simulate import simulate

PLANT_SEEDS = 1200  # the rarest is noticed after 811: scheduler and worker have to die within milliseconds
RAREST = 811  # so the search begins there, with the same verdict
PLAIN = {"has_waste": False, "has_sharing": False, "has_speaking": False, "has_deaf": False}


def make_lost_results_again(patch):
    """Run a task again whose result is lost."""
    patch.setattr(once, "is_over", lambda _task: False)
    patch.setattr(once, "close", once.renew)


def trust_that_nobody_knows(patch):
    """Take what is not known to have begun for not begun."""
    may_have_begun = once.may_have_begun
    patch.setattr(once, "may_have_begun", lambda attempt, given: given is not None and may_have_begun(attempt, given))


def forget_what_had_ended(patch):
    """Take what is not inside a user's code at a death for not begun."""

    def may_have_begun(attempt, certificate):
        return certificate is None or attempt in (*certificate.attempts, *certificate.waiting)

    patch.setattr(once, "may_have_begun", may_have_begun)


def send_before_it_is_written(patch):
    """Tell a worker of its assignment at once."""
    patch.setattr(
        once, "hold_back", lambda the_state, _task, member, message: the_state.say(member.incarnation, message)
    )


def hand_out_what_is_in_doubt(patch):
    """Have the next scheduler hand out what the one before had handed out."""

    def restore(the_state):
        for task in the_state.tasks.values():
            once.renew(the_state, task)

    patch.setattr(replay, "doubt", SimpleNamespace(restore=restore))


def try_suspects_again(patch):
    """Have what killed its process be tried alone."""
    patch.setattr(recovery, "_resolve_once", lambda the_state, task, *_: _again(the_state, task))


def _again(the_state, task):
    the_state.detach(task)
    once.renew(the_state, task)
    lineage.requeue(the_state, task, 0.0)


def cry_wolf(patch):
    """Give a task up at once when the scheduler died, though its worker comes back with it."""
    restore = doubt.restore

    def give_up_at_once(the_state):
        restore(the_state)
        doubt.give_up(the_state, the_state.started_s)

    patch.setattr(replay, "doubt", SimpleNamespace(restore=give_up_at_once))


PLANTS = (
    make_lost_results_again,
    trust_that_nobody_knows,
    forget_what_had_ended,
    send_before_it_is_written,
    hand_out_what_is_in_doubt,
    try_suspects_again,
    cry_wolf,
)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_rule_left_out_is_noticed_by_who_judges_what_begins(monkeypatch, plant):
    plant(monkeypatch)
    rules = tuple(rule for rule in invariants.RULES if rule is not invariants.once_agrees)
    monkeypatch.setattr(invariants, "RULES", rules)  # it would notice most of these first
    seeds = dict.fromkeys([RAREST, *range(PLANT_SEEDS)])
    worlds = ((seed, has) for seed in seeds for has in ({}, PLAIN))
    noticed = next((seed for seed, has in worlds if simulate(seed, **has).fault), None)
    assert noticed is not None, f"{PLANT_SEEDS} seeds pass without the rule: {plant.__doc__}"


def test_worlds_have_tasks_that_are_not_run_twice_and_such_as_are():
    shares = {worlds.Once(seed, is_used=True).share for seed in range(50)}
    assert min(shares) == 0.0 < max(shares)
    assert worlds.Once(0, is_used=False).share == 0.0
