"""The scheduler process: the scheduler's machine behind a listening socket.

It never loads a user's bytes and never serves HTTP. It is started and watched by the nanny of the head host; when it
is told to stop, it lets the last messages leave and ends.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import time
from pathlib import Path

from jupyter_dist.comm.event_loop import new_event_loop
from jupyter_dist.comm.links import SCHEDULER_SIDE
from jupyter_dist.comm.serve import serve
from jupyter_dist.core.scheduler.machine import SchedulerMachine
from jupyter_dist.processes.config import SchedulerConfig
from jupyter_dist.processes.driver import Driver
from jupyter_dist.processes.journaling import SchedulerJournal
from jupyter_dist.processes.versions import own_versions

log = logging.getLogger("jupyter_dist.scheduler")

# What has to pile up before the garbage collector looks: tasks on record stay, and one that is forgotten is cut loose from
# the others, so a collection finds next to nothing; with Python's own thresholds there are many.
GC_THRESHOLDS = (20_000, 20, 50)
DRAIN_S = 0.2  # what a stopping scheduler leaves its last messages to get out


def main(config: SchedulerConfig) -> None:
    """Run the scheduler until it is told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    gc.set_threshold(*GC_THRESHOLDS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in a script's terminal is for the script
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run(config))


async def run(config: SchedulerConfig) -> None:
    """Serve until the machine, or SIGTERM, says stop."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop(reason: str) -> None:
        log.info("stopping: %s", reason)
        stopped.set()

    machine = SchedulerMachine(
        config.settings,
        config.epoch,
        config.identity.name,
        loop.time(),
        wall_offset_s=time.time() - loop.time(),
        detached=config.detached,
        versions=own_versions(),
    )
    driver = Driver(machine, stop)
    journal = SchedulerJournal(Path(config.folder), config.epoch, config.settings, driver.on_written, driver.on_trouble)
    driver.journal = journal
    driver.restore(journal.records)
    with contextlib.suppress(NotImplementedError):
        loop.add_signal_handler(signal.SIGTERM, stop, "asked by SIGTERM")
    server = await serve(
        config.identity.address,
        cluster=config.identity.cluster,
        secret=config.identity.secret,
        codecs=SCHEDULER_SIDE,
        accept=driver.accept,
        settings=config.settings,
    )
    log.info("scheduler of %s, epoch %d, at %s", config.identity.name, config.epoch, server.address)
    driver.tick()
    await stopped.wait()
    for channel in tuple(driver.channels.values()):
        channel.close("the scheduler stops")
    await asyncio.sleep(DRAIN_S)
    await server.close()
    journal.close()
