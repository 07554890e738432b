"""The first thing the fork server loads: it ties its own life to the nanny's, then lets go of the terminal.

Importing this module acts, because a fork server runs nothing of ours but imports. Nobody else may import it.
"""

from jupyter_dist.processes.lifeline import die_with_parent

die_with_parent()
