"""A Ray cluster for the length of a block: one of this machine's own, or one that runs already."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator

from vadistill.addresses import redacted
from vadistill.errors import ConfigError, in_a_line, lacking

LOCAL = "local"

OBJECTS = 80 * 2**20
"""Bytes of shared memory for what workers and driver hand each other, which is small: tasks,
events and the frames' scores of one stretch."""

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
"""Nothing is sent to Ray's authors; workers are this Python."""


def check_address(address: str) -> None:
    """Raise ConfigError for what is no cluster's address, or where Ray is not installed."""
    if address not in (LOCAL, "auto") and not re.fullmatch(r"[\w.-]+:\d{1,5}", address):
        raise ConfigError(
            f"a Ray cluster at '{redacted(address)}'",
            expected="HOST:PORT, auto (the one that runs on this machine) or local (its own)",
            fix="correct --ray, or submit the command to the cluster by 'ray job submit'",
        )
    # In tests a module that is None stands for one that is missing.
    with contextlib.suppress(ValueError, ImportError):
        if importlib.util.find_spec("ray") is not None:
            return
    raise lacking("--ray without Ray", "cluster")


@contextlib.contextmanager
def connected(address: str, workers: int | None) -> Iterator[int]:
    """Be connected to a cluster inside; yields how many workers of one core to have there.

    A ``local`` cluster has ``workers`` cores (default: all of this process), speaks to nobody
    without its own secret (unless Ray was imported before), and leaves nothing behind.  A
    connection that there is already is used and stays.  Raises ConfigError where there is no
    cluster, or for a command that Ray cannot be told.
    """
    check_address(address)
    if not _is_text(*sys.argv):
        raise ConfigError(
            "a command that Ray cannot be told, for names in it that are not UTF-8",
            expected="patterns in place of such names",
            fix="pass a pattern such as 'archive/*.mp4', or leave --ray out",
        )
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    with contextlib.ExitStack() as ended:
        if address == LOCAL and "ray" not in sys.modules:
            # Its ports are open to the network, and who may speak to one may run anything.
            # Ray reads whether there is a secret when it is imported, and the secret once.
            os.environ.setdefault("RAY_AUTH_MODE", "token")
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        import ray  # pyright: ignore[reportMissingImports]

        cores = len(os.sched_getaffinity(0))
        if not ray.is_initialized():
            quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
            own = {}
            if address == LOCAL:
                own = {"num_cpus": workers or cores, "object_store_memory": OBJECTS}
                own |= {"include_dashboard": False, "_temp_dir": ended.enter_context(_folder())}
            ended.callback(ray.shutdown)
            # Ray's workers have the folder on their path, unless Ray cannot be told of it.
            folder = os.curdir if _is_text(os.getcwd()) else os.path.abspath(os.sep)
            try:
                with contextlib.chdir(folder):
                    ray.init(address, **own, **quiet)
            except (ConnectionError, RuntimeError, ValueError, OSError) as error:
                raise ConfigError(
                    f"no Ray cluster at {address} that this can join ({in_a_line(error)})",
                    expected="one of the same versions of Ray and Python",
                    fix="start one with 'ray start --head', or leave the address out",
                ) from error
        yield workers or int(ray.cluster_resources().get("CPU", 1)) or 1


def _is_text(*names: str) -> bool:
    """Whether all of them are UTF-8, as names of files need not be."""
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        return False
    return True


def _folder() -> tempfile.TemporaryDirectory[str]:
    """For sockets and logs; paths of sockets may have 107 characters."""
    short = len(tempfile.gettempdir()) < 30
    return tempfile.TemporaryDirectory(
        prefix="vadistill-ray-", dir=None if short else "/tmp", ignore_cleanup_errors=True
    )
