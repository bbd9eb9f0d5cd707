"""A test camera: an MP4 file (H.264) at ``rtsp://…:8554/walkway``, at its own pace.

    python3 camera.py FILM.mp4 [PORT]

Prints the port that it listens on.  All viewers see the same picture, as of a camera; when the film
ends, it begins anew.  Needs GStreamer's RTSP server and its Python bindings.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gi  # pyright: ignore[reportMissingImports]

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402  # pyright: ignore


def main() -> None:
    """Serve until killed."""
    film, port = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "8554"
    if not film.is_file():
        sys.exit(f"{film} is no file")
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("0.0.0.0")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_shared(True)
    factory.set_launch(
        f'( filesrc location="{film}" ! qtdemux ! h264parse config-interval=-1'
        " ! rtph264pay name=pay0 pt=96 )"
    )
    server.get_mount_points().add_factory("/walkway", factory)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
