"""Connections that send nothing, a process by itself: ``python silent_crowd.py URL COUNT``.

Whoever is turned away comes again within a second, until the process is killed.
"""

from __future__ import annotations

import random
import resource
import selectors
import socket
import sys
import time
from urllib.parse import urlsplit


def main(url: str, count: str) -> None:
    """Hold so many connections to the server at ``url``."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    parts = urlsplit(url)
    there = selectors.DefaultSelector()
    due = [0.0] * int(count)
    while True:
        now = time.monotonic()
        waiting = [moment for moment in due if moment > now]
        for _ in range(len(due) - len(waiting)):
            each = socket.socket()
            each.setblocking(False)
            each.connect_ex((parts.hostname, parts.port))
            there.register(each, selectors.EVENT_READ)
        due = waiting
        for key, _ in there.select(0.05):
            there.unregister(key.fileobj)
            key.fileobj.close()  # pyright: ignore[reportAttributeAccessIssue]
            due.append(time.monotonic() + random.uniform(0.2, 1.0))


if __name__ == "__main__":
    main(*sys.argv[1:])
