"""Manifests: what a line means, and that every line that cannot be used is named."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.cohort.errors import ManifestError
from serving.cohort.manifest import ID, Manifest, ManifestEntry, make_slide_id, parse_file_name, read_manifest, with_mpp


def read(text: str, base: str = "/data") -> Manifest:
    return read_manifest(text, base=base, name="cohort.csv")


def refuse(text: str) -> str:
    with pytest.raises(ManifestError) as caught:
        read(text)
    return str(caught.value)


def test_a_csv_states_slides_with_what_belongs_to_them() -> None:
    manifest = read(
        'slide,case,mpp,roi,id\na.svs,c1,0.25,"0,0,500,500",first\n/elsewhere/b.svs,,,,\ns3://bucket/c.svs,c2,,,third\n'
    )
    first, second, third = manifest.entries
    assert first == ManifestEntry("first", "/data/a.svs", "c1", 0.25, "0,0,500,500")
    assert (second.source, second.case, second.mpp, second.roi) == ("/elsewhere/b.svs", "", None, None)
    assert second.id == make_slide_id("/elsewhere/b.svs")
    assert third == ManifestEntry("third", "s3://bucket/c.svs", "c2")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_spreadsheets_write_csv_in_several_ways(delimiter: str, end: str) -> None:
    text = end.join(["\ufeffSlide ; Case".replace(";", delimiter), f'"a b.svs"{delimiter}x', "", delimiter, ""])
    assert [(e.source, e.case) for e in read(text).entries] == [("/data/a b.svs", "x")]


def test_a_list_names_a_slide_a_line() -> None:
    manifest = read("# scanned in May\na.svs\n\n  sub/b.svs\nfile:///c.svs\n")
    assert [e.source for e in manifest.entries] == ["/data/a.svs", "/data/sub/b.svs", "/c.svs"]


def test_slides_of_a_manifest_in_a_bucket_are_relative_to_it() -> None:
    assert read("a.svs", base="s3://bucket/study").entries[0].source == "s3://bucket/study/a.svs"


def test_columns_without_a_meaning_are_told() -> None:
    assert read("slide,scanner,mpp\na.svs,X,0.5\n").ignored == ("scanner",)


@pytest.mark.parametrize(
    "head", ['"slide","mpp"', 'slide,"mpp"', '"slide",mpp', ' "Slide" , "MPP" ', '"slide";"mpp"', '"slide"\t"mpp"']
)
def test_a_quoted_header_is_read_like_a_plain_one(head: str) -> None:
    delimiter = next(d for d in ",;\t" if d in head)
    manifest = read(f'{head}\n"a.svs"{delimiter}"0.5"\n')
    assert [(e.source, e.mpp) for e in manifest.entries] == [("/data/a.svs", 0.5)]
    assert manifest.ignored == ()


def test_a_list_whose_first_slide_has_a_quote_stays_a_list() -> None:
    assert [e.source for e in read('"a.svs\nb.svs\n').entries] == ['/data/"a.svs', "/data/b.svs"]


def test_every_line_that_cannot_be_used_is_named() -> None:
    said = refuse('slide,mpp,roi,id\na.svs,zero,,\nb.svs,-1,,\nc.svs,,"1,2",\n,0.25,,\nd.svs,,,../up\ne.svs,,,,more\n')
    for line, what in [
        (2, "mpp 'zero'"),
        (3, "mpp '-1'"),
        (4, "roi"),
        (5, "names no slide"),
        (6, "id '../up'"),
        (7, "more cells"),
    ]:
        assert f"line {line}: " in said
        assert what in said


def test_duplicates_are_named_with_both_lines() -> None:
    said = refuse("slide,id\na.svs,x\nb.svs,x\n./a.svs,y\n")
    assert "line 3: the id x is that of line 2 again" in said
    assert "line 4: the slide /data/a.svs is that of line 2 again" in said


def test_a_slide_may_come_twice_with_two_regions() -> None:
    text = 'slide,id,roi\na.svs,left,"0,0,500,500"\na.svs,right,"500,0,500,500"\n'
    assert [e.id for e in read(text).entries] == ["left", "right"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "names no slide"),
        ("slide\n", "names no slide"),
        ("slide,mpp,mpp\na,1,1", "'mpp' more than once"),
        ('slide,id\n"a.svs,x\n', "line 2"),
        ("slide\na\x00.svs\n", "line 2"),
    ],
)
def test_what_is_no_manifest_is_refused(text: str, what: str) -> None:
    assert what in refuse(text)


def test_many_errors_are_counted() -> None:
    said = refuse("slide,mpp\n" + "a.svs,x\n" * 50)
    assert said.endswith("and 30 more")


def test_a_resolution_for_all_leaves_those_that_have_one() -> None:
    manifest = with_mpp(read("slide,mpp\na.svs,0.5\nb.svs,\n"), 0.25)
    assert [e.mpp for e in manifest.entries] == [0.5, 0.25]


@given(st.text(min_size=1))
def test_an_id_is_always_a_file_name(source: str) -> None:
    assert ID.fullmatch(make_slide_id(source))
    assert make_slide_id(source) == make_slide_id(source)


def test_ids_tell_apart_slides_of_one_name() -> None:
    ids = {make_slide_id(source) for source in ("/a/x.svs", "/b/x.svs", "s3://a/x.svs", "/a/x.tif")}
    assert len(ids) == 4
    assert all(i.startswith("x-") for i in ids)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/a/b c.svs", "b c.svs"),
        ("s3://bucket/a%20b.svs", "a b.svs"),
        ("s3://bucket/dicom/series/", "series"),
        ("dicomweb+https://pacs/studies/1.2/series/1.3", "1.3"),
        ("https://host/..", "slide"),
        ("https://host", "slide"),
    ],
)
def test_a_slide_is_called_by_its_last_part(source: str, name: str) -> None:
    assert parse_file_name(source) == name


def test_relative_paths_are_made_absolute(tmp_path: Path) -> None:
    assert read("../x.svs", base=str(tmp_path / "sub")).entries[0].source == str(tmp_path / "x.svs")
