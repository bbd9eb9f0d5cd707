"""The command line: ``vadistill VERB …``, one module a verb.

Only that verb's module is imported, and what all verbs need when one runs: help answers at once.

Imports every room; none imports this one.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vadistill import __version__
from vadistill.addresses import Address, redacted
from vadistill.errors import ConfigError, VadistillError, one_of, printable

VERBS: dict[str, str] = {
    "demo": "render a simulated walkway, learn it, score it, write a report",
    "data": "check a data set, or make a simulated one",
    "pretrain": "train a teacher on labelled images",
    "extract": "turn videos into clip features, kept on disk",
    "fit": "learn what is normal from videos, or what is not from labelled ones",
    "selftest": "plant anomalies into normal footage; say what a model finds",
    "score": "score videos; write tables, a report, annotated video",
    "evaluate": "measure fitted models on a labelled test set",
    "compare": "runs side by side, with intervals of their differences",
    "bench": "how fast fitted models are here, and where the time goes",
    "export": "a fitted model for ONNX Runtime or OpenVINO, and its bare graph",
    "reproduce": "re-run a paper's tables, its figures beside ours",
    "watch": "score live cameras; say when something happens",
    "serve": "the console: cameras, events and models in a browser",
    "weights": "weights that can be named: where from, licence, hash; fetch them",
    "info": "versions and devices, or the facts of a model or video",
}
"""Name and one line of each verb; its module in this package has the same name and a ``run``."""

RESUMABLE = frozenset({"demo", "pretrain", "extract", "fit", "reproduce"})

LIVE = frozenset({"watch", "serve"})

READ_ADDRESSES = frozenset({"watch", "score", "extract", "info"})
"""Verbs that read video from a network, too; all others work on files."""

EXAMPLES = """\
examples:
  vadistill demo
  vadistill data check my_videos/
  vadistill fit cafe normal_videos/ --out entrance.vad
  vadistill score entrance.vad today.mp4 --report today.html --video today_annotated.mp4
  vadistill evaluate entrance.vad --data my_videos/
  vadistill watch rtsp://camera/1 --model entrance.vad
  vadistill serve --demo

'vadistill VERB --help' tells more about a verb."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit status is 0, 2 for a user's error, 130 when interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return dispatch(arguments)
    except VadistillError as error:
        return complain(without_words(str(error), arguments))
    except OSError as error:
        from vadistill.files import DISK_ERRORS

        if isinstance(error, BrokenPipeError):  # such as `vadistill info | head -1`
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        if error.errno not in DISK_ERRORS:
            raise
        message = f"{error.filename or 'the disk'}: {error.strerror}"
        return complain(without_words(message, arguments))
    except KeyboardInterrupt:
        hint = hint_after(arguments[0] if arguments else "")
        print(f"\nvadistill: interrupted; {hint}", file=sys.stderr)
        return 130


def hint_after(verb: str) -> str:
    """What becomes of an interrupted verb's work."""
    if verb in RESUMABLE:
        return "run the same command again to go on where it was"
    if verb in LIVE:
        return "the next start closes the events that were open"
    if verb == "score":
        return "rows of the videos that had ended are kept"
    return "nothing is kept"


def complain(message: str) -> int:
    """One line on stderr; returns the exit status of a user's error."""
    print(f"vadistill: error: {printable(message)}", file=sys.stderr)
    return 2


def warn(message: str) -> None:
    """One line on stderr."""
    print(f"vadistill: warning: {printable(message)}", file=sys.stderr)


def dispatch(arguments: list[str]) -> int:
    """Import the verb's module and hand it the rest of the arguments; raises VadistillError."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        return dispatch([arguments[1], "--help"]) if len(arguments) > 1 else show_help()
    if arguments[0] in ("-V", "--version"):
        print(f"vadistill {__version__}")
        return 0
    verb = one_of("verb", arguments[0], VERBS, fix="see 'vadistill --help'")
    if verb not in READ_ADDRESSES:
        refuse_addresses(verb, arguments[1:])
    if verb not in LIVE:
        from vadistill.devices import keep_freed_memory

        keep_freed_memory()
    _warn_of_what_is_logged()
    module = importlib.import_module(f"vadistill.cli.{verb}")
    try:
        return module.run(arguments[1:]) or 0
    except SystemExit as stop:  # tyro's, after help (0) or a wrong option (2)
        return stop.code if isinstance(stop.code, int) else 1


def refuse_addresses(verb: str, words: Iterable[object]) -> None:
    """Raise ConfigError for an address that a verb would take for a path, password and all."""
    before = ""
    for word in map(str, words):
        address = Address(word.partition("=")[2] if word.startswith("-") else word)
        # An option's value may be a path with a colon and an @, as in boxes:/@data/boxes.csv.
        alone = not word.startswith("-") and not before.startswith("--")
        before = word
        taken = bool(address.scheme) or (alone and not (address.is_path or address.is_webcam))
        if taken and not os.path.exists(address.reveal()):
            raise ConfigError(
                f"'{address}' for a file or folder of 'vadistill {verb}'",
                expected="a path on this machine",
                fix=f"only videos of {', '.join(sorted(READ_ADDRESSES))} may be addresses",
            )


def without_words(message: str, words: Sequence[str]) -> str:
    """A message without the user's words that are addresses, with or without a scheme."""
    for word in words:
        value = word.partition("=")[2] if word.startswith("-") else word
        if redacted(value) != value and not os.path.exists(value):
            for each in (value, str(Path(value))):
                message = message.replace(each, redacted(value))
    return message


def _warn_of_what_is_logged() -> None:
    """Have what the package logs shown as a line on stderr, once a process."""

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            warn(record.getMessage())

    logger = logging.getLogger("vadistill")
    if not logger.handlers:
        logger.addHandler(Lines(logging.WARNING))


def show_help() -> int:
    print("vadistill detects abnormal events in video with small students of large teachers.\n")
    print("usage: vadistill VERB [OPTIONS]\n")
    print_verbs(VERBS)
    print(f"\n{EXAMPLES}")
    return 0


def print_verbs(verbs: Mapping[str, str]) -> None:
    width = max(map(len, verbs)) + 2
    for name, line in verbs.items():
        print(f"  {name:<{width}}{line}")
