"""A folder's MP4 files, one after another for an hour, as one; nothing is encoded anew.

    python film.py FOLDER FILM.mp4

For a test camera, whose pictures should not begin anew with every viewer.
"""

from __future__ import annotations

import sys
from itertools import cycle
from pathlib import Path

import av

HOUR = 3600.0


def joined(folder: Path, film: Path, seconds: float = HOUR) -> None:
    """Write the film, whole or not at all; all files are of one size and codec."""
    files = sorted(folder.glob("*.mp4"))
    if not files:
        sys.exit(f"{folder} has no .mp4 files: render them with 'vadistill data walkway'")
    part = film.with_suffix(".part.mp4")
    begin = 0
    with av.open(str(part), "w") as out:
        stream = None
        for file in cycle(files):
            with av.open(str(file)) as source:
                video = source.streams.video[0]
                stream = stream or out.add_stream_from_template(video)
                assert video.time_base is not None and video.duration is not None
                if begin * video.time_base >= seconds:
                    break
                for packet in source.demux(video):
                    if packet.dts is not None and packet.pts is not None:
                        packet.pts, packet.dts = packet.pts + begin, packet.dts + begin
                        packet.stream = stream
                        out.mux(packet)
                begin += video.duration
    part.rename(film)


if __name__ == "__main__":
    joined(Path(sys.argv[1]), Path(sys.argv[2]))
