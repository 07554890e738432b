"""The part of an Executor that asks every worker something outside scheduling: calls, stacks, versions.

A call goes straight to the worker and runs there in a thread of its own, so it answers beside a busy task. Answers are
dicts by the workers' names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from jupyter_dist.client import containers, inspection
from jupyter_dist.client.blocking import Remotely
from jupyter_dist.client.calls import check_callable, check_flag, check_keys, named_workers
from jupyter_dist.client.frames import hide_frames
from jupyter_dist.client.front import Front
from jupyter_dist.client.inspecting import Workers
from jupyter_dist.client.packing import label_of, pack_outside
from jupyter_dist.client.rounds import Outcome, ask_workers, look_around
from jupyter_dist.client.versions import compare_versions
from jupyter_dist.errors import ClusterError, ResultError, UsageError, WorkerGoneError
from jupyter_dist.messages import DescribeVersions, Message, PutCode, Ran, ReadStacks, RunCall, Stacks
from jupyter_dist.processes.versions import own_versions
from jupyter_dist.protocol.exceptions import load_exception
from jupyter_dist.protocol.framing import Buffer
from jupyter_dist.protocol.payload import unpack_value

ON_ERROR = ("raise", "return", "ignore")
STACKS_S = 5.0


class Everywhere(Front):
    """What an Executor asks of all workers, or some, whatever these are doing."""

    def run(
        self,
        function: Callable[..., Any],
        /,
        *args: Any,
        workers: Workers = None,
        wait: bool = True,
        on_error: str = "raise",
        **kwargs: Any,
    ) -> Any:
        """Call a function on every worker at once, outside scheduling, and return the results by worker.

        It runs in a thread beside the worker's tasks and does not wait for them. A task that holds Python's lock
        delays it. A coroutine function is awaited there. What it prints goes to the worker's log.

        Parameters
        ----------
        function, *args, **kwargs
            The call. It has no futures: pass their results.
        workers
            Names, hosts or addresses of the workers; by default all.
        wait
            Whether to wait for the results; else None is returned, and an error is in the worker's log alone.
        on_error
            ``raise`` the first error as soon as it is known, ``return`` it in the place of the result, or ``ignore``:
            leave that worker out.

        Raises
        ------
        Exception
            What the call raised on a worker, with the traceback of its own code, and a note which worker it was.
        WorkerGoneError
            A worker died, left or fell silent while it was asked; whether it began the call is not known.
        PackingError
            The function or an argument cannot be pickled, or they are too large.
        ResultError
            A result cannot be packed there, or loaded here.
        TypeError, UsageError
            It is no function; there is no such worker; a future among the arguments; ``on_error`` is none of the three.
        ClusterClosedError
            The executor is closed.
        """
        check_callable(function)
        if on_error not in ON_ERROR:
            raise UsageError(f"on_error={on_error!r}: choose 'raise', 'return' or 'ignore'")
        if type(wait) is not bool:
            raise TypeError(f"wait is True or False, not {wait!r}")
        workers = named_workers(workers)
        self.session.check_open()
        call = pack_outside(function, args, kwargs, self.settings.argument_bytes_max)
        reaches_code = bool(self.session.code.cover(call))
        if not wait:
            return self.perform(self._tell(call, workers, reaches_code=reaches_code))
        try:
            return self.perform(self._run(call, label_of(function), workers, on_error, reaches_code=reaches_code))
        except BaseException as error:
            hide_frames(error)
            raise

    async def _tell(self, call: bytes, workers: Workers, *, reaches_code: bool) -> None:
        homes = await self._homes_of_workers(workers)
        if reaches_code:
            await self._await_code(homes)
        await Remotely(self.loop, self._tell_all, homes, RunCall(0, call))

    async def _tell_all(self, homes: dict[str, str], message: Message) -> None:
        for address in homes.values():
            self.readers.tell_soon(address, message)

    async def _await_code(self, homes: dict[str, str]) -> None:
        """Wait until workers have the code that was put before: a call that goes straight to them could overtake it."""
        if homes:
            await self.ask(lambda request: PutCode(request, (), tuple(homes)))

    async def _run(
        self, call: bytes, label: str, workers: Workers, on_error: str, *, reaches_code: bool = False
    ) -> dict[str, Any]:
        __tracebackhide__ = True
        homes = await self._homes_of_workers(workers)
        if reaches_code:
            await self._await_code(homes)
        is_last = _is_error if on_error == "raise" else _never
        outcomes = await self._ask_all(homes, lambda request: RunCall(request, call), is_last, None)
        results: dict[str, Any] = {}
        for name, outcome in outcomes.items():
            try:
                results[name] = _load(name, label, outcome)
            except BaseException as error:
                if on_error == "raise":
                    raise
                if on_error == "return":
                    results[name] = error
        return results

    async def _homes_of_workers(self, workers: Workers) -> dict[str, str]:
        """Return the addresses of the workers that are meant, by name. UsageError for an unknown one.

        All are those that are there: one whose connection has ended and whose death is not certified yet is not.
        """
        snapshot = await self.describe()
        if snapshot.recovering:
            snapshot = await Remotely(self.loop, look_around, self.session)
        if workers is None:
            return {view.name: view.address for view in snapshot.workers if view.state != "lost"}
        addresses = {view.name: view.address for view in snapshot.workers}
        return {name: addresses[name] for name in inspection.chosen_workers(snapshot, workers)}

    async def _ask_all(
        self,
        homes: dict[str, str],
        make: Callable[[int], Message],
        is_last: Callable[[Outcome], bool],
        timeout_s: float | None,
    ) -> dict[str, Outcome]:
        found: dict[str, Outcome] = await Remotely(
            self.loop, ask_workers, self.session, self.readers, homes, make, is_last, timeout_s
        )
        return found

    # -- where running code is ---------------------------------------------------------------------------------------

    def stacks(self, workers: Workers = None, timeout: float = STACKS_S) -> Any:
        """Return where the code of each running task is now: by worker, by key, as Python prints a stack.

        A worker that does not answer in time stands there with the reason in words instead.

        Parameters
        ----------
        workers
            Names, hosts or addresses of the workers; by default all.
        timeout
            Seconds to wait at most.

        Raises
        ------
        UsageError
            There is no such worker, or the time is not positive.
        ClusterClosedError
            The executor is closed.
        """
        _check_wait(timeout)
        return self.perform(self._stacks(named_workers(workers), timeout))

    async def _stacks(self, workers: Workers, timeout: float) -> dict[str, dict[str, str] | str]:
        found = await self._read_stacks(await self._homes_of_workers(workers), timeout)
        return {name: stacks if isinstance(stacks, str) else _joined(stacks) for name, stacks in found.items()}

    def call_stack(self, futures: Any = None, keys: Iterable[str] | None = None) -> Any:
        """Return the frames of tasks that run now, outermost first: by worker, by key, as tuples of texts.

        Parameters
        ----------
        futures, keys
            Which tasks; with neither, all that run. Workers that run none of them are left out.

        Raises
        ------
        UsageError
            A future is of another executor.
        TypeError
            ``keys`` are no texts.
        ClusterClosedError
            The executor is closed.
        """
        wanted: set[str] | None = None
        if futures is not None or keys is not None:
            given = [] if keys is None else list(check_keys(keys))
            found = [] if futures is None else containers.futures_of(self, futures)
            wanted = {future.key for future in found}.union(given)
        self.session.check_open()
        return self.perform(self._call_stack(wanted))

    async def _call_stack(self, wanted: set[str] | None) -> dict[str, dict[str, tuple[str, ...]]]:
        found = await self._read_stacks(await self._homes_of_workers(None), STACKS_S)
        told = {name: stacks for name, stacks in found.items() if isinstance(stacks, dict)}
        chosen = {
            name: {key: frames for key, frames in stacks.items() if wanted is None or key in wanted}
            for name, stacks in told.items()
        }
        return {name: stacks for name, stacks in chosen.items() if stacks}

    async def _read_stacks(self, homes: dict[str, str], timeout: float) -> dict[str, dict[str, tuple[str, ...]] | str]:
        outcomes = await self._ask_all(homes, ReadStacks, _never, timeout)
        return {name: _stacks_of(name, outcome, timeout) for name, outcome in outcomes.items()}

    # -- versions ----------------------------------------------------------------------------------------------------

    def get_versions(self, check: bool = False) -> Any:
        """Return the versions of Python and of packages that matter, of client, scheduler and each worker.

        Parameters
        ----------
        check
            Whether to raise when client and workers cannot work together.

        Raises
        ------
        VersionMismatchError
            With ``check``: a worker has another Python (major or minor) or another cloudpickle (major) than this
            process; the text names both and says what to do.
        WorkerGoneError
            A worker was lost while it was asked.
        ClusterClosedError
            The executor is closed.
        """
        check_flag("check", check)
        self.session.check_open()
        call = pack_outside(own_versions, (), {}, self.settings.argument_bytes_max)
        return self.perform(self._get_versions(call, check=check))

    async def _get_versions(self, call: bytes, *, check: bool) -> dict[str, Any]:
        scheduler = (await self.ask(DescribeVersions)).versions
        workers = await self._run(call, "own_versions", None, "raise")
        versions = {"client": own_versions(), "scheduler": dict(scheduler), "workers": workers}
        if check:
            compare_versions(versions["client"], workers)
        return versions


def _check_wait(timeout: object) -> None:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise UsageError(f"timeout={timeout!r}: give the seconds to wait, more than 0")


def _never(_outcome: Outcome) -> bool:
    return False


def _is_error(outcome: Outcome) -> bool:
    if isinstance(outcome, WorkerGoneError):
        return True
    return outcome is not None and isinstance(outcome[0], Ran) and outcome[0].error is not None


def _load(name: str, label: str, outcome: Outcome) -> Any:
    """Return what a worker's call returned, or raise what it raised."""
    __tracebackhide__ = True
    if outcome is None:
        raise WorkerGoneError(f"{name} did not answer")
    if isinstance(outcome, WorkerGoneError):
        raise outcome
    message, buffers = outcome
    if not isinstance(message, Ran):
        raise ClusterError(f"{name} answered with a {type(message).__name__}: is it of another version?")
    if message.error is not None:
        error = load_exception(message.error)
        if type(error.__dict__.get("__notes__", [])) is list:
            BaseException.add_note(error, f"raised by {label} on {name}, outside scheduling")
        raise error
    return _load_value(name, label, list(buffers))


def _load_value(name: str, label: str, buffers: list[Buffer]) -> Any:
    try:
        return unpack_value(buffers)
    except Exception as error:
        raise ResultError(
            f"what {label} returned on {name} cannot be loaded here: {type(error).__name__}: {error}. "
            "Is what defines it importable in this process?"
        ) from error


def _stacks_of(name: str, outcome: Outcome, timeout: float) -> dict[str, tuple[str, ...]] | str:
    if outcome is None:
        return (
            f"{name} is busy in code that holds Python's lock, or its process is stopped: "
            f"it did not answer within {timeout:g} s"
        )
    if isinstance(outcome, WorkerGoneError):
        return str(outcome)
    message = outcome[0]
    if isinstance(message, Stacks):
        return {stack.key: stack.frames for stack in message.running}
    error = message.error if isinstance(message, Ran) else None
    return f"{name} could not tell: {error.text if error else type(message).__name__}"


def _joined(stacks: dict[str, tuple[str, ...]]) -> dict[str, str]:
    return {
        key: "".join(frames) or "(in no Python code of its own: in compiled code, or being loaded)\n"
        for key, frames in stacks.items()
    }
