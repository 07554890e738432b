"""Identities: what names a thing across processes.

Everything here is a plain value. Identity is given out by drivers and passed to the cores as an argument: nothing in
`core` makes one up. Fresh ids come from the operating system's randomness, never from a counter two processes share.

* key: a task's name, text, unique in a cluster while the task is known.
* attempt: one execution of a task, an integer that holds ``(epoch, n)``: a later scheduler never reuses a number.
* incarnation: one connection of one peer to the scheduler. A worker that reconnects is a new incarnation, and
  whatever an older one says is not heard.
"""

import secrets

SECRET_BYTES = 32
EPOCH_SHIFT = 40


def new_secret() -> bytes:
    """Return the secret of a new cluster, 32 random bytes."""
    return secrets.token_bytes(SECRET_BYTES)


def new_token() -> str:
    """Return 16 hexadecimal digits for a name nobody else has: a cluster, a session, an impure key."""
    return secrets.token_hex(8)


def first_attempt(epoch: int) -> int:
    """Return the lowest attempt number of an epoch, so that attempts of different epochs never collide."""
    return epoch << EPOCH_SHIFT


def copy_name(number: int) -> str:
    """Return the name of a copy in an object store: twice as long as a token, so that nothing else is called so."""
    return f"{number:032x}"


def is_copy_before(name: str, first: str) -> bool:
    """Whether this is the name of a copy, given before that of another one."""
    return len(name) == len(first) and name < first


def epoch_of(attempt: int) -> int:
    """Return the epoch that issued an attempt."""
    return attempt >> EPOCH_SHIFT
