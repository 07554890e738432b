import os

import psutil

from jupyter_dist.processes.sampling import Sampler


def test_sample_tells_memory_running_and_held():
    sample = Sampler().sample(((5, 0, 12.5),), 3, 300)
    assert sample.running == ((5, 0, 12.5),)
    assert (sample.held, sample.held_bytes) == (3, 300)
    assert sample.memory_bytes > psutil.Process(os.getpid()).memory_info().rss / 2
    assert sample.cpu_percent >= 0
