"""What a nanny leaves to its follower. Handed from process to process down pipes, because there is a secret in it.

A follower reads it before anything else, so this module imports little.
"""

from __future__ import annotations

import os

import msgspec

from jupyter_dist.processes.config import NannyConfig
from jupyter_dist.processes.launcher_line import read_frame
from jupyter_dist.processes.nursery import PRELOAD, Pipes


class Entries(msgspec.Struct, frozen=True):
    """What the children run, as ``module:function``, and what the fork server loads for them. Tests have their own."""

    scheduler: str = "jupyter_dist.processes.scheduler:main"
    worker: str = "jupyter_dist.processes.worker:main"
    preload: tuple[str, ...] = PRELOAD


class Will(msgspec.Struct, frozen=True):
    """What a follower must know. Its repr shows no secret: the configuration's does not."""

    config: NannyConfig
    entries: Entries
    pid: int  # of the nanny whose will this is: its session is to be ended
    started_s: float  # when that started, by the clock of `vitals.started_s`
    numbers: tuple[int, ...]  # of the workers that shall live
    epoch: int  # of the last scheduler
    generation: int  # of the nanny whose will this is: the first one's is 0


class Inherited(msgspec.Struct, frozen=True):
    """A will, and the guardian who handed it on: the line to it, and its process."""

    will: Will
    line: Pipes
    guardian: int

    @property
    def config(self) -> NannyConfig:
        """The configuration of the cluster."""
        return self.will.config

    @property
    def entries(self) -> Entries:
        """What the children run."""
        return self.will.entries


def take(reading: int, writing: int, guardian: int) -> Inherited:
    """Take over from a guardian, in a process that it has just started: lead a session, and read the will.

    Raises
    ------
    EOFError
        The guardian has gone.
    """
    os.setsid()
    for descriptor in (reading, writing):
        os.set_inheritable(descriptor, False)
    return Inherited(read_frame(reading, Will), Pipes(reading, writing), guardian)
