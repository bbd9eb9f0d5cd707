"""``vadistill serve``: the console, with cameras, events and models in a browser."""

from __future__ import annotations

import getpass
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from vadistill.cli.terminal import parse
from vadistill.errors import ConfigError, lacking

if TYPE_CHECKING:
    from vadistill.serving.config import Settings

EXAMPLES = """
vadistill serve --demo
vadistill serve --model entrance.vad --footage normal_videos/
vadistill serve --settings vadistill.toml --set-password
vadistill serve --host 0.0.0.0
"""


def run(argv: list[str]) -> int:
    def serve(
        *,
        settings: Annotated[Path, arg(metavar="FILE.toml")] = Path("vadistill.toml"),
        demo: bool = False,
        model: Annotated[tuple[Path, ...], arg(metavar="PATH...")] = (),
        footage: Annotated[tuple[Path, ...], arg(metavar="FOLDER...")] = (),
        host: Annotated[str | None, arg(metavar="ADDRESS")] = None,
        port: Annotated[int | None, arg(metavar="NUMBER")] = None,
        set_password: bool = False,
        new_token: bool = False,
        open: bool = False,
    ) -> int:
        """Serve the console: live cameras, events, uploads and models in a browser.

        Listens on this machine only, unless --host says otherwise; then a password is needed.

        Args:
            settings: Cameras, models, sinks; the console writes what is changed there.
            demo: A simulated walkway as cameras, in vadistill-demo/: nothing else is needed.
            model: Folders that 'vadistill fit' wrote, beside those of the settings; written there
                with the first change.
            footage: Folders of normal video that models may be fitted from, likewise.
            host: Address to listen on, default 127.0.0.1.
            port: Default 8765; 0 takes a free one.
            set_password: Ask for the console's password, or read it from a pipe, write its hash to
                the settings, and end.  A server that runs takes it over and signs everybody out.
            new_token: Print a new bearer token for scripts, write its hash likewise, and end.
            open: Open the console in a browser.
        """
        from vadistill.serving.config import Settings

        needed()
        if not (set_password or new_token):
            check_reach(Settings() if demo else read(settings), host)
        if demo:
            found, path = demo_settings(), None
        else:
            path = settings
            found = added(read(settings), model, footage)
        if set_password or new_token:
            password = ask_password() if set_password else None
            if not demo:  # the console may have written to it while somebody typed
                found = added(read(settings), model, footage)
            return write_secrets(found, settings, password, token=new_token)
        return serve_until_end(
            found,
            path,
            host or found.server.host,
            found.server.port if port is None else port,
            show=open,
        )

    return parse(serve, argv, prog="vadistill serve", examples=EXAMPLES)


def needed() -> None:
    """Raise ConfigError if the console's packages are missing."""
    try:
        import fastapi
        import uvicorn
    except ImportError as error:
        raise lacking(f"no {error.name}", "serve") from error
    del fastapi, uvicorn


def read(path: Path) -> Settings:
    """The file's settings, or empty ones where there is no file yet; raises ConfigError."""
    from vadistill.serving.config import Settings
    from vadistill.serving.settings_file import read_settings

    if path.exists():
        return read_settings(path)
    if not path.resolve().parent.is_dir():
        raise ConfigError(
            f"no folder for {path}", expected="a folder that is there", fix="check the path"
        )
    return Settings(base=path.resolve().parent)


def check_reach(settings: Settings, host: str | None) -> None:
    """Raise ConfigError for an address that others can reach without a password."""
    from vadistill.serving.web.auth import require_secret

    server = replace(settings.server, host=host or settings.server.host)
    require_secret(replace(settings, server=server))


def demo_settings() -> Settings:
    """The simulated walkway, rendered and learned if that is not done."""
    from vadistill.serving.demo import FOLDER, prepare

    print(f"vadistill: preparing the walkway in {FOLDER}/", file=sys.stderr)
    return prepare(FOLDER)


def added(settings: Settings, models: tuple[Path, ...], footage: tuple[Path, ...]) -> Settings:
    """Settings with models and folders of the command line; raises ConfigError."""
    from vadistill.saved import read_config
    from vadistill.serving.config import FootageSettings, ModelSettings
    from vadistill.serving.watching import names

    known = {settings.located(model.path).resolve() for model in settings.models}
    new = [path.resolve() for path in models if path.resolve() not in known]
    for path in new:
        if read_config(path).get("latency") is None:
            raise ConfigError(
                f"{path} knows its scores at a video's end",
                expected="a model that scores as frames come",
                fix="fit it with --scoring live or dense",
            )
    for folder in footage:
        if not folder.is_dir():
            raise ConfigError(
                f"no folder at {folder}", expected="a folder of videos", fix="check the path"
            )
    kept = {settings.located(item.path).resolve() for item in settings.footage}
    folders = [path.resolve() for path in footage if path.resolve() not in kept]
    named = zip(names([str(path) for path in new]), new, strict=True)
    sources = zip(names([str(path) for path in folders]), folders, strict=True)
    return replace(
        settings,
        models=(*settings.models, *(ModelSettings(n, str(p)) for n, p in named)),
        footage=(*settings.footage, *(FootageSettings(n, str(p)) for n, p in sources)),
    )


def ask_password() -> str:
    """A password that is typed twice, or the first line of a pipe."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("new password: ")
    if first != getpass.getpass("again: "):
        raise ConfigError("two different passwords", expected="the same twice", fix="try again")
    return first


def write_secrets(settings: Settings, path: Path, password: str | None, *, token: bool) -> int:
    """Write the hash of a password, and of a new token, which is printed."""
    from vadistill.serving.settings_file import write_settings
    from vadistill.serving.web.auth import hash_password, hash_token, new_token

    server = settings.server
    if password is not None:
        server = replace(server, password=hash_password(password))
    made = new_token() if token else None
    if made is not None:
        server = replace(server, token=hash_token(made))
    write_settings(replace(settings, server=server), path)
    if made is not None:
        print(made)
    print(f"wrote its hash to {path}", file=sys.stderr if made else sys.stdout)
    return 0


def serve_until_end(
    settings: Settings, path: Path | None, host: str, port: int, *, show: bool
) -> int:
    """Run cameras and console until SIGINT or SIGTERM."""
    import webbrowser

    from vadistill.serving.hub import Hub
    from vadistill.serving.watching import logged_to_stderr, warn_if_exposed
    from vadistill.serving.web.server import WebServer

    if path is not None and not path.exists():
        print(f"vadistill: there is no {path} yet: no cameras", file=sys.stderr)
    if path is not None:
        warn_if_exposed(path)
    with logged_to_stderr():
        hub = Hub(settings, path=path)
        try:
            server = WebServer(hub, host, port)
            hub.start()
            if show:
                webbrowser.open(server.url)
            server.run()
        finally:
            hub.stop()
    return 0
