"""Guesses of passwords and tokens: how long who guessed wrong must wait, and what is logged."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from vadistill import limits
from vadistill.serving.log_limit import LogLimit
from vadistill.serving.networks import network_of


class SignInDelay:
    """Seconds that an address must wait after wrong guesses: 1, 2, 4 … 900 from the fourth on."""

    FREE, HIGHEST, ADDRESSES = 3, 900.0, 4096

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._tries: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def waiting(self, address: str) -> float:
        """Seconds still to wait."""
        with self._lock:
            return max(0.0, self._tries.get(network_of(address), (0, 0.0))[1] - self._clock())

    def begin(self, address: str) -> float:
        """Seconds still to wait; at 0 the attempt is counted as wrong until ``succeeded``."""
        key, now = network_of(address), self._clock()
        with self._lock:
            count, until = self._tries.get(key, (0, 0.0))
            if until > now:
                return until - now
            # An hour after its last delay an address starts anew.
            count = 1 if now > until + 3600 else count + 1
            wait = 2.0 ** min(count - self.FREE - 1, 20) if count > self.FREE else 0.0
            self._tries[key] = (count, now + min(wait, self.HIGHEST))
            self._tries.move_to_end(key)
            while len(self._tries) > self.ADDRESSES:
                self._tries.popitem(last=False)
            return 0.0

    def succeeded(self, address: str) -> None:
        """Forget the wrong attempts of an address."""
        with self._lock:
            self._tries.pop(network_of(address), None)


class KnownBrowsers:
    """Cookies of browsers that have signed in with these secrets once, which nobody can make up.

    They are waited for by themselves, whatever others at their address, such as a proxy's, guess.
    """

    def __init__(self, *known: str) -> None:
        self._key = hashlib.sha256("\n".join(("browsers", *known)).encode()).digest()

    def new(self) -> str:
        """The cookie of another browser."""
        name = secrets.token_urlsafe(16)
        return f"{name}.{self._mark(name)}"

    def name(self, cookie: str) -> str | None:
        """Which browser a cookie is of; None: it is none of ours."""
        name, _, mark = cookie.partition(".")
        right = hmac.compare_digest(mark.encode(), self._mark(name).encode())
        return name if right else None

    def _mark(self, name: str) -> str:
        return hmac.new(self._key, name.encode(), hashlib.sha256).hexdigest()


class Attempts:
    """Delays of passwords and of tokens, each by itself, and the log of what failed."""

    def __init__(self) -> None:
        self.passwords, self.tokens = SignInDelay(), SignInDelay()
        self._log = LogLimit(limits.SIGN_IN_LINES)

    def failed(self, what: str, address: str, *, wait: float = 0.0) -> None:
        """Log a wrong ``what``, or one that came too soon, and the address it came from."""
        shown = address if address.isprintable() else repr(address)
        if wait > 0:
            line = "sign-in refused: another %s from %s, which must wait for %d s"
            self._log.warning(line, what, shown[:64], int(wait) + 1)
        else:
            self._log.warning("sign-in failed: wrong %s from %s", what, shown[:64] or "nowhere")
