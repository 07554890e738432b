"""``python -m tests.simulator --seeds 2000 [--first N] [--events N]``: run seeds, print the ones that fail."""

import argparse
import sys
import time

from tests.simulator.simulate import EVENTS_WILD, simulate

SHOWN_MAX = 1


def main() -> int:
    """Run the seeds and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--events", type=int, default=EVENTS_WILD, help="events of the wild part of each at most")
    given = parser.parse_args()
    began_s, events, failed = time.perf_counter(), 0, []
    for seed in range(given.first, given.first + given.seeds):
        outcome = simulate(seed, given.events)
        events += outcome.events
        if outcome.fault:
            failed.append(seed)
            if len(failed) <= SHOWN_MAX:
                print(
                    f"seed {seed} after {outcome.events} events: {outcome.fault}\nits last events:\n{outcome.trace}\n"
                )
            else:
                print(f"seed {seed}: {outcome.fault.splitlines()[0]}")
    took_s = time.perf_counter() - began_s
    print(
        f"{given.seeds} seeds, {events} events, {took_s:.1f} s ({events / took_s:,.0f} events/s): {len(failed)} failed"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
