"""What a user's process holds: the Executor, its Futures, and the session with the scheduler behind them.

Runs in a kernel, a script, a task or the Jupyter server. The session lives in an event loop of its own thread; nothing
depends on the kernel's loop. May import `launch` and every floor below, never `notebook` or `server`.
"""
