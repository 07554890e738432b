"""A recorded journal, and the judge of what is recovered from its files when they are damaged."""

import random
from collections import defaultdict

from jupyter_dist.storage.journal_file import Change, log_file
from jupyter_dist.storage.journal_recovery import recover
from tests.storage.journals import NAME, copy_files


class Story:
    """A small journal as its process' death would leave it, and each state it was in."""

    def __init__(self, folder):
        source = folder / "source"
        source.mkdir(mode=0o700)
        self.states: list[dict[int, dict[str, bytes]]] = [{}]
        chance = random.Random(7)
        table, _finding = recover(source / NAME, 1, 1)
        for number in range(16):
            self.commit(table, self.batch(number, chance))
            if number == 8:
                table.fold()
        self.path = copy_files(source, folder / "copy") / NAME
        table.close()
        self.file, self.log = self.path.read_bytes(), log_file(self.path).read_bytes()
        self.scratch = folder / "scratch"
        self.scratch.mkdir(mode=0o700)

    def batch(self, number, chance):
        """Return changes: new records, replaced ones, large ones, and removals of some."""
        batch = [(1, f"key-{number}-{place}", chance.randbytes(chance.choice((0, 30, 200, 900)))) for place in range(4)]
        if number % 7 == 3:
            batch.append((2, "large", chance.randbytes(9000)))
        known = sorted((kind, key) for kind, of_kind in self.states[-1].items() for key in of_kind)
        batch += [(kind, key, None) for kind, key in chance.sample(known, min(2, len(known)))]
        return batch

    def commit(self, table, batch):
        state = {kind: dict(of_kind) for kind, of_kind in self.states[-1].items()}
        for kind, key, data in batch:
            of_kind = state.setdefault(kind, {})
            of_kind.pop(key, None)
            if data is not None:
                of_kind[key] = data
        table.commit(changes(*batch))
        self.states.append({kind: of_kind for kind, of_kind in state.items() if of_kind})

    def recover(self, file, log):
        """Return what is found in files with these bytes."""
        for path in self.scratch.iterdir():
            path.unlink()
        path = self.scratch / NAME
        path.write_bytes(file)
        if log is not None:
            log_file(path).write_bytes(log)
        table, finding = recover(path, 2, 1)
        table.close()
        finding.records = {kind: of_kind for kind, of_kind in finding.records.items() if of_kind}
        return finding

    def check(self, file, log):
        """Recover, and check that nothing is wrong that is not told; return whether there was damage."""
        finding = self.recover(file, log)
        if finding.damage:
            assert any(is_part(finding.records, state) for state in self.states)
            assert all(len(words) > 40 for words in finding.damage)
            again = self.again()
            assert again.records == finding.records
            assert again.damage == finding.damage  # until somebody took notice
        else:
            assert finding.records in self.states
            assert finding.header is None or finding.header.epoch == 1
        return bool(finding.damage)

    def again(self):
        table, finding = recover(self.scratch / NAME, 3, 1)
        table.close()
        finding.records = {kind: of_kind for kind, of_kind in finding.records.items() if of_kind}
        return finding


def changes(*batch):
    """Return a batch as a table takes it."""
    merged: dict[int, dict[str, Change]] = defaultdict(dict)
    for kind, key, data in batch:
        merged[kind][key] = Change(kind, key, data)
    return merged


def is_part(records, state):
    return all(
        state.get(kind, {}).get(key) == data for kind, of_kind in records.items() for key, data in of_kind.items()
    )
