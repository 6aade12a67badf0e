"""`mitoserve send`: results go where they are read."""

from pathlib import Path

import click

from serving.cohort.storage import open_storage
from serving.console import format_message, open_console
from serving.core.errors import MitoserveError
from serving.core.words import format_count
from serving.settings import ServerSettings
from serving.store.dicomweb import Credential, is_dicomweb
from serving.store.stow import send_instances

_out = open_console()


@click.command()
@click.argument(
    "files", type=click.Path(exists=True, path_type=Path), nargs=-1, required=True, metavar="FILE|FOLDER..."
)
@click.option(
    "--to",
    required=True,
    metavar="PATH|URL",
    help="A DICOMweb service (dicomweb+https://), a folder, or an address in a bucket (s3://, gs://, az://).",
)
def send(*, files: tuple[Path, ...], to: str) -> None:
    """Send results to an archive, a folder or a bucket.

    An archive gets every DICOM file among them (annotations.dcm, report.dcm) by STOW-RS; MITOSIS_DICOMWEB_TOKEN is shown to the
    hosts in MITOSIS_DICOMWEB_HOSTS. A folder or a bucket gets all files, under their names in each FOLDER. What was sent
    before may be sent again.
    """
    try:
        named = [(path, name) for given in files for path, name in _list_files(given)]
        if is_dicomweb(to):
            settings = ServerSettings.from_environment()
            instances = [path for path, _ in named if path.suffix.lower() == ".dcm"]
            if not instances:
                raise click.UsageError(
                    f"{to} takes DICOM files, and none ends with .dcm; `mitoserve export --to dicom-ann` or dicom-sr makes one"
                )
            send_instances(to, instances, credential=Credential(settings.dicomweb_token, settings.dicomweb_hosts))
            _out.print(f"sent {format_count(len(instances), 'DICOM file')} to {to}", soft_wrap=True)
            return
        storage = open_storage(to)
        for path, name in named:
            storage.put(name, path)
        _out.print(f"sent {format_count(len(named), 'file')} to {storage.address}", soft_wrap=True)
    except (MitoserveError, OSError) as error:
        raise click.ClickException(format_message(error)) from error


def _list_files(given: Path) -> list[tuple[Path, str]]:
    """The files that a path stands for, and the name of each where it goes."""
    if given.is_file():
        return [(given, given.name)]
    return [
        (path, f"{given.resolve().name}/{path.relative_to(given).as_posix()}")
        for path in sorted(given.rglob("*"))
        if path.is_file() and not path.is_symlink()
    ]
