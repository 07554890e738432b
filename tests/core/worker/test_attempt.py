import itertools
from typing import get_args

import pytest

from jupyter_dist.core.worker.attempt import ARCS, FETCHING, Attempt, AttemptState, Step
from jupyter_dist.errors import TransitionError
from jupyter_dist.messages import AssignedTask, FunctionBody

STATES = get_args(AttemptState)
STEPS = get_args(Step)


def new_attempt(state=FETCHING):
    attempt = Attempt(AssignedTask("k", 7, "f", b""), FunctionBody("f", "f", b""))
    attempt.state = state
    return attempt


@pytest.mark.parametrize(("state", "step"), list(itertools.product(STATES, STEPS)))
def test_step_any_state_follows_the_table_or_changes_nothing(state, step):
    attempt = new_attempt(state)
    if (state, step) in ARCS:
        attempt.step(step)
        assert attempt.state == ARCS[state, step]
    else:
        with pytest.raises(TransitionError, match="attempt 7 of 'k'"):
            attempt.step(step)
        assert attempt.state == state


def test_table_from_fetching_reaches_every_state():
    reached = {FETCHING}
    for _ in STATES:
        reached |= {target for (state, _step), target in ARCS.items() if state in reached}
    assert reached == set(STATES)


def test_table_of_a_done_attempt_has_no_arc():
    assert not [state for state, _step in ARCS if state == "done"]
