"""Death certificates: why a worker's process ended and what it was doing, gathered after the fact.

A worker cannot say how it died, so everything here comes from what others kept: the exit code from the fork server, the
attempts from the page it shared with its nanny, the stack from the file faulthandler wrote into its scratch folder, the
last words of its tasks from there too, its own last lines from its log, its peak memory from the nanny's pulse. Each of these may be missing; none may raise.

The words are for a person: what happened, to what, by what.
"""

from __future__ import annotations

import signal
from pathlib import Path

import msgspec

from jupyter_dist.messages import DeathCertificate
from jupyter_dist.processes.folder import read_tail
from jupyter_dist.storage.last_words import LAST_WORDS_NAME, read_last_words
from jupyter_dist.storage.page import read_page

STACK_NAME = "faulthandler.log"
STACK_BYTES_MAX = 16 * 1024
OUTPUT_BYTES_MAX = 4 * 1024
OUTPUT_LINES = 20
OWN_FRAME = "jupyter_dist/processes/"


class Death(msgspec.Struct, frozen=True):
    """What the nanny knows of a death. ``cause`` and ``reason`` are the supervisor's verdict."""

    worker: str
    host: str
    pid: int
    code: int
    cause: str
    reason: str
    memory_bytes_peak: int
    page: str
    scratch: str
    log: str
    died_s: float


def certify(death: Death) -> DeathCertificate:
    """Gather what is left of a worker into its certificate."""
    page = read_page(death.page)
    said = read_last_words(Path(death.scratch) / LAST_WORDS_NAME, page.computing or page.waiting)
    log = read_tail(Path(death.log), OUTPUT_LINES, OUTPUT_BYTES_MAX)
    output = "\n".join(text for text in ("\n".join(said.splitlines()[-OUTPUT_LINES:])[-OUTPUT_BYTES_MAX:], log) if text)
    stack = read_tail(Path(death.scratch) / STACK_NAME, OUTPUT_BYTES_MAX, STACK_BYTES_MAX)
    return DeathCertificate(
        worker=death.worker,
        host=death.host,
        pid=death.pid,
        cause=death.cause,
        exit_code=death.code,
        memory_bytes_peak=death.memory_bytes_peak,
        attempts=page.computing,
        stack=trim_stack(stack),
        output=output,
        words=describe(death),
        died_s=death.died_s,
        waiting=page.waiting,
        ended=page.ended,
    )


def trim_stack(text: str) -> str:
    """Return what faulthandler wrote, less the threads that only waited and the frames below the user's code."""
    head, found, rest = text.partition("Current thread")
    if not found:
        return text
    kept = []
    for line in rest.splitlines():
        if OWN_FRAME in line or not line.strip():
            break
        kept.append(line)
    return "\n".join([head.splitlines()[0] if head else "", found + "\n".join(kept)]).strip()


def describe(death: Death) -> str:
    """Say how a worker ended, in a sentence."""
    who = f"{death.worker} (pid {death.pid})"
    if death.cause == "asked":
        return f"{who} was ended by the cluster: {death.reason}"
    if death.cause == "overrun":
        return f"{death.reason}, so {who} was ended"
    return f"{who} {_describe_end(death)}"


def _describe_end(death: Death) -> str:
    if death.cause == "memory":
        return f"was ended for want of memory: {death.reason or _describe_peak(death)}"
    if death.reason:
        return f"could not be started: {death.reason}"
    if death.code < 0:
        return f"was killed by {_signal_name(-death.code)}"
    if death.code == 0:
        return "ended by itself, with exit code 0"
    return f"ended with exit code {death.code}"


def _describe_peak(death: Death) -> str:
    return f"the system killed it; it had used {describe_bytes(death.memory_bytes_peak)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def describe_bytes(count: int) -> str:
    """Return a number of bytes for a person."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
