"""Simulated devices. Each server process has some of them; the world they share may live in another.

A device reaches its world by four things only: its ``parameters``, the ``clock``, the shared ``state`` and the
operations its class marks (`simulators.worlds.operations`), each of which may be a message to another process. What
must act at once, such as `safe`, writes into ``state`` and calls nothing. Importing a device imports no world, so that
its server starts quickly.
"""
