"""Memory and files that the processes of one host share. Nothing here knows of tasks, connections or event loops.

* `page`: the page a worker shares with its nanny.

It may import `protocol` and the floors below; `comm` is on the same floor and neither knows the other.
"""
