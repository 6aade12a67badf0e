"""`mitoserve studies`: what readers said in studies."""

from pathlib import Path

import click

from serving.cli.server_state import ServerState, open_server_state
from serving.console import open_console, open_table
from serving.core.report import Report
from serving.jobs.job import LOST, ResultLostError
from serving.jobs.results import read_report
from serving.review.studies import StudyReader, StudyStore
from serving.review.study_results import collect_results
from serving.review.study_tables import TABLES
from serving.store.shared_folder_store import open_folder_store
from serving.store.tables import analyses

_out = open_console()


@click.group()
def studies() -> None:
    """List the studies of this server and export their readings; MITOSIS_STATE says which server."""


@studies.command("list")
def list_() -> None:
    """Every study, with how many slides its readers have finished."""
    with open_server_state() as server:
        store = StudyStore(server.database)
        table = open_table("id", "name", "owner", "reader", "finished", "minutes")
        for study in store.find_all(None):
            for author, reviewer in study.readers:
                order = store.readings(StudyReader(study.id, author, reviewer))
                finished = sum(one.finished_at is not None for one in order)
                minutes = sum(one.active_s for one in order) / 60
                table.add_row(
                    study.id,
                    study.name,
                    study.owner,
                    reviewer or author,
                    f"{finished} of {len(order)}",
                    f"{minutes:.1f}",
                )
    _out.print(table)


@studies.command()
@click.argument("study")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder that the tables go to."
)
def export(study: str, *, out: Path) -> None:
    """Write readings.csv, slides.csv and agreement.csv of STUDY (see `mitoserve studies list`).

    Whoever reads in the study should not do this before they have ended: the tables say what others said.
    """
    with open_server_state() as server:
        found = StudyStore(server.database).get(study, owner=None)
        results = collect_results(server.database, found, lambda analysis: _read_report(server, analysis))
        out.mkdir(parents=True, exist_ok=True)
        for name, write in TABLES.items():
            path = out / f"{name}.csv"
            path.write_bytes(write(results))
            click.echo(path)
        server.record("studies export", study)


def _read_report(server: ServerState, analysis: str) -> Report:
    """The report of an analysis as it was made; raises `ResultLostError`."""
    with server.database.reading() as tx:
        result = tx.execute(
            analyses.select().with_only_columns(analyses.c.result).where(analyses.c.id == analysis)
        ).scalar()
    if result is None:
        raise ResultLostError(LOST)
    return read_report(open_folder_store(server.settings), result)
