import asyncio
import logging
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import cloudpickle
import psutil
import pytest

from jupyter_dist.messages import (
    AssignedTask,
    AssignTask,
    CopyFailed,
    CopyMade,
    DropFunctions,
    FreeKeys,
    FunctionBody,
    HoldCopy,
    InputMissing,
    Leaving,
    Message,
    SetInlineMax,
    StopAttempt,
    StoreCopy,
    TaskErred,
    TaskFinished,
    TaskOutput,
    Withdraw,
    Withdrawn,
    WorkerSample,
)
from jupyter_dist.protocol.exceptions import load_exception
from jupyter_dist.protocol.inputs import InputRef
from jupyter_dist.storage.page import read_page
from tests.processes.fake_scheduler import PATIENCE_S, Host, held, inline

pytestmark = pytest.mark.process
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # a worker does not find the tests


def story(tell=None, **changes):
    """Run a coroutine function of a fake scheduler's host as a test."""

    def decorate(tell):
        def test(tmp_path):
            async def run():
                async with Host(tmp_path, **changes) as host:
                    await tell(host)

            asyncio.run(run())

        test.__name__ = tell.__name__
        return test

    return decorate if tell is None else decorate(tell)


def value_of(finished):
    assert isinstance(finished, TaskFinished), finished.error.traceback
    return cloudpickle.loads(finished.value)


def wait_for_file(path):
    end = time.monotonic() + PATIENCE_S
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.002)


async def file_there(path):
    """Wait until a task has made a file: the only thing it can tell while it runs."""
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.to_thread(wait_for_file, Path(path))


def sleep_at(path, seconds):
    Path(path).touch()
    time.sleep(seconds)
    return "slept"


def hold_at(path):
    """Say that it runs, and run until it may go on."""
    Path(path).touch()
    while not Path(path + ".go").exists():
        time.sleep(0.005)
    return "held"


def let_go(path):
    Path(path + ".go").touch()


@story
async def test_worker_registers_runs_and_errs(host):
    link = await host.start()
    assert (link.register.name, link.register.slots, link.register.host) == ("w0", 1, "here")
    assert value_of(await link.run(1, lambda a, b: a + b, 1, 2)) == 3
    erred = await link.run(2, lambda: dict[str, int]()["missing"])
    error = load_exception(erred.error)
    assert isinstance(error, KeyError)
    assert error.__traceback__.tb_frame.f_code.co_name == "<lambda>"
    assert value_of(await link.run(3, lambda: os.path.realpath(".") == os.environ.get("NOTHING"))) is False


@story
async def test_every_base_exception_leaves_the_worker_well(host):
    link = await host.start()
    for attempt, cls in enumerate([SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, RecursionError], 1):

        def boom(cls=cls):
            raise cls

        erred = await link.run(attempt, boom)
        assert type(load_exception(erred.error)) is cls
    assert value_of(await link.run(9, lambda: "well")) == "well"


@story
async def test_withdraw_gives_back_what_has_not_begun(host):
    link = await host.start()
    flag = str(host.folder / "flag")
    link.assign(1, hold_at, flag)
    for attempt in (2, 3, 4):
        link.assign(attempt, int)
    await file_there(flag)
    link.channel.send(Withdraw((1, 2, 4)))
    assert sorted((await link.next(Withdrawn)).attempts) == [2, 4]
    let_go(flag)
    assert value_of(await link.ended(1)) == "held"
    assert isinstance(await link.ended(3), TaskFinished)


@story(inline_bytes_max=1000)
async def test_inputs_come_inside_from_another_worker_and_from_here(host):
    first, second = await host.start("w0"), await host.start("w1")
    big = await first.run(1, lambda: b"x" * 100_000, key="big")
    assert (big.value, big.nbytes > 100_000) == (None, True)
    packed = cloudpickle.dumps((([InputRef("big")], InputRef("small")), {}))
    inputs = (held("big", big.nbytes, first), inline("small", 7))

    def call(values, small):
        return len(values[0]) + small

    assert value_of(await second.run(2, call, packed=packed, inputs=inputs)) == 100_007
    assert value_of(await first.run(3, call, packed=packed, inputs=inputs)) == 100_007
    first.channel.send(FreeKeys(("big",)))
    first.samples = True
    while (await first.next(WorkerSample)).held:
        pass
    missing = await_missing(second, 4, packed, inputs)
    assert await missing == InputMissing(4, "big", first.register.address)


async def await_missing(link, attempt, packed, inputs):
    link.assign(attempt, len, packed=packed, inputs=inputs)
    return await link.next(InputMissing)


@story(inline_bytes_max=1000)
async def test_input_whose_first_holder_was_killed_comes_from_the_second(host):
    dead, alive, asker = await host.start("w0"), await host.start("w1"), await host.start("w2")
    for link in (dead, alive):
        await link.run(1, lambda: b"x" * 50_000, key="big")
    host.processes["w0"].send_signal(signal.SIGKILL)
    await dead.until(lambda: dead.closed_because)
    packed = cloudpickle.dumps(((InputRef("big"),), {}))
    assert value_of(await asker.run(2, len, packed=packed, inputs=[held("big", 50_000, dead, alive)])) == 50_000


@story
async def test_kill_leaves_the_attempt_on_the_page(host):
    link = await host.start()
    flag = str(host.folder / "flag")
    link.assign(77, sleep_at, flag, 60)
    await file_there(flag)
    host.processes["w0"].send_signal(signal.SIGKILL)
    assert await host.exited() == -signal.SIGKILL
    await link.until(lambda: link.closed_because)
    assert read_page(host.folder / "w0.page").computing == (77,)


@story
async def test_fatal_signal_in_a_task_leaves_its_stack(host):
    link = await host.start()

    def crash():
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(60)

    link.assign(5, crash)
    assert await host.exited() == -signal.SIGSEGV
    assert "Segmentation fault" in (host.folder / "w0.scratch" / "faulthandler.log").read_text()
    assert read_page(host.folder / "w0.page").computing == (5,)


@story
async def test_result_that_cannot_be_sent_errs_that_task_alone(host):
    link = await host.start()
    erred = await link.run(1, lambda: (i for i in [1]))
    assert (erred.error.kind, "generator" in erred.error.text, "'k1'" in erred.error.text) == ("result", True, True)
    assert value_of(await link.run(2, int)) == 0


def talk():
    print("hello")
    os.write(2, b"")
    sys.stderr.write("oops\n")
    return "said"


@story(output_interval_s=0.02)
async def test_prints_ride_in_the_result_or_are_forwarded_while_it_runs(host):
    link = await host.start()
    assert (await link.run(1, talk)).output == "hello\noops\n"

    def talk_and_wait(path):
        print("begun")
        while not os.path.exists(path):  # noqa: PTH110 - as a user would
            time.sleep(0.005)
        print("over")

    flag = host.folder / "flag"
    link.assign(2, talk_and_wait, str(flag), output=True)
    heard = ""
    while heard != "begun\n":  # a print is a write of its text and one of its end
        heard += (await link.next(TaskOutput, 2)).text
        assert "begun\n".startswith(heard)
    flag.touch()
    assert (await link.ended(2)).output == ""
    rest = [message for message in link.heard if isinstance(message, TaskOutput)]
    assert ({one.stream for one in rest}, "".join(one.text for one in rest)) == ({"stdout"}, "over\n")


@story(output_bytes_max=10_000, output_interval_s=0.02)
async def test_flood_of_prints_is_bounded_and_does_not_grow_the_worker(host):
    link = await host.start()
    process = psutil.Process(host.processes["w0"].pid)
    await link.run(1, int)
    before = process.memory_info().rss

    def flood():
        for _ in range(50_000):
            print("x" * 999)
        print("the end")

    finished = await link.run(2, flood)
    assert finished.output.endswith("the end\n")
    assert "were cut here" in finished.output
    assert len(finished.output) < 11_000
    link.assign(3, flood, output=True)
    await link.ended(3)
    forwarded = [message for message in link.heard if isinstance(message, TaskOutput)]
    assert forwarded[-1].text.endswith("the end\n")
    assert max(len(message.text) for message in forwarded) < 11_000
    assert process.memory_info().rss - before < 30_000_000


@story
async def test_stop_with_force_interrupts_a_sleep_and_the_worker_goes_on(host):
    link = await host.start()
    flag = str(host.folder / "flag")
    link.assign(1, sleep_at, flag, 60)
    await file_there(flag)
    link.channel.send(StopAttempt(1, force=True))
    erred = await link.ended(1)
    assert (erred.error.type_name, erred.error.function) == ("KeyboardInterrupt", "sleep_at")
    assert value_of(await link.run(2, int)) == 0


@story
async def test_stop_with_force_in_a_second_slot_interrupts_only_its_own(host):
    link = await host.start(slots=2)

    def spin(path, until):
        Path(path).touch()
        end = time.monotonic() + until
        while time.monotonic() < end:
            sum(range(100))
        return "done"

    flags = [str(host.folder / f"flag{n}") for n in range(2)]
    link.assign(1, spin, flags[0], 60)
    link.assign(2, spin, flags[1], 60)
    for flag in flags:
        await file_there(flag)
    link.channel.send(StopAttempt(2, force=True))
    assert isinstance(await link.ended(2), TaskErred)
    assert value_of(await link.run(3, int)) == 0
    link.channel.send(StopAttempt(1, force=True))
    assert isinstance(await link.ended(1), TaskErred)


@story
async def test_timeout_passed_errs_with_its_own_kind(host):
    link = await host.start()
    erred = await link.run(1, time.sleep, 60, timeout_s=0.2)
    assert erred.error.kind == "timeout"
    assert "0.2 s" in str(load_exception(erred.error))
    assert value_of(await link.run(2, int, timeout_s=30.0)) == 0


@story
async def test_stop_of_what_has_not_begun_gives_it_back(host):
    link = await host.start()
    flag = str(host.folder / "flag")
    link.assign(1, hold_at, flag)
    link.assign(2, int)
    await file_there(flag)
    link.channel.send(StopAttempt(2))
    assert (await link.next(Withdrawn)).attempts == (2,)
    let_go(flag)
    await link.ended(1)
    assert value_of(await link.run(3, int)) == 0
    assert link.heard == []


@story
async def test_terminal_interrupt_changes_nothing(host):
    link = await host.start()
    flag = str(host.folder / "flag")
    link.assign(1, hold_at, flag)
    await file_there(flag)
    host.processes["w0"].send_signal(signal.SIGINT)
    host.processes["w0"].send_signal(signal.SIGINT)
    let_go(flag)
    assert value_of(await link.ended(1)) == "held"
    assert value_of(await link.run(2, int)) == 0


@pytest.mark.parametrize(("leave_s_max", "signals"), [(0.2, 1), (60.0, 2)], ids=["time-is-up", "asked-twice"])
def test_sigterm_is_passed_on_and_ends_the_worker_though_a_task_runs(tmp_path, leave_s_max, signals):
    asyncio.run(_be_asked_to_end(tmp_path, leave_s_max, signals))


async def _be_asked_to_end(folder, leave_s_max, signals):
    async with Host(folder, leave_s_max=leave_s_max) as host:
        link = await host.start()
        flag = str(host.folder / "flag")
        link.assign(1, sleep_at, flag, 60)
        await file_there(flag)
        for _ in range(signals):
            host.processes["w0"].send_signal(signal.SIGTERM)
            await link.until(lambda: link.closed_because or any(isinstance(m, Leaving) for m in link.heard))
        await _judge_end(host, link)


async def _judge_end(host, link):
    assert await host.exited() == 0
    await link.until(lambda: link.closed_because)
    assert "SIGTERM" in host.log()
    assert not (host.folder / "w0.sock").exists()
    inside = read_page(host.folder / "w0.page")
    assert not inside.computing  # the task is not to blame
    assert inside.ended  # and is known to have begun


@story
async def test_sigterm_before_there_is_a_scheduler_ends_the_worker_at_once(host):
    link = await host.start()
    await link.run(1, int)
    link.channel.close("test")
    await host.server.close()
    await link.until(lambda: link.closed_because)
    for _ in range(2):
        host.processes["w0"].send_signal(signal.SIGTERM)
    assert await host.exited() == 0


@story
async def test_copy_is_fetched_held_and_served_on(host):
    first, second = await host.start("w0"), await host.start("w1")
    big = await first.run(1, lambda: b"x" * 100_000, key="big")
    second.channel.send(HoldCopy(7, "big", big.nbytes, (first.register.address,), 1))
    assert await second.next(CopyMade) == CopyMade(7)
    host.processes["w0"].kill()
    packed = cloudpickle.dumps((([InputRef("big")],), {}))
    third = await host.start("w2")
    size = await third.run(2, lambda values: len(values[0]), packed=packed, inputs=(held("big", big.nbytes, second),))
    assert value_of(size) == 100_000
    assert (
        value_of(await second.run(3, lambda values: len(values[0]), packed=packed, inputs=(held("big", 1),))) == 100_000
    )
    second.channel.send(StoreCopy(8, "big", "0" * 32))
    assert "no object store" in (await second.next(CopyFailed)).reason
    second.channel.send(HoldCopy(9, "gone", 1, (first.register.address,), 2))
    assert (await second.next(CopyFailed)).copy == 9


@story(lease_s=0.2)
async def test_scheduler_gone_for_three_leases_ends_the_worker(host):
    await host.start()
    await host.server.close()
    assert await host.exited() == 0
    assert "no scheduler for 0.6 s" in host.log()


@story(inline_bytes_max=1000)
async def test_scheduler_back_hears_what_is_held_and_what_runs_and_how_it_ends(host):
    link = await host.start()
    await link.run(1, lambda: b"x" * 5000, key="big")
    flag = str(host.folder / "flag")
    link.assign(2, sleep_at, flag, 60)
    await file_there(flag)
    await host.server.close()
    await host.listen()
    again = await host.link_of("w0", after=1)
    assert [(held.key, held.attempt) for held in again.register.held] == [("big", 1)]
    assert [attempt for attempt, _key in again.register.running] == [2]
    again.channel.send(StopAttempt(2, force=True))
    assert (await again.next(TaskErred, 2)).error.type_name == "KeyboardInterrupt"
    assert value_of(await again.run(3, lambda: "new")) == "new"


@story(heartbeat_s=0.05, inline_bytes_max=1000)
async def test_heartbeat_tells_what_runs_and_what_is_held(host):
    host.samples = True
    link = await host.start()
    await link.run(1, lambda: b"x" * 5000)
    flag = str(host.folder / "flag")
    link.assign(2, sleep_at, flag, 60)
    await file_there(flag)
    link.heard.clear()
    sample = await link.until(lambda: [one for one in link.heard if one.running])
    ((attempt, slot, started_s),) = sample[0].running
    assert (attempt, slot, abs(time.time() - started_s) < 60) == (2, 0, True)
    assert sample[0].held == 1
    assert sample[0].held_bytes > 5000
    assert sample[0].memory_bytes > 1_000_000


@story
async def test_inline_limit_changed_holds_smaller_results(host):
    link = await host.start()
    assert (await link.run(1, lambda: "x" * 100)).value is not None
    link.channel.send(SetInlineMax(10))
    assert (await link.run(2, lambda: "x" * 100)).value is None


@story
async def test_function_dropped_and_sent_again_is_loaded_anew(host):
    link = await host.start()

    def count(state=[]):  # noqa: B006 - shows which copy of the function is called
        state.append(1)
        return len(state)

    body = FunctionBody("f", "count", cloudpickle.dumps(count))
    arguments = cloudpickle.dumps(((), {}))
    link.channel.send(body, *(AssignTask(AssignedTask("k", n, "f", arguments)) for n in (1, 2)))
    assert [value_of(await link.ended(n)) for n in (1, 2)] == [1, 2]
    link.channel.send(DropFunctions(("f",)), body, AssignTask(AssignedTask("k", 3, "f", arguments)))
    assert value_of(await link.ended(3)) == 1


@story
async def test_task_that_forks_and_returns_twice_reports_once(host):
    link = await host.start()

    def fork():
        return os.fork() >= 0

    assert value_of(await link.run(1, fork)) is True
    assert value_of(await link.run(2, int)) == 0
    assert link.heard == []


@story
async def test_process_forked_by_a_task_can_be_ended_and_is_heard(host):
    link = await host.start()

    def use_child():
        import multiprocessing  # noqa: PLC0415 - the worker's own

        context = multiprocessing.get_context("fork")
        child = context.Process(target=time.sleep, args=(60,))
        child.start()
        child.terminate()
        child.join(20)
        with context.Pool(2) as pool:
            return child.exitcode, pool.map(abs, [-1, -2])

    assert value_of(await link.run(1, use_child)) == (-signal.SIGTERM, [1, 2])
    assert value_of(await link.run(2, int)) == 0


@story(leave_s_max=0.1)
async def test_thread_left_behind_does_not_keep_the_worker(host):
    link = await host.start()

    def leave():
        import threading  # noqa: PLC0415 - the worker's own

        threading.Thread(target=time.sleep, args=(60,), daemon=False).start()

    assert isinstance(await link.run(1, leave), TaskFinished)
    host.processes["w0"].send_signal(signal.SIGTERM)
    assert await host.exited() == 0


@story
async def test_twenty_thousand_trivial_tasks_all_end(host):
    link = await host.start()
    count, hand = 20_000, 256
    arguments = cloudpickle.dumps(((3,), {}))
    link.channel.send(FunctionBody("f", "f", cloudpickle.dumps(lambda x: x + 1)))
    tasks = (AssignTask(AssignedTask(f"k{n}", n, "f", arguments)) for n in range(1, count + 1))
    done: list[int] = []
    over = asyncio.Event()

    def received(messages, _buffers):
        done.extend(message.attempt for message in messages if isinstance(message, TaskFinished))
        link.channel.send_all([task for _, task in zip(messages, tasks, strict=False)])
        if len(done) >= count:
            over.set()

    link.received = received
    started = time.perf_counter()
    link.channel.send_all([next(tasks) for _ in range(hand)])
    async with asyncio.timeout(60):
        await over.wait()
    print(f"{count / (time.perf_counter() - started):,.0f} tasks/s")
    assert sorted(done) == list(range(1, count + 1))


def add_up(count):
    total = 0
    for number in range(count):
        total += number
    return total


def storm(rng, link, counted):
    """Send one random batch: assign, stop, withdraw; return how many attempts there are now."""
    batch: list[Message] = []
    for _ in range(rng.randrange(1, 40)):
        counted += 1
        arguments = cloudpickle.dumps(((rng.choice([10, 1000, 20_000]),), {}))
        timeout_s = rng.choice([0.0, 0.0, 0.0005])
        batch.append(AssignTask(AssignedTask(f"k{counted}", counted, "f", arguments, timeout_s=timeout_s)))
    recent = range(max(1, counted - 60), counted + 1)
    batch.extend(StopAttempt(rng.choice(recent), force=True) for _ in range(20))
    batch.append(Withdraw(tuple(rng.sample(recent, min(5, len(recent))))))
    link.channel.send_all(batch)
    return counted


def test_storm_of_stops_timeouts_and_withdrawals_answers_every_attempt_once(tmp_path):
    rng, over, counted = random.Random(11), asyncio.Event(), 0
    ends: Counter[int] = Counter()

    def received(messages, _buffers):
        for message in messages:
            ends.update(message.attempts if isinstance(message, Withdrawn) else [message.attempt])
        over.set()

    async def run():
        nonlocal counted
        async with Host(tmp_path, heartbeat_s=3600.0) as host:
            link = await host.start(slots=2)
            link.channel.send(FunctionBody("f", "f", cloudpickle.dumps(add_up)))
            link.received = received
            for _ in range(60):
                counted = storm(rng, link, counted)
                await asyncio.sleep(rng.choice([0, 0.001, 0.004]))
            async with asyncio.timeout(PATIENCE_S):
                while len(ends) < counted:
                    over.clear()
                    await over.wait()
            assert link.closed_because is None

    asyncio.run(run())
    assert ends == Counter(range(1, counted + 1))


@story
async def test_stop_with_force_ends_a_coroutine(host):
    link = await host.start()

    async def wait(path):
        await asyncio.to_thread(Path(path).touch)
        await asyncio.sleep(60)

    flag = str(host.folder / "flag")
    link.assign(1, wait, flag)
    await file_there(flag)
    link.channel.send(StopAttempt(1, force=True))
    assert (await link.ended(1)).error.type_name == "KeyboardInterrupt"
    assert value_of(await link.run(2, int)) == 0


@story
async def test_logging_in_a_task_is_its_output_and_not_the_workers(host):
    link = await host.start()
    finished = await link.run(1, logging.getLogger("mine").warning, "careful")
    assert finished.output == "careful\n"
