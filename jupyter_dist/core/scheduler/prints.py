"""What tasks printed, kept with them: whoever wants a task later is told it too, as a kernel after its restart.

Of each task the tail, and of all tasks together what fits: those that have printed nothing for longest go first. It is
not in the journal: the next scheduler knows what is printed from then on.
"""

from collections import OrderedDict, deque

Chunk = tuple[str, str]  # the stream's name, its text


class Prints:
    """The tails of what tasks printed, by key.

    Parameters
    ----------
    task_chars_max, chars_max
        How much is kept of one task, and of all.
    """

    def __init__(self, task_chars_max: int, chars_max: int) -> None:
        self._task_chars_max = task_chars_max
        self._chars_max = chars_max
        self._chunks: OrderedDict[str, deque[Chunk]] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._cut: dict[str, int] = {}
        self.chars = 0

    def __contains__(self, key: str) -> bool:
        """Whether anything is kept of a task."""
        return key in self._chunks

    def add(self, key: str, stream: str, text: str) -> None:
        """Keep what a task printed."""
        printed = len(text)
        text = text[-self._task_chars_max :] if self._task_chars_max else ""
        self._note_cut(key, printed - len(text))
        if not text:
            return
        chunks = self._chunks.setdefault(key, deque())
        self._chunks.move_to_end(key)
        chunks.append((stream, text))
        self._grow(key, len(text))
        while self._sizes[key] > self._task_chars_max:
            self._trim(key, chunks)
        while self.chars > self._chars_max:
            oldest = next(iter(self._chunks))
            lost = self._cut.get(oldest, 0) + self._sizes[oldest]
            self.drop(oldest)
            self._cut[oldest] = lost

    def of(self, key: str) -> tuple[Chunk, ...]:
        """Return what is kept of a task, in the order it was printed."""
        return tuple(self._chunks.get(key, ()))

    def cut(self, key: str) -> int:
        """Return how many characters a task printed before what is kept of it."""
        return self._cut.get(key, 0)

    def drop(self, key: str) -> None:
        """Forget what a task printed."""
        self._cut.pop(key, None)
        if self._chunks.pop(key, None) is not None:
            self.chars -= self._sizes.pop(key)

    def clear(self) -> None:
        """Forget all."""
        self._chunks.clear()
        self._sizes.clear()
        self._cut.clear()
        self.chars = 0

    def keys(self) -> tuple[str, ...]:
        """Return the tasks of which anything is kept."""
        return tuple(self._chunks)

    def _trim(self, key: str, chunks: deque[Chunk]) -> None:
        excess = self._sizes[key] - self._task_chars_max
        stream, text = chunks.popleft()
        if len(text) > excess:
            chunks.appendleft((stream, text[excess:]))
        self._grow(key, -min(excess, len(text)))
        self._note_cut(key, min(excess, len(text)))

    def _note_cut(self, key: str, count: int) -> None:
        if count:
            self._cut[key] = self._cut.get(key, 0) + count

    def _grow(self, key: str, count: int) -> None:
        self._sizes[key] = self._sizes.get(key, 0) + count
        self.chars += count
