from pathlib import Path

import pytest

from serving.core.errors import MissingResolutionError, UnreadableSlideError
from serving.core.options import ScoringOptions
from serving.scoring.pipeline import score_slide
from serving.slides.opening import open_slide
from tests.fakes import DotDetector
from tests.samples import write_truncated


def test_an_aperio_slide_scores_with_a_resolution_warning(shared_data: Path) -> None:
    with open_slide(shared_data / "slides/cmu-1-small-region.svs") as slide:
        assert (slide.vendor, slide.width, slide.height) == ("aperio", 2220, 2967)
        assert slide.mpp == pytest.approx(0.499)
        report = score_slide(slide, DotDetector()).report
    assert [w for w in report.warnings if "low resolution" in w]
    assert report.settings.work_mpp == pytest.approx(0.25)
    assert 0.2 < report.counts.tissue_area_mm2 < 1.2
    assert report.tissue.tiles_scored == len(report.tiles) > 0


def test_a_slide_without_resolution_needs_the_override(shared_data: Path) -> None:
    with open_slide(shared_data / "slides/tcga-cr-7395-no-mpp.svs") as slide:
        assert slide.mpp is None
        with pytest.raises(MissingResolutionError, match=r"give `mpp`, such as 0\.25"):
            score_slide(slide, DotDetector())
        report = score_slide(slide, DotDetector(), ScoringOptions(mpp=0.25)).report
    assert report.slide.mpp_source == "override"
    assert [w for w in report.warnings if "given by the caller" in w]


def test_an_ome_tiff_whose_directory_contradicts_its_tiles(shared_data: Path) -> None:
    with open_slide(shared_data / "slides/os-1-detail.ome.tif") as slide:
        assert (slide.width, slide.height, slide.vendor) == (1101, 1101, "ome-tiff")
        assert slide.pixel_size == pytest.approx((0.2271, 0.2271), rel=1e-3)
        red, green, blue = slide.thumbnail(200).mean((0, 1))
        assert "YCbCr" in slide.notes[0]
    assert blue > red > green


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_a_truncated_aperio_slide(shared_data: Path, tmp_path: Path, share: float) -> None:
    path = write_truncated(tmp_path / "a.svs", shared_data / "slides/cmu-1-small-region.svs", share=share)
    with pytest.raises(UnreadableSlideError, match="copy it again"):
        open_slide(path)
