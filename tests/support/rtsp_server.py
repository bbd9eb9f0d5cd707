"""An RTSP server of GStreamer for tests: MP4 files (H.264), each client from the file's start.

As a program, with the system's Python, which has GStreamer's bindings:
``python3 tests/rtsp_server.py --port 0 name=path.mp4 …`` prints its port and serves
``rtsp://127.0.0.1:PORT/name``.  As a module: ``RtspServer``.
"""

from __future__ import annotations

import argparse
import functools
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

SYSTEM_PYTHON = "/usr/bin/python3"
PROBE = "import gi; gi.require_version('GstRtspServer', '1.0')"


@functools.cache
def missing() -> str:
    """Why there can be no server here; '' if there can."""
    if shutil.which(SYSTEM_PYTHON) is None:
        return "no system Python"
    probe = subprocess.run([SYSTEM_PYTHON, "-c", PROBE], capture_output=True, timeout=20)
    return "no GStreamer RTSP server" if probe.returncode else ""


class RtspServer:
    """The program, running while the block does; ``kill`` and ``start`` keep its port.

    ``over``: the only transport that it knows.  ``password``: what the user 'me' has to give.
    ``once``: each file has one client; for others there is none.
    """

    def __init__(
        self, *, over: str = "", password: str = "", once: bool = False, **files: Path
    ) -> None:
        self.files, self.port = files, 0
        options = {"--over": over, "--password": password}
        self._options = [word for option in options.items() if option[1] for word in option]
        self._options += ["--once"] * once
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> RtspServer:
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.kill()

    def address(self, name: str, userinfo: str = "") -> str:
        """Where a file is served."""
        return f"rtsp://{userinfo}127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Serve, on the same port as before."""
        mounts = [f"{name}={path}" for name, path in self.files.items()]
        command = [SYSTEM_PYTHON, __file__, "--port", str(self.port), *self._options, *mounts]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        """End at once, as a camera does whose power is cut."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def main() -> None:
    """Serve until killed."""
    import gi  # pyright: ignore[reportMissingImports]

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtsp", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import (  # pyright: ignore[reportMissingImports]
        GLib,
        Gst,
        GstRtsp,
        GstRtspServer,
    )

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--over", choices=("tcp", "udp"))
    parser.add_argument("--password")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("mounts", nargs="+", metavar="name=path.mp4")
    arguments = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(arguments.port))
    if arguments.password:
        access, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "me")
        access.add_basic(access.make_basic("me", arguments.password), token)
        server.set_auth(access)
    for mount in arguments.mounts:
        name, _, path = mount.partition("=")
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(
            f'( filesrc location="{path}" ! qtdemux ! h264parse config-interval=-1'
            " ! rtph264pay name=pay0 pt=96 )"
        )
        if arguments.over:
            factory.set_protocols(getattr(GstRtsp.RTSPLowerTrans, arguments.over.upper()))
        if arguments.password:
            allowed = GstRtspServer.RTSPPermissions()
            for what in ("access", "construct"):
                allowed.add_permission_for_role("me", f"media.factory.{what}", True)
            factory.set_permissions(allowed)
        mounts = server.get_mount_points()
        mounts.add_factory(f"/{name}", factory)

        def shown(_: object, media: object, mounts: object = mounts, name: str = name) -> None:
            media.connect("unprepared", lambda _: mounts.remove_factory(f"/{name}"))  # pyright: ignore

        if arguments.once:
            factory.connect("media-configure", shown)
    if not server.attach(None):
        sys.exit("the port is taken")
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
