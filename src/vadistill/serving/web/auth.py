"""Who may use the console: passwords, the API's token, and sessions."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
import threading
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from vadistill import limits
from vadistill.errors import ConfigError
from vadistill.serving.config import ServerSettings, Settings
from vadistill.serving.networks import is_loopback
from vadistill.serving.web.attempts import Attempts, KnownBrowsers

log = logging.getLogger("vadistill.serving")

IDLE_SECONDS = 12 * 3600.0
LIFE_SECONDS = 7 * 24 * 3600.0
KNOWN_SECONDS = 400 * 24 * 3600.0
"""How long a browser that has signed in is known."""

SESSIONS = 256
"""Sessions that are kept; the one unused for longest goes first."""

COST = (2**15, 8, 1)
"""scrypt's n, r and p: 32 MiB and about a tenth of a second."""


def hash_password(password: str) -> str:
    """``scrypt$n$r$p$salt$hash`` of a new password; raises ConfigError if it is too short."""
    shortest, longest = limits.SHORTEST_PASSWORD, limits.LONGEST_PASSWORD
    if not shortest <= len(password) <= longest:
        raise ConfigError(
            f"a password of {len(password)} characters",
            expected=f"{shortest} to {longest}",
            fix="choose another",
        )
    salt = secrets.token_bytes(16)
    n, r, p = COST
    return "$".join(
        ["scrypt", str(n), str(r), str(p), _text(salt), _text(_scrypt(password, salt, n, r, p))]
    )


def verify_password(password: str, stored: str) -> bool:
    """Whether ``password`` is the one that ``stored`` was made of; raises ConfigError."""
    n, r, p, salt, key = _parts(stored)
    if len(password) > limits.LONGEST_PASSWORD:
        return False
    return hmac.compare_digest(_scrypt(password, salt, n, r, p), key)


def new_token() -> str:
    """A bearer token of 256 random bits."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """What the settings keep of a token: its SHA-256 in hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


def verify_token(token: str, stored: str) -> bool:
    """Whether ``token`` is the one that ``stored`` was made of, and long enough to be one."""
    right = bool(stored) and hmac.compare_digest(hash_token(token), stored.lower())
    if right and len(token) < limits.SHORTEST_TOKEN:
        log.warning(
            "a token of %d characters is refused, as it can be guessed: %d at least; "
            "'vadistill serve --new-token' makes one",
            len(token),
            limits.SHORTEST_TOKEN,
        )
        return False
    return right


def require_secret(settings: Settings) -> None:
    """Raise ConfigError when others reach the console and no password or token protects it."""
    server = settings.server
    if server.password:
        _parts(server.password)
    if server.token and not _is_hash(server.token):
        raise ConfigError(
            "server.token is no SHA-256",
            expected="64 hexadecimal digits, not the token itself",
            fix="make one with 'vadistill serve --new-token', which writes its hash",
        )
    reached = [host for host in (server.host, *server.names) if not is_loopback(host)]
    if reached and not (server.password or server.token):
        raise ConfigError(
            f"others can reach the console at '{reached[0] or '0.0.0.0'}', and it has no password",
            expected="a password or a token beyond this machine",
            fix="set one with 'vadistill serve --set-password', or listen on 127.0.0.1",
        )


@dataclass
class Session:
    """One signed-in browser; times in seconds of the sessions' clock."""

    started: float
    used: float


class Sessions:
    """Signed-in browsers, by the hash of their cookie; a restart signs everybody out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def start(self) -> str:
        """The cookie of a new session."""
        cookie, now = secrets.token_urlsafe(32), self._clock()
        with self._lock:
            self._sessions[hash_token(cookie)] = Session(now, now)
            while len(self._sessions) > SESSIONS:
                self._sessions.popitem(last=False)
        return cookie

    def valid(self, cookie: str, *, touch: bool = True) -> bool:
        """Whether a cookie's session lives; ``touch`` counts this as its use."""
        key, now = hash_token(cookie), self._clock()
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return False
            if now - session.used > IDLE_SECONDS or now - session.started > LIFE_SECONDS:
                del self._sessions[key]
                return False
            if touch:
                session.used = now
                self._sessions.move_to_end(key)
            return True

    def end(self, cookie: str) -> None:
        """Sign a browser out."""
        with self._lock:
            self._sessions.pop(hash_token(cookie), None)

    def end_all(self) -> None:
        """Sign everybody out."""
        with self._lock:
            self._sessions.clear()


def csrf_token(cookie: str) -> str:
    """What a page must send beside the cookie; other sites can read neither."""
    return hmac.new(cookie.encode(), b"csrf", hashlib.sha256).hexdigest()


class Access:
    """The server's secrets, and who has shown one of them.

    ``instance`` tells this console's cookies from those of others on the same host.
    """

    def __init__(self, server: ServerSettings, instance: str = "") -> None:
        self.server = server
        self.cookie = f"vadistill_session_{instance}".rstrip("_")
        self.browser_cookie = f"vadistill_browser_{instance}".rstrip("_")
        self.sessions, self.attempts = Sessions(), Attempts()
        self.browsers = KnownBrowsers(server.password, server.token)
        self.changes = 0
        """How often the secrets were changed since the start."""
        # Each check takes 32 MiB: one at a time.
        self._checking = threading.Lock()

    @property
    def required(self) -> bool:
        """Whether a secret is needed at all."""
        return bool(self.server.password or self.server.token)

    def renew(self, server: ServerSettings) -> None:
        """Take over another password and token, and end all sessions.

        Raises ConfigError, and keeps the old ones, where there would be none or no valid ones.
        """
        if not (server.password or server.token):
            raise ConfigError(
                "the settings have neither of them any more",
                expected="a password or a token, as long as the server runs",
                fix="restart it to do without",
            )
        require_secret(Settings(server=server))
        with self._checking:
            self.server = replace(self.server, password=server.password, token=server.token)
            self.browsers = KnownBrowsers(server.password, server.token)
            self.changes += 1
            self.sessions.end_all()
        log.warning("the password or token was changed: everybody is signed out")

    def sign_in(self, password: str, address: str, browser: str = "") -> tuple[str | None, float]:
        """A new session's cookie, or None and the seconds until the next attempt may be made.

        Where only a token is set, it is the password.  ``browser`` is the cookie of one that has
        signed in before: it does not wait for the wrong guesses of others at its address.
        """
        known = self.browsers.name(browser)
        whose = address if known is None else f"browser {known}"
        wait = self.attempts.passwords.begin(whose)
        if wait > 0:
            self.attempts.failed("password", address, wait=wait)
            return None, wait
        with self._checking:
            if self.server.password:
                right = verify_password(password, self.server.password)
            else:
                right = verify_token(password, self.server.token)
            cookie = self.sessions.start() if right else None
        if cookie is None:
            self.attempts.failed("password", address)
        else:
            self.attempts.passwords.succeeded(whose)
        return cookie, 0.0

    def bearer(self, token: str, address: str) -> tuple[bool, float]:
        """Whether a token is right, and the seconds until the address may try the next."""
        wait = self.attempts.tokens.waiting(address)
        right = wait == 0 and verify_token(token, self.server.token)
        if not right:
            self.attempts.tokens.begin(address)
            self.attempts.failed("token", address, wait=wait)
        return right, wait


def _parts(stored: str) -> tuple[int, int, int, bytes, bytes]:
    try:
        kind, n, r, p, salt, key = stored.split("$")
        cost = int(n), int(r), int(p)
        if kind != "scrypt" or not (2**12 <= cost[0] <= 2**20 and cost[1] <= 16 and cost[2] <= 16):
            raise ValueError
        return *cost, base64.urlsafe_b64decode(salt), base64.urlsafe_b64decode(key)
    except ValueError:
        raise ConfigError(
            "server.password is no hash of a password",
            expected="scrypt$n$r$p$salt$hash, not the password itself",
            fix="set it with 'vadistill serve --set-password'",
        ) from None


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    # One password may be typed as different characters that look the same.
    words = unicodedata.normalize("NFKC", password).encode("utf-8", "replace")
    return hashlib.scrypt(words, salt=salt, n=n, r=r, p=p, maxmem=160 * n * r * p, dklen=32)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def _is_hash(token: str) -> bool:
    return len(token) == 64 and set(token.lower()) <= set("0123456789abcdef")
