import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from serving.core.words import RESEARCH_USE
from tests.unit.training.evaluation.examples import DATA, DET, field, generate, make_summary
from training.evaluation.html_report import render_html, write_html
from training.evaluation.measure import evaluate_found
from training.evaluation.summary import EvaluationSummary, ModelVersion

EVIL = '<script>alert("1")</script>'
VOID = {"meta"}


class Page(HTMLParser):
    """Elements, their text, and whether they are nested as they should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self._open[-1], data.strip()))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text_in(self, *tags: str) -> list[str]:
        return [text for tag, text in self.texts if tag in tags]


@pytest.fixture(scope="module")
def summary() -> EvaluationSummary:
    return make_summary(generate(), title="Evaluation of a release")


@pytest.fixture(scope="module")
def text(summary: EvaluationSummary) -> str:
    return render_html(summary)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_title_research_line_and_models(page: Page) -> None:
    assert page.text_in("title", "h1") == ["Evaluation of a release"] * 2
    assert RESEARCH_USE in page.text_in("p")
    assert {"det", "1.2.3", "0" * 64} <= set(page.text_in("th", "td", "code"))


def test_tables_hold_the_summarys_values(page: Page, summary: EvaluationSummary) -> None:
    cells = page.text_in("td", "th", "b")
    assert summary.detection is not None
    assert f"{summary.detection.counts.f1.value:.3f}" in cells
    for row in summary.detection.per_slide:
        assert row.slide in cells
        assert f"{row.recall:.3f}" in cells
    assert summary.sub_tiles is not None
    for rate in summary.sub_tiles.rates:
        assert str(rate.threshold) in cells
        tpr = rate.tpr
        assert tpr.value is not None
        assert tpr.low is not None
        assert tpr.high is not None
        assert f"{100 * tpr.value:.1f} % ({100 * tpr.low:.1f} % to {100 * tpr.high:.1f} %)" in cells
    assert f"{summary.detection.average_precision.coco_50_95:.3f}" in cells


def test_every_figure_is_there_and_says_what_it_shows(page: Page) -> None:
    described = [a for a in page.of("div") if a.get("role") == "img"]
    assert len(described) == len(page.of("svg")) == len(page.of("figcaption")) == 6
    assert all(len(a["aria-label"] or "") > 30 for a in described)


def test_every_header_cell_has_a_scope_and_every_table_a_caption(page: Page) -> None:
    assert {a.get("scope") for a in page.of("th")} == {"col", "row"}
    assert len(page.of("caption")) == len(page.of("table"))


def test_ids_are_unique_and_references_meet_them(page: Page, text: str) -> None:
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    pointed = {a["xlink:href"] for a in page.of("use")} | {f"#{i}" for i in re.findall(r"url\(#([^)]+)\)", text)}
    assert {f"#{i}" for i in ids} >= pointed


def test_nothing_is_loaded(page: Page, text: str) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, name)
    assert not {"script", "link", "iframe", "img", "object", "base"} & {tag for tag, _ in page.elements}
    assert "@import" not in text
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    # What is left are the names of XML's vocabularies, which nothing loads.
    assert set(re.findall(r"(?<!xmlns=\")(?<!xmlns:xlink=\")https?://", text)) == set()


def test_the_same_summary_gives_the_same_page(summary: EvaluationSummary, text: str, tmp_path: Path) -> None:
    write_html(summary, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text("utf-8") == text


def test_names_from_outside_are_escaped() -> None:
    found = [field([(0, 0, 0.9)], [(0, 0)], slide=slide) for slide in (EVIL, r"$\frac{$ --> x", '" onload="x')]
    evil = ModelVersion(name=EVIL, version='"><img src=x onerror=alert(1)>', sha256=EVIL)
    page = Page(render_html(make_summary(found, title=EVIL, models=[evil])))
    assert not {"script", "img"} & {tag for tag, _ in page.elements}
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert page.text_in("title") == [EVIL]
    assert page.text_in("th").count(EVIL) == 2


def test_what_is_undefined_is_not_available_rather_than_0() -> None:
    bare = evaluate_found(
        [field([], [(0, 0)])], None, areas_mm2=[1], threshold=0.5, how_chosen="given", data=DATA, models=[DET]
    )
    page = Page(render_html(bare))
    assert page.text_in("b") == ["0.000", "n/a", "0.000", "n/a"]
    assert any("no interval: an interval needs at least 2 slides; there are 1" in text for text in page.text_in("span"))
    assert len(page.of("svg")) == 1
