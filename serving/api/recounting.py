"""A stored result counted again as a request asks: in the regions that hold, and after the review that its sender may see."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from serving.api.options import RecountQuery, RecountRequest, RegionsUse
from serving.api.workload import Workload
from serving.core.counts import Signature
from serving.core.options import CountingOptions
from serving.core.outlines import Outlines
from serving.core.report import Report
from serving.core.words import state_time
from serving.review.decisions import decide
from serving.review.read_counts import count_by_consensus
from serving.review.readings import Reading, ReadingError, ReadingStore, find_open, find_pair
from serving.review.region_store import RegionEntry, RegionStore
from serving.review.review_store import ReviewStore
from serving.review.signatures import NoSuchSignatureError, SignatureStore, StoredSignature
from serving.review.studies import StudyReader, StudyStore
from serving.review.verdicts import ReviewEntry
from serving.scoring.analysis import Analysis
from serving.scoring.counting_settings import restore_options
from serving.scoring.recount import find_own_threshold, recount
from serving.scoring.report_identity import identify_counts


@dataclass(frozen=True, slots=True)
class HeardRecord:
    """What a count after review rests on.

    entries : of the record of reviews, what the caller may see
    readings : those of the analysis
    region_entry : number of the regions that hold; None for the last ones
    """

    entries: Sequence[ReviewEntry]
    readings: Sequence[Reading]
    region_entry: int | None = None


def recount_as_asked(
    workload: Workload, analysis_id: str, analysis: Analysis, query: RecountQuery, *, you: str
) -> Analysis:
    """The analysis counted again as the query asks, else as it was made, in the regions that hold, and after the review that it names.

    you : who asks

    Raises
    ------
    ReadingError
        If a consensus is asked for before two readings are finished.
    NoSuchSignatureError
        If there is none of the number, or the caller has a reading to finish.
    """
    query.check_signature()
    if query.signature is not None:
        return recount_as_signed(workload, analysis_id, analysis, query.signature, you=you)
    if query.review == "off":
        return count_heard(workload, analysis_id, analysis, query, HeardRecord((), ()), you=you)
    if query.study is not None:
        reader = StudyReader(query.study, you, query.reviewer or "")
        said = read_record(workload, analysis_id, you=you, reader=reader)
        return count_heard(workload, analysis_id, analysis, query, said, you=you)
    heard = read_record(workload, analysis_id, you=you)
    counted = count_heard(workload, analysis_id, analysis, query, heard, you=you)
    if find_open(heard.readings, you) is not None:
        return counted
    way, identity = describe_way(counted.report, query, you=you), identify_counts(counted.report)
    found = [
        state_signature(one, current=one.sha256 == identity)
        for one in SignatureStore(workload.database).list(analysis_id)
        if one.query["way"] == way
    ]
    return replace(counted, report=counted.report.model_copy(update={"signatures": found}))


def recount_as_signed(workload: Workload, analysis_id: str, analysis: Analysis, number: int, *, you: str) -> Analysis:
    """The analysis counted as it was when somebody signed it; the signature says whether that still holds.

    Parameters and errors are those of `recount_as_asked`.
    """
    heard = read_record(workload, analysis_id, you=you)
    if find_open(heard.readings, you) is not None:
        raise NoSuchSignatureError(
            f"the analysis has no signature {number} that you may see: finish your reading first"
        )
    signed = SignatureStore(workload.database).get(analysis_id, number)
    then = HeardRecord(
        [entry for entry in heard.entries if entry.number <= signed.last_entry],
        heard.readings,
        signed.region_entry or 0,
    )
    counted = _count_way(workload, analysis_id, analysis, signed, then, you=you)
    stated = check_signature(workload, analysis_id, analysis, signed, heard, you=you)
    return replace(counted, report=counted.report.model_copy(update={"signatures": [stated]}))


def check_signature(
    workload: Workload, analysis_id: str, analysis: Analysis, signed: StoredSignature, heard: HeardRecord, *, you: str
) -> Signature:
    """A signature as reports have it: whether counts of its way, made now, are still what was signed. heard : all that you may see."""
    now = _count_way(workload, analysis_id, analysis, signed, heard, you=you)
    return state_signature(signed, current=signed.sha256 == identify_counts(now.report))


def _count_way(
    workload: Workload, analysis_id: str, analysis: Analysis, signed: StoredSignature, heard: HeardRecord, *, you: str
) -> Analysis:
    """The analysis counted in the way of a signature."""
    query, reader = RecountQuery.model_validate(signed.query["query"]), signed.query["way"]["reader"] or you
    return count_heard(workload, analysis_id, analysis, query, heard, you=reader)


def read_record(workload: Workload, analysis_id: str, *, you: str, reader: StudyReader | None = None) -> HeardRecord:
    """What a caller may see of an analysis's record of reviews.

    reader : of a study, of which it is then what they said in it
    """
    store = ReviewStore(workload.database)
    if reader is not None:
        StudyStore(workload.database).require(reader, analysis_id)
        return HeardRecord(store.study_entries(analysis_id, reader), ())
    entries = store.entries(analysis_id, seen_by=you)
    return HeardRecord(entries, ReadingStore(workload.database).list(analysis_id))


def describe_way(report: Report, query: RecountQuery, *, you: str) -> dict[str, Any]:
    """How a report was counted, without the regions: signatures of the same way belong to the same report.

    you : who asks
    """
    counting = report.settings.counting
    if counting is None:
        raise AssertionError("what was counted again states how")
    drawn = {"within": None, "exclude": None, "regions_sha256": None, "regions_by": None}
    threshold = find_own_threshold(report) if counting.threshold is None else counting.threshold
    plain = counting.model_copy(update={**drawn, "threshold": threshold})
    return {
        "counting": plain.model_dump(mode="json", exclude_defaults=True),
        "review": query.review,
        "reviewer": query.reviewer,
        "reader": you if query.review == "own" else None,
        "fields": [[window.x, window.y] for window in report.fields],
        "regions": query.regions,
    }


def state_signature(signed: StoredSignature, *, current: bool) -> Signature:
    """A signature as reports have it."""
    return Signature(
        number=signed.number,
        at=state_time(signed.at),
        author=signed.author,
        name=signed.name,
        reviewer=signed.reviewer,
        sha256=signed.sha256,
        current=current,
    )


def find_regions(
    workload: Workload, analysis_id: str, report: Report, which: RegionsUse, *, entry: int | None = None
) -> tuple[Outlines | None, Outlines | None]:
    """The regions to count in and those to leave out.

    report : as the analysis made it
    entry : number of the drawn regions that hold, 0 for none of them; None for the last ones
    """
    if which == "off":
        return None, None
    drawn = _find_drawn(workload, analysis_id, which, entry=entry)
    if drawn is not None:
        return drawn.within, drawn.exclude
    scored = report.settings.counting
    return (
        (None, None) if scored is None else (Outlines.from_report(scored.within), Outlines.from_report(scored.exclude))
    )


def _find_drawn(
    workload: Workload, analysis_id: str, which: RegionsUse, *, entry: int | None = None
) -> RegionEntry | None:
    """What people drew that holds, see `find_regions`; None where they drew nothing, or it is not asked for."""
    return RegionStore(workload.database).find(analysis_id, entry) if which == "current" and entry != 0 else None


def _state_regions(asked: CountingOptions, drawn: RegionEntry | None, which: RegionsUse) -> dict[str, Any]:
    """Options for the regions that hold. What people draw replaces those of a model, and is nothing where they took all away.

    asked : of the analysis as it was made
    """
    if which == "off":
        return {"within": None, "exclude": None, "model_regions": "ignore"}
    if drawn is not None:
        return {"within": drawn.within, "exclude": drawn.exclude, "model_regions": "ignore"}
    return {"within": asked.within, "exclude": asked.exclude, "model_regions": asked.model_regions}


def count_heard(
    workload: Workload, analysis_id: str, analysis: Analysis, query: RecountQuery, heard: HeardRecord, *, you: str
) -> Analysis:
    """The analysis counted again after exactly what was heard, whatever was said since. Parameters are those of `recount_as_asked`."""
    options, stated = query.counting(), analysis.report.settings.counting
    if stated is not None and not query.model_fields_set & CountingOptions.model_fields.keys():
        options = restore_options(stated)  # as the analysis was asked to count
    if not (isinstance(query, RecountRequest) and query.states_regions):
        which = query.regions if query.study is None else "scored"  # nobody's drawing shows what they counted
        asked = CountingOptions() if stated is None else restore_options(stated)
        if "model_regions" in query.model_fields_set:
            asked = asked.model_copy(update={"model_regions": options.model_regions})
        drawn = _find_drawn(workload, analysis_id, which, entry=heard.region_entry)
        options = options.model_copy(update=_state_regions(asked, drawn, which))
    elif query.within is query.exclude is None:
        options = options.model_copy(update={"model_regions": "ignore"})  # people state that there are none
    fields, decision = query.field_middles(), None
    if query.review == "consensus":
        pair = find_pair(heard.readings)
        if pair is None:
            raise ReadingError("there is no consensus before two readings are finished")
        return count_by_consensus(analysis, options, heard.entries, pair, threshold=query.threshold, fields=fields)
    if query.study is not None and query.review != "off":
        decision = decide(analysis.report, heard.entries)
    elif query.review != "off":
        author = you if query.review == "own" else None
        decision = decide(analysis.report, heard.entries, author=author, reviewer=query.reviewer)
    return recount(analysis, options, threshold=query.threshold, decision=decision, fields=fields)
