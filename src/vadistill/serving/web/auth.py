"""Who may use the console: passwords, the API's token, sessions, and delays after wrong ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import secrets
import threading
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from vadistill.errors import ConfigError
from vadistill.serving.config import ServerSettings, Settings

IDLE_SECONDS = 12 * 3600.0
LIFE_SECONDS = 7 * 24 * 3600.0
SESSIONS = 256
"""Sessions that are kept; the one unused for longest goes first."""

SHORTEST, LONGEST = 8, 1024
"""Characters of a password."""

COST = (2**15, 8, 1)
"""scrypt's n, r and p: 32 MiB and about a tenth of a second."""


def hash_password(password: str) -> str:
    """``scrypt$n$r$p$salt$hash`` of a new password; raises ConfigError if it is too short."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise ConfigError(
            f"a password of {len(password)} characters",
            expected=f"{SHORTEST} to {LONGEST}",
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
    return len(password) <= LONGEST and hmac.compare_digest(_scrypt(password, salt, n, r, p), key)


def new_token() -> str:
    """A bearer token of 256 random bits."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """What the settings keep of a token: its SHA-256 in hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


def verify_token(token: str, stored: str) -> bool:
    """Whether ``token`` is the one that ``stored`` was made of."""
    return bool(stored) and hmac.compare_digest(hash_token(token), stored.lower())


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``."""
    name = host.strip("[]").rstrip(".").lower()
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return name == "localhost"


def require_secret(settings: Settings) -> None:
    """Raise ConfigError when others reach the console and no password or token protects it."""
    server = settings.server
    if server.password:
        _parts(server.password)
    if server.token and not _is_hash(server.token):
        raise ConfigError(
            "server.token is no SHA-256",
            expected="64 hexadecimal digits, not the token itself",
            fix="printf %s TOKEN | sha256sum",
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


def csrf_token(cookie: str) -> str:
    """What a page must send beside the cookie; other sites can read neither."""
    return hmac.new(cookie.encode(), b"csrf", hashlib.sha256).hexdigest()


class SignInDelay:
    """Seconds that an address must wait after wrong passwords: 1, 2, 4 … 900 from the fourth on."""

    FREE, HIGHEST, ADDRESSES = 3, 900.0, 4096

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._tries: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def begin(self, address: str) -> float:
        """Seconds still to wait; at 0 the attempt is counted as wrong until ``succeeded``."""
        key, now = _network(address), self._clock()
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
            self._tries.pop(_network(address), None)


class Access:
    """The server's secrets, and who has shown one of them."""

    def __init__(self, server: ServerSettings) -> None:
        self.server = server
        self.required = bool(server.password or server.token)
        self.sessions, self.delay = Sessions(), SignInDelay()
        # Each check takes 32 MiB: one at a time.
        self._checking = threading.Lock()

    def sign_in(self, password: str, address: str) -> tuple[str | None, float]:
        """A new session's cookie, or None and the seconds until the next attempt may be made.

        Where only a token is set, it is the password.
        """
        wait = self.delay.begin(address)
        if wait > 0:
            return None, wait
        with self._checking:
            if self.server.password:
                right = verify_password(password, self.server.password)
            else:
                right = verify_token(password, self.server.token)
        if not right:
            return None, 0.0
        self.delay.succeeded(address)
        return self.sessions.start(), 0.0


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


def _network(address: str) -> str:
    """An address; of IPv6 the part that one household or server has."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else str(ip)
