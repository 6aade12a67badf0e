"""`mitoserve serve`: the HTTP API on this machine or beyond it."""

import errno
import os
import socket
import sys
from pathlib import Path

import click

from serving.access.access import open_access
from serving.access.local_key import local_key
from serving.cli.environment import read_settings
from serving.core.errors import MitoserveError
from serving.settings import ServerSettings

LAST_REQUESTS_S = 20
"""How long requests may go on after SIGTERM; BentoML kills the process after 30 s, and by then analyses must be told."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is every one.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(0, 65535))
@click.option("--models", type=click.Path(path_type=Path), help="Models folder, in place of MITOSIS_MODELS.")
@click.option(
    "--no-key",
    is_flag=True,
    help="Let in whoever calls over loopback; not where a proxy or a tunnel runs on this machine.",
)
def serve(*, host: str, port: int, models: Path | None, no_key: bool) -> None:
    """Serve the HTTP API through BentoML.

    Until there are keys (`mitoserve keys create`) or an identity provider (MITOSIS_OIDC_ISSUER), it serves this machine alone,
    and prints the address to open. Beyond this machine (--host) it starts only with them. MITOSIS_TLS_CERTIFICATE and
    MITOSIS_TLS_KEY turn TLS on.
    """
    settings = read_settings()
    if no_key:
        os.environ["MITOSIS_LOOPBACK_WITHOUT_KEY"] = "on"
        settings = settings.model_copy(update={"loopback_without_key": "on"})
    port = _free_port(host, port)
    _say_where(settings, host, port)
    if models is not None:
        os.environ["MITOSIS_MODELS"] = str(models.absolute())
    command = ["-m", "bentoml", "serve", "serving.service:MitoserveService", "--host", host, "--port", str(port)]
    command += ["--timeout-graceful-shutdown", str(LAST_REQUESTS_S)]
    if settings.tls_certificate is not None:
        command += ["--ssl-certfile", str(settings.tls_certificate), "--ssl-keyfile", str(settings.tls_key)]
    os.execv(sys.executable, [sys.executable, *command])  # noqa: S606 - the server takes this process's place


def _free_port(host: str, port: int) -> int:
    """The port, on which nothing listens yet; any free one for 0. Ends the command where it cannot be listened on."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
            trial.listen()
            free: int = trial.getsockname()[1]
            return free
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = f"another program listens on port {port} of {host}: stop it, or give another port with --port"
        else:
            why = f"port {port} of {host} cannot be listened on ({error.strerror}): give others with --host and --port"
        raise click.ClickException(why) from error


def _say_where(settings: ServerSettings, host: str, port: int) -> None:
    """Print the address to open in a browser, with the key of this machine while that is what opens it."""
    scheme = "http" if settings.tls_certificate is None else "https"
    shown = "localhost" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    address = f"{scheme}://{f'[{shown}]' if ':' in shown else shown}:{port}/"
    try:
        door = open_access(settings).door
        if not door.prepare():
            click.echo(f"open {address} in a browser once the server is ready", err=True)
        elif sys.stderr.isatty():
            click.echo("open this address in a browser once the server is ready; its key opens the server:", err=True)
            click.echo(f"    {address}#key={local_key(settings)}", err=True)
        else:  # what is no terminal is a log, which others may read
            click.echo(
                f"open {address} in a browser once the server is ready; `mitoserve keys local` prints the key", err=True
            )
    except MitoserveError as error:
        raise click.ClickException(str(error)) from error
