"""How much of anything is taken, and how long anything may take: every limit, with its default.

Each is named where it is kept, docs/security.md lists them, and what an operator would turn is a
setting instead.
"""

from __future__ import annotations

# -- live scoring ------------------------------------------------------------------------------

LEAST_FPS, MOST_FPS = 0.001, 1000.0
"""Frames a second that a source may be capped at, or be said to have."""

FEWEST_ALARMS = 0.0001
"""False alarms a day that levels may be made for: one in 27 years is as good as none."""

LEAST_KEPT = 0.001
"""Days, and gigabytes, that are kept at least."""

LONGEST_CLIP = 120.0
"""Seconds of an event that its clip shows at most, and of what went before."""

CORNERS, POLYGONS = 64, 32
"""Of a mask or zone, and masks or zones of a camera, at most."""

LEAST_FREE = 100_000_000
"""Bytes that the disk of events must have free; with less it is told as failing."""

# -- what is decoded ---------------------------------------------------------------------------

FRAME_PIXELS = 36_000_000
"""Of the largest picture that is decoded, from a camera, a file, a folder or masks."""

ALLOCATION_BYTES = 8 * FRAME_PIXELS + (1 << 20)
"""Of the largest piece of memory that FFmpeg takes at once, whatever a stream says of itself: a
picture of the most pixels, 16 bits in four channels."""

PROBED_BYTES = 5_000_000
"""Of a stream that are read to find out what it is."""

WAITING_BYTES = 128 << 20
"""Of pixels of a camera that wait to be scored.  Of large pictures fewer wait: eight may where they
are below ``KEPT_BYTES``, and ``WAITING`` always."""

WAITING = 2
KEPT_BYTES = 256 << 20
"""Of pixels that a camera keeps as they are until their score is known; older ones as JPEGs."""

KERNEL = 999
"""Side of the largest kernel that pictures are blurred or closed with, in pixels."""

# -- what is fetched ---------------------------------------------------------------------------

FETCHED_BYTES = 1 << 30
"""Of a file of weights whose size was not published."""

FETCH_SECONDS = 30.0
"""Without an answer or a byte, after which a file is given up."""

# -- the web server ----------------------------------------------------------------------------

CONNECTIONS = 384
"""Connections to the console at a time; fewer where descriptors are scarce."""

CONNECTIONS_BY_ADDRESS = 128
"""Of them those of one address (IPv6: one /64)."""

FEWEST_CONNECTIONS = 16
"""That many are taken even where descriptors are scarce."""

ACCEPTED_AT_ONCE = 32
"""Connections that are accepted before those of before are looked at."""

DESCRIPTORS_RESERVED = 128
"""Descriptors that no connection takes: for the store, models, jobs and libraries."""

DESCRIPTORS_A_PART = 8
"""Descriptors reserved for each camera (stream, clip, picture, recording) and each sink."""

REQUEST_SECONDS = 10.0
"""After which a connection without a whole request is closed."""

STALLED_SECONDS = 30.0
"""After which a client that takes nothing of its answer is given up."""

BODY_BYTES = 64 * 1024
"""Of a request, other than an upload."""

BODY_SECONDS = 30.0
"""How long a body of JSON may take to arrive, once its sender has signed in."""

FEEDS = 64
"""Feeds (live pictures, server-sent events) at a time: each holds a thread."""

UPLOADS_AT_ONCE = 2
UPLOAD_STALLED_SECONDS = 60.0
"""Seconds without a byte after which an upload is given up."""

PROBE_SECONDS, PROBE_BYTES = 30.0, 1 << 30
"""What the process may take that decodes an upload's first picture."""

SOURCES_TRIED_AT_ONCE = 2
"""Cameras' addresses that the console tries at a time."""

SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 1024
SHORTEST_TOKEN = 16
"""Characters of a password, and of the API's bearer token."""

SIGN_IN_LINES = 100
"""Failed sign-ins that are logged in a minute; the rest are counted."""
