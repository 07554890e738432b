"""Files of Python code: which of them are local, what they import, in which version they are.

*Local* is what its user edits: a ``.py`` file that is not of the standard library, in no ``site-packages`` or
``dist-packages``, not part of an installed distribution and not of this package. An editable install outside these is
local. Client and worker ask here by the same rules; nothing here imports a module or runs a user's code.

This floor imports the standard library alone.
"""
