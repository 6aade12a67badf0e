"""Studies as clients see them, and what they send."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.api.routes import address
from serving.core.words import RESEARCH_USE, state_time
from serving.review.studies import (
    MAX_READERS,
    MAX_SEED,
    MAX_SLIDES,
    ReaderStudy,
    StudyReader,
    StudyReading,
    StudyStore,
)
from serving.review.study_results import StudyResults, StudySlide
from serving.review.study_tables import TABLES, name_reader

_NAME = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
"""Something to read, and no control characters."""
_DAY_S = 86_400


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StudyReaderView(_Part):
    """Who reads: the principal whose key is shown, and the name that tells apart people with one key."""

    author: str = Field(min_length=1, max_length=300, description="`id` of /v1/me.")
    reviewer: str = Field("", max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$")


class StudyRequest(_Part):
    """A new study."""

    name: str = Field(min_length=1, max_length=200, pattern=_NAME)
    analyses: list[Annotated[str, Field(max_length=40)]] = Field(
        min_length=1, max_length=MAX_SLIDES, description="Ids of analyses that have results."
    )
    readers: list[StudyReaderView] = Field(
        min_length=1,
        max_length=MAX_READERS,
        description="In a project its reviewers and managers; elsewhere people who use your own key.",
    )
    seed: int | None = Field(
        None, ge=0, le=MAX_SEED, description="Of the orders in which slides are read; by default a random one."
    )


class StudyProgressView(StudyReaderView):
    """How far a reader is."""

    you: bool = Field(description="Whether it is one with your key.")
    finished: int = Field(description="Slides that the reader has ended with.")
    slides: int
    active_s: float = Field(description="Time in which slides were looked at.")


class StudyView(_Part):
    """A study, and how far its readers are. What they say stays apart until they have ended."""

    id: str
    owner: str
    name: str
    seed: int
    created_at: str = Field(description="UTC, ISO 8601.")
    slides: int
    readers: list[StudyProgressView]
    research_use: Literal["For Research Use Only. Not for use in diagnostic procedures."] = RESEARCH_USE


class StudyList(_Part):
    """Your studies, the newest first."""

    studies: list[StudyView]


class StudySlideView(_Part):
    """A slide to read."""

    analysis: str
    slide: str = Field(description="Id of the slide.")
    slide_name: str
    finished: bool
    active_s: float = Field(description="Time in which it was looked at.")


class StudyReadingView(_Part):
    """The slides of one reader, in the order in which they are read: it is the reader's own and stays."""

    study: str
    name: str
    author: str
    reviewer: str
    slides: list[StudySlideView]
    next: str | None = Field(description="The first analysis that is not finished; null at the end.")


class VisitRequest(_Part):
    """What became of a slide: how long it was looked at, and whether the reader has ended with it."""

    reviewer: str = Field("", max_length=80, description="Your name as a reader of the study.")
    visit: str = Field(
        "", max_length=40, pattern=r"^[A-Za-z0-9-]*$", description="One opening of the slide, named by the page."
    )
    active_s: float = Field(
        0,
        ge=0,
        le=_DAY_S,
        allow_inf_nan=False,
        description="Seconds of this visit in which the page was seen, so far. The longest of a visit counts, so it may be sent again.",
    )
    finished: bool | None = Field(None, description="Null leaves it as it is; false opens the slide again.")


class PairView(_Part):
    """How far two readers agree on the objects that both judged."""

    first: str
    second: str
    judged_by_both: int
    agreed: int
    kappa: float | None = Field(description="Cohen's; null where it is not defined.")


class CountAgreementView(_Part):
    """ICC(2,1) of the readers' counts: two-way random effects, absolute agreement, one reader."""

    slides: int = Field(description="That all readers have finished.")
    icc: float | None = Field(description="Null where it is not defined.")
    low: float | None = Field(description="Lower limit of its 95 % interval.")
    high: float | None


class SlideReadingView(_Part):
    """One reader's counts of one slide."""

    author: str
    reviewer: str
    place: int = Field(description="In the reader's order, from 1 on.")
    mitotic_figures: int = Field(description="Accepted and added.")
    accepted: int
    rejected: int
    added: int
    unjudged: int
    active_s: float
    finished: bool


class SlideResultView(_Part):
    """A slide with the counts of its readers."""

    analysis: str
    slide: str
    slide_name: str
    model_mitotic_figures: int
    readings: list[SlideReadingView]


class StudyResultsView(_Part):
    """What the readers of a study counted, and how far they agree."""

    study: StudyView
    slides: list[SlideResultView]
    agreement: list[PairView]
    judged_by_all: int = Field(description="Objects that every reader judged.")
    fleiss_kappa: float | None = Field(description="Of those objects; null where it is not defined.")
    counts: CountAgreementView
    links: dict[str, str] = Field(description="The same as CSV tables.")
    research_use: Literal["For Research Use Only. Not for use in diagnostic procedures."] = RESEARCH_USE


def view_study(store: StudyStore, study: ReaderStudy, you: str) -> StudyView:
    """A study with how far its readers are; `you` is who asks."""
    orders = [store.readings(StudyReader(study.id, *who)) for who in study.readers]
    readers = [
        StudyProgressView(
            author=author,
            reviewer=reviewer,
            you=author == you,
            finished=sum(one.finished_at is not None for one in order),
            slides=len(order),
            active_s=sum(one.active_s for one in order),
        )
        for (author, reviewer), order in zip(study.readers, orders, strict=True)
    ]
    return StudyView(
        id=study.id,
        owner=study.owner,
        name=study.name,
        seed=study.seed,
        created_at=state_time(study.created_at),
        slides=max((len(order) for order in orders), default=0),
        readers=readers,
    )


def view_reading(study: ReaderStudy, reader: StudyReader, slides: list[StudyReading]) -> StudyReadingView:
    """The slides of a reader, in their order."""
    left = [one.analysis for one in slides if one.finished_at is None]
    return StudyReadingView(
        study=study.id,
        name=study.name,
        author=reader.author,
        reviewer=reader.reviewer,
        slides=[_show_slide(one) for one in slides],
        next=left[0] if left else None,
    )


def _show_slide(one: StudyReading) -> StudySlideView:
    return StudySlideView(
        analysis=one.analysis,
        slide=one.sha256,
        slide_name=one.slide_name,
        finished=one.finished_at is not None,
        active_s=one.active_s,
    )


def view_results(found: StudyResults, study: StudyView) -> StudyResultsView:
    """What readers counted, and how far they agree; `study` as `view_study` gives it."""
    counts = found.counts
    return StudyResultsView(
        study=study,
        slides=[_show_slide_result(slide) for slide in found.slides],
        agreement=[
            PairView(
                first=name_reader(pair.first),
                second=name_reader(pair.second),
                judged_by_both=pair.judged_by_both,
                agreed=pair.agreed,
                kappa=pair.kappa,
            )
            for pair in found.pairs
        ],
        judged_by_all=len(found.fully_judged),
        fleiss_kappa=found.fleiss_kappa,
        counts=CountAgreementView(slides=counts.slides, icc=counts.icc, low=counts.low, high=counts.high),
        links={name: address(f"/v1/studies/{study.id}/results/{name}.csv") for name in TABLES},
    )


def _show_slide_result(slide: StudySlide) -> SlideResultView:
    readings = [
        SlideReadingView(
            author=said.who[0],
            reviewer=said.who[1],
            place=said.reading.place + 1,
            mitotic_figures=said.tally.mitotic_figures,
            accepted=said.tally.accepted,
            rejected=said.tally.rejected,
            added=said.tally.added,
            unjudged=said.tally.unjudged,
            active_s=said.reading.active_s,
            finished=said.reading.finished_at is not None,
        )
        for said in slide.readings
    ]
    return SlideResultView(
        analysis=slide.analysis,
        slide=slide.sha256,
        slide_name=slide.slide_name,
        model_mitotic_figures=slide.model_figures,
        readings=readings,
    )
