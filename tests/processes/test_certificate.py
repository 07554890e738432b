import msgspec
import pytest

from jupyter_dist.processes.certificate import STACK_NAME, Death, certify, describe, describe_bytes, trim_stack
from jupyter_dist.storage.last_words import LAST_WORDS_NAME, LastWords
from jupyter_dist.storage.page import PageWriter

DEATH = Death(
    worker="worker-2",
    host="here",
    pid=4211,
    code=-11,
    cause="signal",
    reason="",
    memory_bytes_peak=3_100_000_000,
    page="/nowhere/page",
    scratch="/nowhere/scratch",
    log="/nowhere/log",
    died_s=1_700_000_000.0,
)


@pytest.mark.parametrize(
    ("code", "cause", "reason", "words"),
    [
        (-9, "asked", "the cluster was restarted", "was ended by the cluster: the cluster was restarted"),
        (-11, "signal", "", "was killed by SIGSEGV"),
        (-250, "signal", "", "was killed by signal 250"),
        (0, "exit", "", "ended by itself, with exit code 0"),
        (3, "exit", "", "ended with exit code 3"),
        (1, "exit", "Cannot allocate memory", "could not be started: Cannot allocate memory"),
        (-9, "memory", "it used 3 GB, its limit is 2 GB", "ended for want of memory: it used 3 GB, its limit is 2 GB"),
        (-6, "overrun", "f ran too long", "f ran too long, so worker-2 (pid 4211) was ended"),
        (-9, "memory", "", "for want of memory: the system killed it; it had used 3.1 GB"),
    ],
)
def test_words_say_what_happened(code, cause, reason, words):
    death = msgspec.structs.replace(DEATH, code=code, cause=cause, reason=reason)
    text = describe(death)
    assert "worker-2 (pid 4211) " in text
    assert words in text


def test_certificate_gathers_what_is_left(tmp_path):
    page = PageWriter(tmp_path / "page", 3)
    page.begin(0, 5)
    page.begin(2, 2**40 + 1)
    page.close()
    words = LastWords(tmp_path / LAST_WORDS_NAME)
    words.say(5, "of the one\n")
    words.say(6, "of another that ended\n")
    words.close()
    (tmp_path / STACK_NAME).write_text("Fatal Python error\n  File x\n")
    (tmp_path / "log").write_text("".join(f"line {number}\n" for number in range(1000)))
    death = msgspec.structs.replace(
        DEATH, page=str(tmp_path / "page"), scratch=str(tmp_path), log=str(tmp_path / "log")
    )
    certificate = certify(death)
    assert certificate.attempts == (5, 2**40 + 1)
    assert certificate.stack == "Fatal Python error\n  File x"
    assert certificate.output.splitlines() == ["of the one", *(f"line {number}" for number in range(980, 1000))]
    assert (certificate.exit_code, certificate.memory_bytes_peak) == (-11, 3_100_000_000)


def test_certificate_when_nothing_is_left_is_one_all_the_same():
    certificate = certify(DEATH)
    assert (certificate.attempts, certificate.stack, certificate.output) == ((), "", "")
    assert certificate.words == "worker-2 (pid 4211) was killed by SIGSEGV"


def test_stack_of_a_crash_is_cut_to_the_users_frames():
    text = """Fatal Python error: Segmentation fault

Thread 0x00 (most recent call first):
  File "x/jupyter_dist/processes/worker.py", line 313 in _run_loop

Current thread 0x01 (most recent call first):
  File "lib/ctypes/__init__.py", line 519 in string_at
  File "<cell [7]>", line 32 in crash
  File "x/jupyter_dist/processes/call.py", line 78 in _call
  File "x/jupyter_dist/processes/worker.py", line 289 in main

Extension modules: some"""
    assert trim_stack(text).splitlines() == [
        "Fatal Python error: Segmentation fault",
        "Current thread 0x01 (most recent call first):",
        '  File "lib/ctypes/__init__.py", line 519 in string_at',
        '  File "<cell [7]>", line 32 in crash',
    ]


def test_certificate_of_a_flood_of_garbage_is_bounded(tmp_path):
    (tmp_path / "log").write_bytes(b"\xff" * 1_000_000)
    certificate = certify(msgspec.structs.replace(DEATH, log=str(tmp_path / "log")))
    assert 0 < len(certificate.output) <= 4096


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2**31, "2.15 GB"), (5e12, "5 TB")]
)
def test_bytes_are_for_a_person(count, words):
    assert describe_bytes(count) == words
