"""Every error a user of this package can meet, and no other.

::

    Exception
    ├── JupyterDistError                     never raised itself
    │   ├── ClusterError                     never raised itself
    │   │   ├── NoClusterError               nothing to connect to; says how to start one
    │   │   ├── ClusterStartError            a cluster did not come up; carries the tail of its log
    │   │   ├── ClusterClosedError           (also RuntimeError) the cluster or the executor is gone; says why
    │   │   ├── ClusterStateError            what was asked needs a cluster in another state; says which it is in
    │   │   └── WorkerGoneError              a worker died, left or fell silent while it was asked; says which
    │   │   ├── CoordinationError            what is shared by name is gone, or cannot be kept; says why
    │   │   └── SessionConnectedError        a session to attach to is in use; says by whom
    │   ├── ProtocolError                    bytes or messages that break the rules; closes that connection only
    │   │   ├── AuthenticationError          the secret is wrong, or the peer is not who it claims to be
    │   │   └── VersionMismatchError         the two sides cannot work together; says what to install
    │   ├── TaskError                        never raised itself
    │   │   ├── WorkerCrashedError           the task killed its process; carries the death certificates
    │   │   ├── DataLostError                a result is gone and must not or cannot be made again
    │   │   ├── TaskTimeoutError             the task ran longer than it was allowed to
    │   │   ├── TaskOverrunError             (both) so long that its process had to be ended; carries the certificates
    │   │   ├── ResultError                  the result could not be pickled or loaded
    │   │   ├── WaitingLimitError            too many tasks of one worker wait; raised inside the next one
    │   │   └── RemoteError                  stands in for a user's exception that cannot be loaded here
    │   ├── StorageError (also OSError)      data cannot be kept on this host; says where and why
    │   │   ├── StorageFullError             there is no room for it; says its size and what is free
    │   │   └── JournalError                 the scheduler's records cannot be used: in use, too new, not writable
    │   ├── PackingError (also TypeError)    a function or an argument cannot be pickled; raised by `submit`
    │   ├── CaptureError                     a `%%distributed` cell cannot be sent as it is
    │   ├── DatasetError (also KeyError)     there is no dataset of that name, or there is one already
    │   ├── UsageError (also ValueError)     a call or a magic that makes no sense; says what would
    │   └── InternalError                    never raised itself; a bug of this package
    │       ├── TransitionError              a state change outside the table; nothing was changed
    │       └── InvariantError               a table of a core contradicts another
    └── concurrent.futures.CancelledError
        └── FutureCancelledError             the future was cancelled; says by what

A user's own exception keeps its own type: it is raised as it was, with the traceback of the worker.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Sequence


class JupyterDistError(Exception):
    """Base of every error of this package."""


class ClusterError(JupyterDistError):
    """Base of the errors about a cluster as a whole."""


class NoClusterError(ClusterError):
    """There is no cluster to connect to."""


class ClusterStartError(ClusterError):
    """A cluster did not come up."""


class ClusterClosedError(ClusterError, RuntimeError):
    """The cluster, or this executor's connection to it, is gone. As in `concurrent.futures`, it is a RuntimeError."""


class ClusterStateError(ClusterError):
    """What was asked needs a cluster in another state: its name is taken, or it does not run."""


class WorkerGoneError(ClusterError):
    """A worker died, left or fell silent while it was asked something outside scheduling."""


class CoordinationError(ClusterError):
    """What is shared by name is gone (by a restart, or a lease that ran out), or the cluster cannot keep more of it."""


class SessionConnectedError(ClusterError):
    """A session that was to be attached to is not lost: another process is connected under its name."""


class ProtocolError(JupyterDistError):
    """A peer sent bytes or messages that break the rules. Only that connection is closed."""


class AuthenticationError(ProtocolError):
    """A peer did not prove that it knows the cluster's secret."""


class VersionMismatchError(ProtocolError):
    """Two sides speak versions that cannot work together."""


class TaskError(JupyterDistError):
    """Base of the errors a task meets that are not its own exception."""


class WorkerCrashedError(TaskError):
    """The task killed the process that ran it, more often than is allowed.

    Attributes
    ----------
    certificates : tuple of jupyter_dist.messages.DeathCertificate
        One for each process that died while running the task, oldest first.
    """

    def __init__(self, text: str, certificates: Sequence[object] = ()) -> None:
        super().__init__(text)
        self.certificates = tuple(certificates)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.certificates)


class DataLostError(TaskError):
    """A result or scattered data is gone, and it cannot or must not be made again."""


class TaskTimeoutError(TaskError):
    """A task ran longer than its ``timeout`` allows."""


class TaskOverrunError(WorkerCrashedError, TaskTimeoutError):
    """A task ran longer than its ``timeout`` allows, in code that cannot be interrupted: its process was ended.

    Attributes
    ----------
    certificates : tuple of jupyter_dist.messages.DeathCertificate
        One for each process that was ended for it or died while running it, oldest first.
    """


class ResultError(TaskError):
    """A result could not be pickled on its worker, or could not be loaded here."""


class WaitingLimitError(TaskError):
    """More tasks of one worker wait for something of the cluster than may. Raised in the task, where it waits."""


class RemoteError(TaskError):
    """A user's exception that cannot be loaded in this process: its type's name, text and traceback survive."""


class StorageError(JupyterDistError, OSError):
    """Data cannot be kept on this host."""


class StorageFullError(StorageError):
    """There is no room for so much data: in the host's object store, or on a worker whose memory and disk are full."""


class JournalError(StorageError):
    """The journal of a scheduler cannot be used: another has it open, a newer version wrote it, or it has no place."""


class PackingError(JupyterDistError, TypeError):
    """A function or an argument cannot be pickled. Raised by `submit`, before anything is sent."""


class CaptureError(JupyterDistError):
    """A distributed cell cannot be sent: an unknown name, an unpicklable one, or one that is too large."""


class DatasetError(JupyterDistError, KeyError):
    """There is no published dataset of that name, or there is one already."""

    def __str__(self) -> str:
        return Exception.__str__(self)  # a KeyError puts its text in quotes


class UsageError(JupyterDistError, ValueError):
    """A call that makes no sense as it is. The text says what would."""


class InternalError(JupyterDistError):
    """Base of the errors that are bugs of this package."""


class TransitionError(InternalError):
    """A state change that is not in the table was asked for. Nothing was changed."""


class InvariantError(InternalError):
    """Two tables of a core contradict each other."""


class FutureCancelledError(concurrent.futures.CancelledError):
    """The future was cancelled; the text says by what."""
