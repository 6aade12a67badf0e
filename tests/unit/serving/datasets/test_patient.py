import pytest

from serving.datasets.patient import current_case, midog_case, mitos_case, parse_case, parse_patient, tupac_case
from serving.datasets.store import Picture


@pytest.mark.parametrize(
    ("file", "patient"),
    [
        ("TCGA-A2-A0YE-01Z-00-DX1.8A2E3094.svs", "TCGA-A2-A0YE"),
        ("folder/TCGA-A2-A0YE-01A-01-TSA.svs", "TCGA-A2-A0YE"),
        ("C:\\slides\\TCGA-A2-A0YE.tif", "TCGA-A2-A0YE"),
        ("TCGA-A2-A0YEX.svs", "TCGA-A2-A0YEX"),
        ("slide 7.svs", "slide 7"),
    ],
)
def test_two_slides_of_a_tcga_participant_are_one_patient(file: str, patient: str) -> None:
    assert parse_patient(file) == patient


def test_data_sets_that_share_cases_call_them_the_same() -> None:
    assert midog_case("002.tiff") == midog_case("2") == "midog/002"
    assert tupac_case("04") == tupac_case("04_stitched1.tif") == tupac_case("4") == "tupac16/04"


@pytest.mark.parametrize("old", ["mitos2012/03", "mitos-atypia14/03", "mitos/03"])
def test_a_store_of_an_earlier_release_calls_a_biopsy_as_this_one_does(old: str) -> None:
    assert current_case(old) == mitos_case("03") == parse_case("mitos2012", "A03_00") == "mitos/03"
    picture = Picture(id="a", path="a.png", width=1, height=1, slide="A03", patient=old)
    assert picture.patient == "mitos/03"


@pytest.mark.parametrize("other", ["mitos2012/A03", "mine/03", "mitos2012/031", "xmitos2012/03"])
def test_other_names_stay(other: str) -> None:
    assert current_case(other) == other


@pytest.mark.parametrize(
    ("dataset", "file", "case"),
    [
        ("MIDOG++", "002.tiff", "midog/002"),
        ("MIDOG21", "002.tiff", "midog/002"),
        ("TUPAC_AL", "04_stitched2.tif", "tupac16/04"),
        ("mitos", "A03_00Aa.tiff", "mitos/03"),
        ("mitos", "H03_00Aa.tiff", "mitos/03"),
        ("CMC", "a1.svs", "cmc/a1"),
        ("mine", "TCGA-A2-A0YE-01Z-00-DX1.svs", "TCGA-A2-A0YE"),
    ],
)
def test_a_case_has_one_name_in_every_data_set(dataset: str, file: str, case: str) -> None:
    assert parse_case(dataset, file) == case
