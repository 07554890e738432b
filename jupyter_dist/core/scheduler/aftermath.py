"""What is left to be done after a scheduler's death, by the one that follows it. See `replay` for the rules."""

from jupyter_dist.messages import RegisterWorker


class Aftermath:
    """Who is waited for, and who has to wait."""

    __slots__ = ("admit_at_s", "expected_nannies", "keep_objects_at_s", "parked")

    def __init__(self) -> None:
        self.admit_at_s: float | None = None  # when workers are let in that came before all clients were back
        self.parked: dict[int, RegisterWorker] = {}  # these
        self.expected_nannies: frozenset[str] = frozenset()  # who was there under the scheduler before
        self.keep_objects_at_s: float | None = None  # when to tell which objects of the scheduler before are needed
