"""What the fork server loads once, so that a worker or scheduler forked from it starts without importing anything.

Nothing here may start a thread, open a connection or look at the environment: whatever exists now exists in every
process of the host. Objects that live for ever are taken out of the garbage collector's sight, so that a collection in
a worker does not copy the pages it shares with its siblings.
"""

import gc

from jupyter_dist.processes import lifeline, scheduler, worker

PRELOADED = (lifeline, scheduler, worker)

gc.freeze()
