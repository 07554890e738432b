"""What starts nannies, and how a cluster that runs is found again.

A launcher starts one nanny and hands it everything down a pipe; the nanny starts the rest. A running cluster is known
by its connection file, which holds its secret and is readable by its owner alone.

* `connection_file`: the files, and which of them tell of a cluster that lives.
* `local`: start, stop and log of a cluster on this host; `host` is what it needs to know of the host.
* `cluster`: `LocalCluster`, the same as an object with an end.

May import `processes` and the floors below; loads neither the Jupyter server nor IPython.
"""
