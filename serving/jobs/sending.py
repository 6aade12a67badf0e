"""Results that the server itself sends where its operator wants them: what is due stands in the database until it arrived."""

import json
import logging
import random
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from serving.core.errors import BusyError, MitoserveError
from serving.exports.export import EXPORTS, ExportError
from serving.jobs.job import AnalysisJob, ResultLostError
from serving.jobs.results import load_result
from serving.scoring.analysis import Analysis
from serving.settings import ServerSettings, SettingsError
from serving.store.bucket_blob_store import BlobAddressError, open_blob_store
from serving.store.dicomweb import Credential, is_dicomweb
from serving.store.slides import SlideStore
from serving.store.stow import send_instances
from serving.store.tables import analyses, deliveries

MARK = "send:"
"""Before the address, in the table that webhooks stand in, too."""
RESTS_S = (5, 30, 120, 600, 3600, 4 * 3600, 12 * 3600)
"""Between attempts, a fifth of chance on each; then the last again and again: a result is never given up."""
CLAIM_S = 1800.0
"""That an attempt may take before another server takes it for lost and sends again."""
LONG = 4
"""Failed attempts from which the log names a delivery as an error."""
_POLL_S = 1.0
_DICOM = ".dcm"

_log = logging.getLogger("mitoserve.sending")


@dataclass(frozen=True, slots=True)
class Sending:
    """A file that is to be sent, as people see it.

    signature : number of the signature that it was sent for; None of a result as the models gave it
    state : waiting, delivered, or failed where no other attempt can help; next_at : seconds since 1970, of one that waits
    """

    to: str
    format: str
    signature: int | None
    state: Literal["waiting", "delivered", "failed"]
    attempts: int
    outcome: str
    next_at: float | None


CountSigned = Callable[[AnalysisJob, Analysis, int], Analysis]
AttachViews = Callable[[AnalysisJob, Analysis], Analysis]
"""From an analysis and the number of a signature to the same as it was counted when it was signed."""


@dataclass(frozen=True, slots=True)
class _Due:
    id: str
    analysis: str
    to: str
    format: str
    signature: int | None
    attempts: int
    """This one included."""


def list_targets(settings: ServerSettings) -> list[tuple[str, str]]:
    """Each address with each format that goes there: an archive gets DICOM alone."""
    return [
        (address, name)
        for address in settings.send_to
        for name in settings.send_formats
        if name in EXPORTS and (not is_dicomweb(address) or EXPORTS[name].file_name.endswith(_DICOM))
    ]


def check_targets(settings: ServerSettings) -> None:
    """Make sure that something can be sent to each address.

    Raises
    ------
    SettingsError
        If a format is unknown, an archive would get nothing, or an address is no storage.
    """
    if unknown := [name for name in settings.send_formats if name not in EXPORTS]:
        raise SettingsError(f"MITOSIS_SEND_FORMATS names {', '.join(unknown)}; there are {', '.join(EXPORTS)}")
    blind = [name for name in settings.send_formats if not EXPORTS[name].shows_review]
    if settings.send_when == "signed" and blind:
        raise SettingsError(
            f"MITOSIS_SEND_FORMATS names {', '.join(blind)}, which cannot state a review, and MITOSIS_SEND_WHEN is signed"
        )
    reached = {address for address, _ in list_targets(settings)}
    for address in settings.send_to:
        if address not in reached:
            raise SettingsError(
                f"MITOSIS_SEND_TO names {address}, which takes DICOM alone: add dicom-ann or dicom-sr to MITOSIS_SEND_FORMATS"
            )
        if not is_dicomweb(address):
            try:
                open_blob_store(address)
            except BlobAddressError as error:
                raise SettingsError(f"MITOSIS_SEND_TO names {address}, which is no storage: {error}") from error


def put_sendings(tx: Connection, job: AnalysisJob, settings: ServerSettings) -> None:
    """Note what is to be sent of a job, in the transaction that ends it: no end without it, nor it without the end."""
    if job.state == "succeeded" and job.shadow_of is None and settings.send_when == "scored":
        _put(tx, job.id, settings, {})


def put_signed(tx: Connection, analysis: str, signature: int, settings: ServerSettings) -> None:
    """Note what is to be sent of an analysis that somebody signed, in the transaction that records the signature."""
    if settings.send_when == "signed":
        _put(tx, analysis, settings, {"signature": signature})


def _put(tx: Connection, analysis: str, settings: ServerSettings, stated: Mapping[str, int]) -> None:
    for address, name in list_targets(settings):
        values = {"attempts": 0, "next_at": time.time(), "state": "waiting", "outcome": ""}
        values |= {"id": f"snd_{uuid.uuid4().hex}", "analysis": analysis, "url": MARK + address}
        tx.execute(insert(deliveries).values(body=json.dumps({"format": name, **stated}), **values))


def list_sendings(tx: Connection, analysis: str) -> list[Sending]:
    """What is to be sent of an analysis, and how far that is."""
    chosen = select(deliveries).where(deliveries.c.analysis == analysis, deliveries.c.url.startswith(MARK))
    return [
        Sending(
            row.url.removeprefix(MARK),
            str(json.loads(row.body)["format"]),
            json.loads(row.body).get("signature"),
            row.state,
            row.attempts,
            row.outcome,
            row.next_at if row.state == "waiting" else None,
        )
        for row in tx.execute(chosen.order_by(deliveries.c.url, deliveries.c.body))
    ]


def match_late() -> ColumnElement[bool]:
    """Deliveries of files that somebody should look after: they failed, or did not arrive again and again."""
    again = (deliveries.c.state == "waiting") & (deliveries.c.attempts >= LONG)
    return deliveries.c.url.startswith(MARK) & ((deliveries.c.state == "failed") | again)


def count_late(tx: Connection, ids: Sequence[str]) -> dict[str, int]:
    """Of analyses, how many files should have arrived and did not, see `match_late`; those without any are left out."""
    chosen = select(deliveries.c.analysis, func.count()).where(deliveries.c.analysis.in_(ids), match_late())
    return {str(analysis): int(count) for analysis, count in tx.execute(chosen.group_by(deliveries.c.analysis))}


class Sender:
    """Sends what is due, one file at a time, in a thread of its own. What arrived may come again under the same name."""

    def __init__(
        self,
        store: SlideStore,
        count_signed: CountSigned,
        attach_views: AttachViews,
        *,
        rests_s: Sequence[float] = RESTS_S,
        poll_s: float = _POLL_S,
    ) -> None:
        """Prepare to send the results that `store` keeps.

        Raises
        ------
        SettingsError
            See `check_targets`: a server that could send nothing does not start.
        """
        check_targets(store.settings)
        self._store, self._count_signed, self._attach_views = store, count_signed, attach_views
        self._rests, self._poll_s = tuple(rests_s), poll_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sending")

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the file that is under way."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                due = self._claim(time.time())
                if due is not None:
                    self._note(due, *self._try(due))
                    continue
            except (BusyError, OSError) as error:
                _log.warning("results have to wait: %s", error)
            self._stop.wait(self._poll_s)

    def _claim(self, now: float) -> _Due | None:
        """What is due, put off before it is sent: a server that dies meanwhile leaves it to another one's next attempt."""
        # A clock that was set back must not put it off for ever.
        latest = now + 2 * (self._rests[-1] + CLAIM_S)
        waiting = (deliveries.c.state == "waiting") & deliveries.c.url.startswith(MARK)
        waiting &= (deliveries.c.next_at <= now) | (deliveries.c.next_at > latest)
        chosen = select(deliveries).where(waiting).order_by(deliveries.c.next_at).limit(1)
        with self._store.database.reading() as tx:
            if tx.execute(chosen).first() is None:
                return None
        with self._store.database.writing() as tx:
            row = tx.execute(chosen).first()
            if row is None:  # another server was quicker
                return None
            values = {"attempts": row.attempts + 1, "next_at": now + CLAIM_S}
            tx.execute(update(deliveries).where(deliveries.c.id == row.id).values(values))
        stated = json.loads(row.body)
        return _Due(
            row.id,
            row.analysis,
            row.url.removeprefix(MARK),
            str(stated["format"]),
            stated.get("signature"),
            row.attempts + 1,
        )

    def _note(self, due: _Due, state: str, outcome: str) -> None:
        rest = self._rests[min(due.attempts, len(self._rests)) - 1] * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
        values = {"state": state, "outcome": outcome[:500], "next_at": time.time() + rest}
        with self._store.database.writing() as tx:
            tx.execute(update(deliveries).where(deliveries.c.id == due.id).values(values))
        if state == "failed" or (state == "waiting" and due.attempts >= LONG):
            _log.error(
                "%s of analysis %s has not arrived after %d attempts: %s",
                due.format,
                due.analysis,
                due.attempts,
                outcome,
            )

    def _try(self, due: _Due) -> tuple[str, str]:
        """State and outcome of one attempt; nothing is raised."""
        try:
            self._send(due)
        except (ExportError, ResultLostError) as error:  # of a slide that is gone, too
            return "failed", str(error)
        except MitoserveError as error:
            return "failed" if error.slug == "not-found" else "waiting", str(error)  # of a signature that is gone, too
        except Exception as error:
            _log.error("a result could not be sent", exc_info=error)
            return "waiting", type(error).__name__
        return "delivered", ""

    def _send(self, due: _Due) -> None:
        with self._store.database.reading() as tx:
            row = tx.execute(select(analyses).where(analyses.c.id == due.analysis)).first()
        if row is None or row.result is None:
            raise ResultLostError("the analysis has no result any more")
        job, export = AnalysisJob.from_row(row), EXPORTS[due.format]
        analysis = load_result(self._store.kept, str(job.result), slide_name=job.name)
        place = job.id
        if due.signature is not None:
            analysis, place = self._count_signed(job, analysis, due.signature), f"{job.id}/signature-{due.signature}"
        if export.shows_views:
            analysis = self._attach_views(job, analysis)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=self._store.settings.state)))
            slide = stack.enter_context(self._store.files.path(job.sha256)) if export.needs_slide else None
            file = folder / export.file_name
            with file.open("wb") as handle:
                handle.writelines(export.chunks(analysis, slide))
            settings = self._store.settings
            if is_dicomweb(due.to):
                send_instances(due.to, [file], credential=Credential(settings.dicomweb_token, settings.dicomweb_hosts))
            else:
                open_blob_store(due.to, patient=True).put(f"{place}/{export.file_name}", file)
