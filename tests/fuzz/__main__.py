"""``python -m tests.fuzz TARGET [--seconds 60 | --runs N] [--corpus FOLDER]``: one target under atheris.

atheris is libFuzzer in Python: it keeps the inputs that reach code no input reached before, in ``.fuzz/TARGET``, and
ends at the first input that a target does not bear; that is written beside them and named. What has been mended goes
into ``tests/fuzz/corpus/TARGET``, where every later run begins and every test run passes through.
"""

import argparse
import logging
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["jupyter_dist", "tests.fuzz", "tests.storage"]):
    from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
FOUND = Path(".fuzz")
RSS_MB_MAX = 400  # of the process, with atheris in it
INPUT_S_MAX = 20
LENGTH_MAX = 4096


def main() -> None:
    """Fuzz one target. Does not return: libFuzzer ends the process."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=0, help="how long; 0 for no end")
    parser.add_argument("--runs", type=int, default=-1, help="how many inputs; -1 for no end")
    given = parser.parse_args()
    found = FOUND / given.target
    found.mkdir(parents=True, exist_ok=True)
    logging.disable()
    options = [
        f"-max_total_time={given.seconds}",
        f"-runs={given.runs}",
        f"-max_len={LENGTH_MAX}",
        f"-rss_limit_mb={RSS_MB_MAX}",
        f"-timeout={INPUT_S_MAX}",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(found), str(CORPUS / given.target)], TARGETS[given.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
