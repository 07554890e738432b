"""Processes of a cluster: each is one machine of `core`, the driver that runs it, and the effects it asks for.

Here, and nowhere below, are clocks, threads, signals, files and event loops. Entry points, each with the configuration
of `config` it takes: `scheduler.main`, `worker.main`, `nanny.main`. A worker is made of `worker` (its driver), `slots`
(the threads that run tasks), `permits` (which of them compute), `call` and `coroutine` (one task), `inside` (what a task
finds of its worker), `interrupt` (stopping one), `output` (what it prints), `exchange` (results to and from other
processes), `signals` and `sampling` (its heartbeat). A detached cluster's nanny has a `guardian` (run as a file; the nanny's
side is `guarding`); one that follows another begins with its `will` and with `succession`.

May import `comm`, `storage` and the floors below. The scheduler and the nanny never load `call`, `slots` or a pickle.
"""
