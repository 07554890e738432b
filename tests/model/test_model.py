"""The cluster in the simulator beside its model; `make prove` runs many more examples."""

import os

from hypothesis import HealthCheck, settings

from tests.model.machine import ClusterBesideAModel

EXAMPLES = int(os.environ.get("EXAMPLES", "0"))

ClusterBesideAModel.TestCase.settings = settings(
    max_examples=EXAMPLES or 100,
    stateful_step_count=50,
    deadline=None,
    derandomize=not EXAMPLES,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
TestClusterBesideAModel = ClusterBesideAModel.TestCase
