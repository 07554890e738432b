"""Memory and files that the processes of one host share, or that outlive one. Nothing here knows of tasks, connections or event loops.

* `store`: the host's object store, what clients and workers use: large data, written once, mapped by everybody.
* `shared`: one folder of it, and the rules that keep others out and the half-written from being seen.
* `object_file`: what is in one file. `draft`: a file before it has its name. `mapping`: files as read-only memory.
* `places`: where the folders are, how they are made, swept and removed. `room`: how much more they can take.
* `spill`: what a worker keeps on the disk for want of memory.
* `hold`: a lock on a folder or a file that the system takes back when its holder dies. `name_lock`: the same for a
  name, with a wait.
* `page`: the page a worker shares with its nanny.
* `journal`: what a scheduler must find again after its death. `journal_file`: the table it is kept in;
  `journal_recovery`: reading it again, whole or damaged.

It may import `protocol` and the floors below; `comm` is on the same floor and neither knows the other.
"""
