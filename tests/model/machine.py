"""The rules: what users do, who dies, and when time passes. Each is done to the world and to the model."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jupyter_dist.core.futures import Wish
from tests.model.model import Model, Task
from tests.model.still_world import StillWorld, User
from tests.simulator.oracles import RESTARTING
from tests.simulator.plans import Plan

PICK = st.integers(0, 99)  # of what is there, in the order it came
NAMES = st.sampled_from(("cleaned", "train", "test"))
KINDS = st.sampled_from(("value",) * 8 + ("raise", "once", "poison"))
USERS_MAX = 4
TASKS_MAX = 40


class ClusterBesideAModel(RuleBasedStateMachine):
    """Users of one cluster."""

    world: StillWorld
    model: Model

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed):
        self.world, self.model = StillWorld(seed), Model()
        self.world.users.open()

    # -- who does it, and to what ------------------------------------------------------------------------------------

    def user(self, pick) -> User:
        alive = self.world.users.alive()
        return alive[pick % len(alive)]

    def some(self, user: User, pick, share=3) -> list[str]:
        """Pick about one in so many of what a user holds, at least one if there is one."""
        held = sorted(user.held)
        return [key for index, key in enumerate(held) if (index + pick) % share == 0] or held[:1]

    def has_tasks(self):
        return any(user.held for user in self.world.users.alive())

    # -- work --------------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.model.tasks) < TASKS_MAX)
    @rule(
        who=PICK,
        kind=KINDS,
        inputs=st.lists(PICK, max_size=3),
        seconds=st.sampled_from((0.001, 0.1, 1.0)),
        large=st.booleans(),
    )
    def submit(self, who, kind, inputs, seconds, large):
        user = self.user(who)
        held = [key for key in sorted(user.held) if user.held[key].status != "cancelled"]
        names = tuple(dict.fromkeys(held[pick % len(held)] for pick in inputs)) if held else ()
        self._submit(user, kind, names, seconds, large=large)

    def _submit(self, user, kind, names, seconds, *, large=False):
        plan = self.world.world.plans.make(names, 0.0, 0.0)
        plan.kind, plan.duration_s, plan.is_large = kind, seconds, large
        plan.raises_left = 1 if kind == "once" else 0
        plan.options = msgspec.structs.replace(plan.options, retries=0)
        self._give(user, plan)

    def _give(self, user: User, plan: Plan):
        user.submit([plan])
        self.model.promise(user.name, Task(plan.key, plan.kind, plan.dependencies))

    @precondition(lambda self: len(self.model.tasks) < TASKS_MAX)
    @rule(who=PICK, count=st.integers(2, 8), on=PICK)
    def map(self, who, count, on):
        user = self.user(who)
        names = tuple(self.some(user, on))[:1]
        for _ in range(count):
            self._submit(user, "value", names, 0.01)

    @precondition(lambda self: len(self.model.tasks) < TASKS_MAX)
    @rule(who=PICK)
    def scatter(self, who):
        self._give(self.user(who), self.world.world.plans.make_put())

    @precondition(has_tasks)
    @rule(who=PICK, other=PICK, pick=PICK)
    def submit_what_another_has(self, who, other, pick):
        """Two users with one pure task: each has a future of its own on it, and its inputs with it."""
        user, keys = self.user(who), self.some(self.user(other), pick, 5)
        for key in keys:
            for name in self.world.world.plans.ancestry(key):
                plan = self.world.world.plans[name]
                if plan.kind != "put":
                    self._give(user, plan)
                elif name not in user.held:
                    return

    # -- what becomes of it ------------------------------------------------------------------------------------------

    @precondition(has_tasks)
    @rule(who=PICK, pick=PICK)
    def wait(self, who, pick):
        user = self.user(who)
        self.settle(user, self.some(user, pick))

    @precondition(has_tasks)
    @rule(who=PICK)
    def gather(self, who):
        user = self.user(who)
        self.settle(user, sorted(user.held))

    @precondition(has_tasks)
    @rule(who=PICK, pick=PICK, kills=st.booleans())
    def as_completed(self, who, pick, kills):
        user = self.user(who)
        keys = self.some(user, pick, 2)
        user.settle_in_order(keys)
        if kills:
            self.kill_worker(pick)
        self.settle(user, keys)
        assert sorted(user.settled) == sorted(keys), "each is told exactly once"

    def settle(self, user: User, keys):
        wishes = {key: user.held[key] for key in keys}
        self.world.wait_settled(list(wishes.values()))
        for key, wish in wishes.items():
            self.judge(user, key, wish)

    def judge(self, user: User, key: str, wish: Wish):
        """A settled future is one of those it may be."""
        promise = self.model.promises[user.name, key]
        if wish.status == "cancelled":
            assert promise.may_be_cancelled, f"{user.name}'s {key} was cancelled: {wish.reason}"
            return
        assert not promise.must_be_cancelled, f"{user.name}'s {key} is {wish.status}"
        if wish.status == "error":
            culprits = self.model.culprits(key)
            is_right_to = wish.error.key in culprits or self.was_convicted(wish)
            assert is_right_to, f"{key} erred by {wish.error.key}: {wish.error.kind}"
        else:
            is_right_to = not self.model.must_err(key)
            assert is_right_to, f"{key} has a value"
            self.judge_value(key, wish)

    def was_convicted(self, wish: Wish) -> bool:
        """Whether a task that is no poison was under the hammer often enough to be taken for one."""
        limit = self.world.world.swarm.settings.crash_limit
        return wish.error.kind == "crashed" and self.world.deaths_of(wish.error.key) >= limit

    def judge_value(self, key: str, wish: Wish):
        plans = self.world.world.plans
        value = wish.value.decode() if wish.value is not None else wish.loaded
        if plans[key].kind == "put":
            assert value == f"{key}:put"
        elif not plans[key].is_impure:
            assert value == plans.right_value(key)

    # -- second thoughts ---------------------------------------------------------------------------------------------

    @precondition(has_tasks)
    @rule(who=PICK, pick=PICK, share=st.integers(1, 4))
    def release(self, who, pick, share):
        user = self.user(who)
        keys = self.some(user, pick, share)
        user.drop(keys)
        for key in keys:
            self.model.release(user.name, key)

    @precondition(has_tasks)
    @rule(who=PICK, pick=PICK, share=st.integers(1, 4), force=st.booleans())
    def cancel(self, who, pick, share, force):
        user = self.user(who)
        wishes = {key: user.held[key] for key in self.some(user, pick, share)}
        pending = [key for key, wish in wishes.items() if not wish.is_settled]
        self.model.cancel(user.name, pending)
        user.cancel(list(wishes), force=force)
        for key in pending:
            self.judge(user, key, wishes[key])
            assert key not in user.held
        self.forget_cancelled()

    @precondition(has_tasks)
    @rule(who=PICK, pick=PICK)
    def retry(self, who, pick):
        user = self.user(who)
        erred = [key for key in sorted(user.held) if user.held[key].status == "error"]
        if erred:
            key = erred[pick % len(erred)]
            self.model.retry(key)
            user.retry(key)
            assert user.held[key].status == "pending"

    # -- what is known by name ---------------------------------------------------------------------------------------

    @precondition(has_tasks)
    @rule(who=PICK, pick=PICK, name=NAMES)
    def publish(self, who, pick, name):
        user = self.user(who)
        (key, *_others) = self.some(user, pick) or [""]
        if not key:
            return
        promise = self.model.promises[user.name, key]
        error = self.world.publish(user, name, key)
        if error:
            assert promise.may_be_cancelled, error
        else:
            self.model.datasets[name] = key

    @rule(who=PICK, name=NAMES)
    def unpublish(self, who, name):
        assert self.world.unpublish(self.user(who), name) == (name in self.model.datasets)
        self.model.datasets.pop(name, None)

    @rule(who=PICK)
    def list_datasets(self, who):
        assert self.world.list_datasets(self.user(who)) == tuple(sorted(self.model.datasets))

    @precondition(lambda self: self.model.datasets)
    @rule(who=PICK, pick=PICK)
    def take_dataset(self, who, pick):
        user = self.user(who)
        name = sorted(self.model.datasets)[pick % len(self.model.datasets)]
        (key,) = self.world.take_dataset(user, name)
        assert key == self.model.datasets[name]
        self.model.promise(user.name, self.model.tasks[key])

    # -- who comes, goes and dies ------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.world.users.alive()) < USERS_MAX)
    @rule()
    def open(self):
        self.world.users.open()

    @precondition(lambda self: len(self.world.users.alive()) > 1)
    @rule(who=PICK)
    def close(self, who):
        user = self.user(who)
        self.model.leave(user.name)
        user.close()

    @rule(who=PICK)
    def restart(self, who):
        user = self.user(who)
        wishes = {(one.name, key): wish for one in self.world.users.alive() for key, wish in one.held.items()}
        pending = [place for place, wish in wishes.items() if not wish.is_settled]
        self.model.restart(pending, user.name)
        request = RESTARTING + self.world.users.next_request()
        user.restart(request)
        self.world.wait_until(lambda: request in user.answered, "the answer to the restart")
        assert user.answered[request] == ""
        for owner, key in pending:
            if owner == user.name:
                assert wishes[owner, key].status == "cancelled", f"{key} is {wishes[owner, key].status} after a restart"

    @rule(pick=PICK)
    def kill_worker(self, pick):
        workers = self.world.workers()
        if workers:
            self.model.kill()
            self.world.kill(workers[pick % len(workers)])

    @rule()
    def kill_scheduler(self):
        self.model.kill_scheduler()
        self.world.parties.scheduler.crash()

    @rule(seconds=st.sampled_from((0.0001, 0.001, 0.01, 0.1, 1.0)))
    def pass_time(self, seconds):
        self.world.pass_time(seconds)

    # -- always ------------------------------------------------------------------------------------------------------

    def forget_cancelled(self):
        """A user does not hold what was cancelled any more; the model follows."""
        for user in self.world.users.alive():
            for owner, key in [place for place in self.model.promises if place[0] == user.name]:
                if key not in user.held:
                    assert self.model.promises[owner, key].may_be_cancelled, f"{owner}'s {key} is gone"
                    self.model.release(owner, key)

    @invariant()
    def users_hold_what_they_were_promised(self):
        self.forget_cancelled()
        for user in self.world.users.alive():
            assert {(user.name, key) for key in user.held} <= self.model.promises.keys()
            for key, wish in user.held.items():
                if wish.status == "error":
                    self.judge(user, key, wish)

    def teardown(self):
        if not hasattr(self, "world"):
            return
        for user in self.world.users.alive():
            self.settle(user, sorted(user.held))
        self.forget_cancelled()
        last = self.world.users.alive()[0]
        for name in tuple(self.model.datasets):
            assert self.world.unpublish(last, name) == 1
        for user in self.world.users.alive():
            user.drop(list(user.held))
        self.world.wait_until(lambda: not self.world.users.alive()[0].restarts, "the restart")
        self.world._until(self.world._what_is_left, "was left")
