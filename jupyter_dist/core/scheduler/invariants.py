"""What must always hold between the scheduler's tables. Checked after every event in the simulator, never in use.

Each check is named after what it asserts and yields one sentence for each contradiction.
"""

from collections import Counter
from collections.abc import Iterator

from jupyter_dist.core.resources import ROUNDING
from jupyter_dist.core.scheduler.arcs import ACTIVE, ERRED, MEMORY, PROCESSING, QUEUED, RELEASED, WAITING
from jupyter_dist.core.scheduler.coordination.checks import coordination_agrees
from jupyter_dist.core.scheduler.placement import restriction, suits
from jupyter_dist.core.scheduler.queues import is_live
from jupyter_dist.core.scheduler.records import Member, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.errors import InvariantError

ROUNDING_S = 1e-6


def check(state: State) -> None:
    """Raise InvariantError with everything that contradicts."""
    faults = [fault for rule in RULES for fault in rule(state)]
    if faults:
        raise InvariantError("; ".join(faults[:10]))


def counts_agree(state: State) -> Iterator[str]:
    """Every counter equals what counting gives."""
    counted = Counter(task.state for task in state.tasks.values())
    for name, count in state.counts.items():
        if counted.get(name, 0) != count:
            yield f"{count} tasks are said to be {name}, {counted.get(name, 0)} are"
    inline = sum(len(task.value or b"") for task in state.tasks.values())
    if inline != state.inline_bytes:
        yield f"{state.inline_bytes} inline bytes noted, {inline} held"


def prints_agree(state: State) -> Iterator[str]:
    """Keep prints of known tasks alone, and within their bounds."""
    kept = {key: sum(len(text) for _, text in state.prints.of(key)) for key in state.prints.keys()}  # noqa: SIM118  # no dict
    if sum(kept.values()) != state.prints.chars:
        yield f"{state.prints.chars} characters of prints noted, {sum(kept.values())} kept"
    for key, chars in kept.items():
        if key not in state.tasks:
            yield f"what {key} printed is kept, and nobody knows it"
        if chars > state.settings.output_bytes_max:
            yield f"{chars} characters that {key} printed are kept"


def edges_agree(state: State) -> Iterator[str]:
    """Dependencies and dependents mirror each other; missing and consumers are what counting gives."""
    for task in state.tasks.values():
        missing = sum(dependency.state != MEMORY for dependency in task.dependencies)
        if missing != task.missing:
            yield f"{task}: {task.missing} inputs noted as missing, {missing} are"
        consumers = sum(other.state in ACTIVE for edges in (task.dependents, task.keepers) for other in edges or ())
        consumers += len(task.speakers or ())
        if consumers != task.consumers:
            yield f"{task}: {task.consumers} consumers noted, {consumers} are"
        for dependency in task.dependencies:
            if task not in (dependency.dependents or ()):
                yield f"{dependency} does not know its dependent {task}"
        for held in task.held:
            if task not in (held.keepers or ()):
                yield f"{held} does not know its keeper {task}"
        yield from _speaking_agrees(state, task)
        for needed in task.needs:
            if state.tasks.get(needed.key) is not needed:
                yield f"{task} needs {needed}, which is not in the tables"


def _speaking_agrees(state: State, task: Task) -> Iterator[str]:
    for spoken in task.speaks_of:
        if state.tasks.get(spoken.key) is not spoken or task not in (spoken.speakers or ()):
            yield f"{task} speaks of {spoken}, which does not know of it"
    for speaker in task.speakers or ():
        if task not in speaker.speaks_of:
            yield f"{task} is not spoken of by {speaker}"
    if task.speaks_of and not task.is_needed:
        yield f"{task} speaks of {task.speaks_of[0]} and is not needed"


def states_are_justified(state: State) -> Iterator[str]:
    """Find tasks that are not in their state for the reason that state stands for."""
    doubtful = state.doubtful  # while workers are waited for that may bring it
    for task in state.tasks.values():
        where = task.state
        if where == WAITING and not task.missing:
            yield f"{task} waits for nothing"
        if where == WAITING and any(
            other.state in (ERRED, RELEASED) and other not in doubtful for other in task.dependencies
        ):
            yield f"{task} waits for an input that nobody makes"
        if where == QUEUED and task.missing:
            yield f"{task} is queued without its inputs"
        yield from _contents_agree(task)
        if where != RELEASED and not task.is_needed:
            yield f"{task} is needed by nobody"
        if where == RELEASED and not task.is_lineage and not (task in doubtful and task.is_needed):
            yield f"{task} should be forgotten"
        if where == RELEASED and task.is_needed and task not in doubtful:
            yield f"{task} is needed and nobody makes it"


def _contents_agree(task: Task) -> Iterator[str]:
    if (task.state == PROCESSING) != (task.member is not None):
        yield f"{task} and its worker {task.member} contradict"
    if (task.state == MEMORY) != (task.value is not None or bool(task.stored) or bool(task.holders)):
        yield f"{task}: value {task.value is not None}, stored {task.stored!r}, holders {task.holders}"
    if (task.state == ERRED) != (task.error is not None):
        yield f"{task}: error {task.error}"


def workers_agree(state: State) -> Iterator[str]:
    """Tasks and workers tell the same about who processes and who holds what."""
    for incarnation, member in state.members.items():
        if member.incarnation != incarnation:
            yield f"{member} is filed under {incarnation}"
        for attempt, task in member.current().items():
            if task.attempt != attempt or task.member is not member or task.state != PROCESSING:
                yield f"{member} has attempt {attempt} of {task}, which says otherwise"
        for task in member.held:
            if member not in task.holders or task.state != MEMORY:
                yield f"{member} holds {task}, which says otherwise"
        yield from _attempts_agree(member)
        yield from _resources_agree(member)
        yield from _pools_agree(state, member)
    alive = set(state.members.values())
    for task in state.tasks.values():
        if not alive.issuperset(task.holders) or (task.member is not None and task.member not in alive):
            yield f"{task} mentions a worker that is gone"


def workers_are_there(state: State) -> Iterator[str]:
    """Look for workers that know nothing of what tasks say of them, and for such as are gone and still chosen from."""
    for task in state.tasks.values():
        if any(task not in member.held for member in task.holders):
            yield f"{task} is said to be held by {task.holders}, one of which says otherwise"
        if task.member is not None and task.member.current().get(task.attempt) is not task:
            yield f"{task} is said to run as attempt {task.attempt} on {task.member}, which says otherwise"
    alive = set(state.members.values())
    pools = {*state.idle, *state.open, *state.laden, *state.reserved, *state.member_at.values()}
    if not alive.issuperset(pools):
        yield f"workers that are gone are still chosen from: {pools - alive}"
    fenced = [member for member in alive if (member.name, member.pid) in state.fenced]
    if fenced:
        yield f"{fenced} were replaced, and are there"


def _attempts_agree(member: Member) -> Iterator[str]:
    if member.zombies & member.processing.keys():
        yield f"{member}: an attempt is a zombie and current"
    if member.waiting.keys() & (member.zombies | member.processing.keys()):
        yield f"{member}: an attempt waits and has a slot"
    if member.solo is not None and member.solo in member.waiting.values():
        yield f"{member}: is kept for {member.solo}, which waits"
    if not member.withdrawing <= member.processing.keys():
        yield f"{member}: withdraws what it does not have"
    if member.occupancy_s < -ROUNDING_S:
        yield f"{member}: occupancy {member.occupancy_s}"


def _resources_agree(member: Member) -> Iterator[str]:
    current = member.current()
    held = {
        attempt: task.options.resources if member.holding.get(attempt) != () else ()  # it came back ended
        for attempt, task in current.items()
        if task.options.resources
    }
    kept = {attempt: amounts for attempt, amounts in member.holding.items() if attempt in current}
    if not member.holding.keys() <= {*current, *member.zombies, *member.waiting}:
        yield f"{member}: resources {member.holding} are held by attempts it does not have"
    if kept != held:
        yield f"{member}: resources {kept} noted, {held} are held"
    for name, left in member.free().items():
        if left < -ROUNDING * member.resources.get(name, 0.0):
            yield f"{member}: {left} of {name} are free"


def _pools_agree(state: State, member: Member) -> Iterator[str]:
    usable = member.state == "running" and not member.is_paused and member.solo is None
    if (member in state.idle) != (usable and member.load < member.slots):
        yield f"{member}: idle {member in state.idle} with {member.load} of {member.slots} slots"
    if (member in state.laden) != (member.load > member.slots):
        yield f"{member}: laden {member in state.laden} with {member.load} of {member.slots} slots"
    if member in state.open and (member in state.idle or not usable):
        yield f"{member}: in hand and idle at once"
    if member in state.open and member in state.reserved:
        yield f"{member}: reserved, and open for more"


def sessions_agree(state: State) -> Iterator[str]:
    """Clients' wishes and tasks' sessions mirror each other."""
    owners = [*state.sessions.values(), state.coordination.keeper]
    for session in owners:
        for task in session.wants:
            if session not in task.sessions or state.tasks.get(task.key) is not task:
                yield f"session {session.name} wants {task}, which says otherwise"
        nameless = session.names.keys() - {task.key for task in session.wants}
        if nameless:
            yield f"session {session.name} has names for {sorted(nameless)}, which it does not want"
    known = {*owners, *state.keepers.values()}
    for task in state.tasks.values():
        if not known.issuperset(task.sessions):
            yield f"{task} is wanted by a session that is gone"


def keepers_agree(state: State) -> Iterator[str]:
    """Keepers want what is fired and forgotten as long as it is not done."""
    for session_id, keeper in state.keepers.items():
        if not keeper.wants or keeper.id != session_id:
            yield f"keeper {session_id} keeps nothing, or is filed wrongly"
        for task in keeper.wants:
            if keeper not in task.sessions or task.state in (MEMORY, ERRED) or state.tasks.get(task.key) is not task:
                yield f"{task} is kept though it is done, or does not know it"


def functions_agree(state: State) -> Iterator[str]:
    """Compare functions with the tasks that call them: one without tasks is among the idle ones."""
    calls = Counter(task.function.id for task in state.tasks.values() if task.function)
    for function_id, entry in state.functions.items():
        if entry.tasks != calls.get(function_id, 0) or (not entry.tasks) != (function_id in state.idle_functions):
            yield f"function {entry.body.label}: {entry.tasks} tasks noted, {calls.get(function_id, 0)} are"
    if not state.functions.keys() >= calls.keys():
        yield "a task calls a function that is not known"


def work_is_conserved(state: State) -> Iterator[str]:
    """Nothing is queued while a worker that may run it has a free slot."""
    if state.recover_until_s is not None:
        return  # workers of the scheduler before are waited for
    if state.idle and any(map(is_live, state.queue)):
        yield f"{len(state.queue)} tasks queued although {len(state.idle)} workers are idle"
    for queue in state.restricted.values():
        task = next((entry[3] for entry in queue if is_live(entry)), None)
        names = () if task is None else restriction(state, task.options)
        if task is not None and any(suits(member, names, task.options.resources) for member in state.idle):
            yield f"{task} queued although a worker that may run it is idle"
    for suspect, apart in state.suspects.items():
        names, needed = restriction(state, suspect.options), suspect.options.resources
        if apart is None and any(not member.load and suits(member, names, needed) for member in state.idle):
            yield f"{suspect}, a suspect, is queued although a worker it could have to itself is empty"


def once_agrees(state: State) -> Iterator[str]:
    """Find what is not run twice and is on its way again although its code began, or nobody knows."""
    in_doubt = state.once.in_doubt
    for task in state.tasks.values():
        spent = task.spent
        if task.options.once and task.state == PROCESSING and (spent is None or spent.attempt != task.attempt):
            yield f"{task} is with a worker, and {spent} is noted"
        if task.state in (WAITING, QUEUED) and (spent is not None) != (task in in_doubt):
            yield f"{task} is on its way, in doubt {task in in_doubt}, and {spent} is noted"
    if any(task.state not in (WAITING, QUEUED) for task in in_doubt):
        yield f"{list(in_doubt)} are in doubt"
    for attempt, unsent in state.once.unsent.items():
        if unsent.task.attempt != attempt or unsent.task.member is not unsent.member:
            yield f"attempt {attempt} of {unsent.task} is to be sent, which says otherwise"


def store_agrees(state: State) -> Iterator[str]:
    """No object of the store is freed while a task's value is in it."""
    used = {task.stored for task in state.tasks.values() if task.stored}
    if not used.isdisjoint(state.freed):
        yield f"freed and in use: {sorted(used.intersection(state.freed))}"


def copies_agree(state: State) -> Iterator[str]:
    """Look for copies of what is not there, and for jobs that wait for nothing."""
    moves = state.moves
    alive = set(state.members.values())
    for copy in moves.copies.values():
        task, target = copy.task, copy.target
        if (
            task.state != MEMORY
            or state.tasks.get(task.key) is not task
            or not alive.issuperset({copy.maker, copy.source})
        ):
            yield f"{copy} is of what is not there"
        if target is not None and (target.state != "running" or task in target.held):
            yield f"{copy} is made for nobody"
        if moves.of_task.get(task, {}).get(target) is not copy or not copy.jobs:
            yield f"{copy} is filed wrongly"
    making = Counter(copy.maker for copy in moves.copies.values())
    coming = Counter[Member]()
    for copy in moves.copies.values():
        if copy.target is not None:
            coming[copy.target] += copy.nbytes
    if making != moves.making or coming != moves.coming_bytes:
        yield f"copies are counted wrongly: {moves.making}, {moves.coming_bytes}"
    yield from _jobs_agree(state)


def _jobs_agree(state: State) -> Iterator[str]:
    moves = state.moves
    flying = Counter(job for copy in moves.copies.values() for job in copy.jobs)
    for job in (*moves.jobs, *moves.leaving.values()):
        if job.flying != flying[job]:
            yield f"{job} waits for {job.flying} copies, {flying[job]} are under way"
    for job in moves.jobs:
        if not job.flying and not (job.todo and moves.copies):
            yield f"{job} waits for nothing"
    for member, retirement in moves.leaving.items():
        is_unwritten = state.ledger.written < retirement.saved
        is_waiting = is_unwritten or retirement.flying or member.is_at_work or (retirement.todo and moves.copies)
        if member.state == "retiring" and not is_waiting and (retirement.ends or not retirement.is_out):
            yield f"{member} should have left"
    for member in state.members.values():
        if member.state == "retiring" and member not in moves.leaving:
            yield f"{member} retires and nobody knows"
    if not set(moves.leaving) <= set(state.members.values()):
        yield "a worker leaves that is not there"


def code_agrees(state: State) -> Iterator[str]:
    """Compare the bytes noted of users' code with what counting gives; nobody waits for a worker that is gone."""
    table = state.code
    kept = sum(len(entry.file.body) for entry in table.entries.values())
    if kept != table.total_bytes:
        yield f"{table.total_bytes} bytes of code noted, {kept} kept"
    for pending in table.pending:
        if not state.members.keys() >= pending.waiting.keys():
            yield f"request {pending.request} waits for workers that are gone"


def ledger_agrees(state: State) -> Iterator[str]:
    """Every record in the journal that tasks share is there for as many as need it, and none is for nobody."""
    for name in ("submission", "batch"):
        groups = Counter(group for task in state.tasks.values() if (group := getattr(task, name)) is not None)
        yield from (
            f"{name} {group.key}: {group.live}, not {count}" for group, count in groups.items() if group.live != count
        )
    shared = {group for task in state.tasks.values() for group in (task.submission, task.batch) if group is not None}
    wasted = sum(group.nbytes - group.share * group.live for group in shared)
    if wasted != state.ledger.wasted_bytes:
        yield f"{state.ledger.wasted_bytes} bytes noted that nobody needs in the journal, there are {wasted}"
    for task in state.tasks.values():
        if task.batch is not None and task.state != MEMORY:
            yield f"{task} has a value in the journal"
    if strangers := state.ledger.row_keys() - state.tasks.keys():
        yield f"the journal has records of {sorted(strangers)}"


RULES = (
    copies_agree,
    counts_agree,
    edges_agree,
    prints_agree,
    states_are_justified,
    workers_agree,
    workers_are_there,
    sessions_agree,
    keepers_agree,
    functions_agree,
    work_is_conserved,
    store_agrees,
    once_agrees,
    code_agrees,
    ledger_agrees,
    coordination_agrees,
)
