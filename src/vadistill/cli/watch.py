"""``vadistill watch``: score live cameras and say when something happens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from vadistill.cli import refuse_addresses
from vadistill.cli.outputs import check_outputs
from vadistill.cli.terminal import Device, Mask, parse
from vadistill.errors import ConfigError

EXAMPLES = """
vadistill watch rtsp://camera/1 --model entrance.vad
vadistill watch rtsp://camera/1 webcam:0 --model entrance.vad --mqtt mqtt://broker --fps 6
vadistill watch rtsp://camera/1 --learn 2h --out entrance.vad
vadistill watch entrance.vad today.mp4 --fast
vadistill watch --settings vadistill.toml
"""


def run(argv: list[str]) -> int:
    def watch(
        sources: Annotated[Positional[tuple[str, ...]], arg(metavar="SOURCE...")] = (),
        *,
        model: Annotated[Path | None, arg(metavar="PATH")] = None,
        learn: Annotated[str | None, arg(metavar="TIME")] = None,
        system: str = "auto",
        out: Annotated[Path | None, arg(metavar="MODEL")] = None,
        settings: Annotated[Path | None, arg(metavar="FILE.toml")] = None,
        folder: Annotated[Path | None, arg(metavar="FOLDER")] = None,
        rtsp_transport: Literal["tcp", "udp"] = "tcp",
        fps: Annotated[float | None, arg(metavar="RATE")] = None,
        false_alarms_per_day: float = 1.0,
        on: Annotated[float | None, arg(metavar="SCORE")] = None,
        fast: bool = False,
        skip_idle: bool = False,
        mask: Mask = None,
        webhook: Annotated[str | None, arg(metavar="URL")] = None,
        secret: str = "",
        mqtt: Annotated[str | None, arg(metavar="URL")] = None,
        device: Device = "auto",
    ) -> int:
        """Score live cameras; print each event, as it opens and as it ends: JSON but on a terminal.

        Ends with its sources, or by Ctrl-C.  Streams that are lost are tried again for ever.

        Args:
            sources: rtsp://…, http://… (MJPEG), webcam:0, video files, folders of frames. Without
                --model the first is the model.
            model: A folder that 'vadistill fit' wrote.
            learn: Instead of a model: record the camera for so long (30min, 2h, 1d), fit one to
                that, test it, and watch with it.  The same command again goes on where it was.
            system: What --learn fits: auto, or one by name, as 'vadistill fit' has them.
            out: Where --learn writes the model.
            settings: A file of cameras, models and sinks, as the console writes it, instead.
            folder: Where events and their clips are kept, default vadistill-data.
            rtsp_transport: How RTSP cameras send pictures; some send over udp alone.
            fps: At most so many frames a second of each are scored. Models know motion at the rate
                of their footage: fit on footage of this rate.
            false_alarms_per_day: What the level of events is made for.
            on: Raw score at which events open, instead.
            fast: Read files as fast as they can be scored, not at their own speed.
            skip_idle: Leave out pictures in which nothing moves.
            webhook: Send events there, too (HTTP POST).
            secret: Signs them (HMAC-SHA256).
            mqtt: Send events there, too: mqtt://user:password@host:1883.
            device: auto takes the GPU where there is one.
        """
        from vadistill.cli.watch_learn import planned
        from vadistill.serving.settings_file import read_settings
        from vadistill.serving.watching import (
            check_sinks,
            settings_for,
            warn_if_exposed,
            watch_until_end,
            with_stdout,
        )
        from vadistill.video import read_masks

        refuse_addresses("watch", filter(None, (model, settings, folder, mask, out)))
        if learn is None and (out is not None or system != "auto"):
            raise ConfigError(
                "--out or --system without --learn", expected="--learn TIME", fix="add it"
            )
        if settings is not None:
            alone = (not sources, not webhook, not secret, not mqtt, not fast, not skip_idle)
            alone += (rtsp_transport == "tcp",)
            none = (model, folder, fps, on, mask, learn)
            if not all(alone) or any(v is not None for v in none) or false_alarms_per_day != 1:
                raise ConfigError(
                    "other options beside --settings",
                    expected="the file alone",
                    fix="leave them out, or write them into the file",
                )
            found = with_stdout(read_settings(settings))
            warn_if_exposed(settings)
        else:
            folder, begin = folder or Path("vadistill-data"), None
            if learn is not None:
                own = {"--model": model, "--fps": fps, "--on": on, "--fast": fast or None}
                for option in (name for name, value in own.items() if value is not None):
                    raise ConfigError(
                        f"{option} beside --learn",
                        expected="the camera as it is, and its own model",
                        fix="leave one of them out",
                    )
                begin = planned(
                    sources,
                    learn,
                    system=system,
                    out=out,
                    folder=folder,
                    camera={"rtsp_transport": rtsp_transport, "masks": read_masks(mask)},
                    mask=mask,
                    device=device,
                )
                model = out
            inputs = [Path(source) for source in sources if os.path.exists(source)]
            inputs += filter(None, [model, mask])
            check_outputs(inputs, folders=[("--folder", folder)])
            found = settings_for(
                sources,
                model=model,
                folder=folder,
                camera={
                    "rtsp_transport": rtsp_transport,
                    "fps": fps,
                    "false_alarms_per_day": false_alarms_per_day,
                    "on": on,
                    "fast": fast,
                    "skip_idle": skip_idle,
                    "masks": read_masks(mask),
                },
                webhook=(webhook, secret),
                mqtt=mqtt,
                device=device,
            )
            if begin is not None:
                check_sinks(found)
                status = begin()
                if status:
                    return status
        return watch_until_end(found)

    return parse(watch, argv, prog="vadistill watch", examples=EXAMPLES)
