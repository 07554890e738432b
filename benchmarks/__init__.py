"""Benchmarks of this package beside its peers: ``python -m benchmarks``, or ``make bench``.

Figures of one machine mean little, so all contestants run on the same machine in one run: each in a driver process of
its own, in rounds (A B C, A B C, …) so that what else the machine does hits them alike; medians are reported with the
smallest and largest value, and the ratio to us. Everything listens on this machine only.

* ``contestants``: one class each, with the same few methods; a peer that is not installed is left out by name.
* ``driver``: what one contestant is put through, in its own process.
* ``probes``: memory and CPU of all processes of a driver, measured from outside.
* ``report``: the table and ``results/latest.json``, which git ignores.
* ``core``: the scheduler's core alone, without any process or socket: ``python -m benchmarks.core``.
"""
