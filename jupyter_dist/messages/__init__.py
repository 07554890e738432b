"""Records that cross a boundary: what one process says to another, and nothing else.

Every record is a `msgspec.Struct`: frozen, tagged by a small number, sent as an array in MessagePack. A record holds
plain values. A user's bytes are in it as opaque ``bytes`` that only a client or a worker ever unpickles. Records have
no methods that decide anything; what may follow what is the business of `core`.

Rules: a field is never removed or reordered within a protocol version; a tag is never used twice on one link; the
unions at the end of each module are what a decoder for that link and direction accepts, and all it accepts.

This package imports `msgspec` and nothing of ours.
"""

from jupyter_dist.messages.assignment import (
    AssignedTask,
    AssignTask,
    AttemptGoesOn,
    AttemptWaits,
    DropFunctions,
    FreeKeys,
    FromWorker,
    FunctionBody,
    InputMissing,
    SetInlineMax,
    StopAttempt,
    TaskErred,
    TaskFinished,
    TaskInput,
    TaskOutput,
    ToWorker,
    Withdraw,
    Withdrawn,
    WorkerSample,
)
from jupyter_dist.messages.base import STORE, DeathCertificate, ErrorInfo, Message, Record
from jupyter_dist.messages.code import CodeFile, CodeReplaced, CodeTaken, DescribeVersions, PutCode, TakeCode
from jupyter_dist.messages.coordination import (
    AcquireLease,
    ClaimedKey,
    ClaimParcels,
    Coordinated,
    CoordinationRequest,
    CountItems,
    CountLeases,
    GetValue,
    GiveUpRequest,
    ListValues,
    MentionedFuture,
    NamedParcel,
    Parcel,
    PutItem,
    ReleaseLease,
    SetValues,
    TakeItems,
    UnsetValue,
)
from jupyter_dist.messages.handshake import (
    PROTOCOL_VERSION,
    HeldResult,
    Kept,
    OpenSession,
    Refused,
    RegisterNanny,
    RegisterWorker,
    Welcome,
)
from jupyter_dist.messages.journal import (
    CodeRecord,
    DataRecord,
    HostRecord,
    JournalRecord,
    KeepRecord,
    NamesRecord,
    ResultEntry,
    ResultsRecord,
    SessionRecord,
    SubmissionRecord,
    TrialsRecord,
    WantRecord,
)
from jupyter_dist.messages.observation import (
    AdaptView,
    ClusterSnapshot,
    ErrorView,
    FunctionView,
    Observation,
    TaskEvent,
    TaskExplanation,
    TaskHome,
    TaskView,
    Unwatch,
    Watch,
    WorkerView,
)
from jupyter_dist.messages.submission import (
    AdaptCluster,
    Answer,
    Cancel,
    ClaimWishes,
    CloseSession,
    ClusterStopped,
    Describe,
    DescribeSessions,
    DescribeTasks,
    Explain,
    FromClient,
    KeepTasks,
    KeyCancelled,
    KeyErred,
    KeyFinished,
    KeyLost,
    KeyName,
    KeyOutput,
    KeyWish,
    MissingValue,
    NameKeys,
    Ping,
    PutValue,
    Release,
    RestartCluster,
    RetryKeys,
    ScaleCluster,
    SessionView,
    StopAdapting,
    StopCluster,
    Submit,
    TakeOver,
    TaskOptions,
    TaskSpec,
    ToClient,
    WantedKey,
    WantKeys,
)
from jupyter_dist.messages.supervision import (
    EndWorkers,
    FreeObjects,
    FromNanny,
    KeepObjects,
    ProcessPulse,
    Pulse,
    ReplaceWorkers,
    SetWorkers,
    StopHost,
    ToNanny,
    WorkerDied,
)
from jupyter_dist.messages.transfer import (
    Fetch,
    Found,
    FromCaller,
    FromHolder,
    NotFound,
    Ran,
    ReadStacks,
    RunCall,
    RunningStack,
    Stacks,
    ToCaller,
    ToHolder,
)

__all__ = [name for name in dir() if name[0].isupper()]
