"""What a client still has to say, and what it has to say again."""

from jupyter_dist.core.outgoing import Outgoing
from jupyter_dist.messages import Describe, Release


def test_message_waits_until_it_is_taken_and_another_one_like_it_does_not():
    outgoing, message = Outgoing(), Describe(1)
    outgoing.add(message)
    assert outgoing.is_waiting(message)
    assert not outgoing.is_waiting(Describe(1))
    assert outgoing.take() == [message]
    assert not outgoing.is_waiting(message)


def test_next_scheduler_hears_what_it_lacks_then_what_waited_then_the_rest():
    outgoing = Outgoing()
    releases = [Release((key,)) for key in "abc"]
    for release in releases:
        outgoing.add(release)
    outgoing.take()
    outgoing.on_kept(1)
    outgoing.add(Describe(1))
    outgoing.resume(2, [Describe(2)])
    assert outgoing.take() == [releases[2], Describe(1), Describe(2)]
