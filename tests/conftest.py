"""For all tests: hypothesis counts examples, not the milliseconds they take on a machine that has other things to do."""

from hypothesis import HealthCheck, settings

settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")
