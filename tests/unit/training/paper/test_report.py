import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import roc_auc_score

from tests.unit.serving.datasets.pictures import picture
from tests.unit.training.paper.outcomes import SIZES, draw_outcomes, papers_recipes
from training.data.sampling import Split
from training.paper import published
from training.paper.figures import draw_figures
from training.paper.grid import Sizes, jobs, read_sizes
from training.paper.outcome import GridOutcome, area_under_roc, rate_at, read_outcome, write_outcome
from training.paper.reproduce import check_sizes
from training.paper.tables import tables
from training.paper.verdicts import verdicts

Drawn = tuple[dict[str, GridOutcome], NDArray[np.bool_], NDArray[np.intp]]


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return draw_outcomes()


def test_the_grid_has_each_training_once_and_sources_first() -> None:
    grid = jobs(papers_recipes(), SIZES)
    names = [job.name for job in grid]
    assert len(names) == len(set(names)) == 98
    for position, job in enumerate(grid):
        assert job.start_from is None or job.start_from in names[:position]
    assert sum(job.start_from is not None for job in grid) == 60  # Table 8: ten rows, six backbones


def test_cells_are_rates_beside_the_papers(drawn: Drawn) -> None:
    outcomes, positive, _ = drawn
    found = {table.number: table for table in tables([outcomes], positive, SIZES)}
    assert list(found) == ["4", "5", "6", "7", "8", "8-auc", "9", "(4.2)"]
    rate = rate_at(outcomes["Reg-NS_all_4to1"].scores, positive, 0.2)
    row = next(row for row in found["7"].rows if row[0] == "Reg-NS (0.2)")
    assert row[3] == f"{100 * rate.tpr:.1f}/{100 * rate.fpr:.1f} (89.1/24.5)"
    assert [len(table.rows) for table in found.values()] == [10, 5, 12, 12, 10, 10, 4, 2]
    for table in found.values():
        assert {len(row) for row in table.rows} == {len(table.header)}


def test_rows_of_table_8_that_are_not_trained_are_left_out(drawn: Drawn) -> None:
    outcomes, positive, _ = drawn
    some = replace(SIZES, backbones={"Det": (0, 5), "Det-WL": (5,)})
    grid = jobs(papers_recipes(), some)
    assert len(grid) == 98 - 60 + 3 * 6
    trained = {job.name: outcomes[job.name] for job in grid}
    of_all, of_some = (
        next(table for table in tables([found], positive, sizes) if table.number == "8")
        for found, sizes in ((outcomes, SIZES), (trained, some))
    )
    assert of_some.rows == (of_all.rows[0], of_all.rows[5], of_all.rows[9])


def test_the_area_under_the_curve_is_scikit_learns_and_counts_weights_as_copies(drawn: Drawn) -> None:
    outcomes, positive, _ = drawn
    scores = outcomes["Det_all"].scores.round(2)
    assert area_under_roc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))
    weights = np.random.default_rng(0).integers(0, 3, len(scores))
    copies = roc_auc_score(np.repeat(positive, weights), np.repeat(scores, weights))
    assert area_under_roc(scores, positive, weights.astype(float)) == pytest.approx(copies)
    assert np.isnan(area_under_roc(scores, np.zeros_like(positive)))


def test_the_papers_figures_agree_where_it_prints_them_twice() -> None:
    by_ratio = [published.TABLE_7[t][0] for t in sorted(published.TABLE_7)]
    assert by_ratio == [published.TABLE_6[t][-1] for t in sorted(published.TABLE_6)]
    assert published.TABLE_4["Reg-NS 4:1 (0.2)"] == published.TABLE_7[0.2][2]
    assert published.TABLE_9[0.95][1][1] == published.TABLE_4["Det-NS 1:1 (0.95)"][1] == 13.3  # contradiction 7


def test_verdicts_see_what_was_put_in(drawn: Drawn) -> None:
    outcomes, positive, patient = drawn
    found = {v.trend: v for v in verdicts([outcomes], positive, patient, SIZES)}
    assert found["The backbone of a Reg run hurts Det"].verdict == "holds"
    assert found["Naive aggregation costs more"].verdict == "holds"
    assert found["10:1 has fewer false positives than 1:1"].verdict == "holds"
    assert found["Weighing by agreement helps Det"].verdict == "undecided"
    for verdict in found.values():
        assert verdict.interval[0] <= verdict.difference <= verdict.interval[1]


def test_figures_are_drawn_in_both_forms(drawn: Drawn, tmp_path: Path) -> None:
    outcomes, positive, _ = drawn
    draw_figures([outcomes], positive, SIZES, tmp_path)
    for name in ("figure-2", "figure-3"):
        assert np.asarray(Image.open(tmp_path / f"{name}.png").convert("L")).std() > 10
        assert ET.parse(tmp_path / f"{name}.svg").getroot().tag.endswith("svg")


def test_an_outcome_comes_back_and_an_unfinished_one_is_none(drawn: Drawn, tmp_path: Path) -> None:
    assert read_outcome(tmp_path) is None
    for name in ("Det_all", "Reg_all"):
        write_outcome(drawn[0][name], tmp_path)
        again = read_outcome(tmp_path)
        assert again is not None
        assert np.isnan(again.map_50_95) == (name == "Reg_all")
        np.testing.assert_array_equal(again.scores, drawn[0][name].scores)
        np.testing.assert_array_equal(again.validation, drawn[0][name].validation)


def test_table_8_says_what_the_paper_prints() -> None:
    assert published.TABLE_8["Det-WL"][1][1] == (27.5, 18.2)


def test_seeds_are_averaged_and_drawn() -> None:
    outcomes, positive, patient = draw_outcomes(300)
    worse = {
        name: replace(outcome, scores=np.random.default_rng(1).permutation(outcome.scores))
        for name, outcome in outcomes.items()
    }
    one, two = ({t.number: t for t in tables(seeds, positive, SIZES)} for seeds in ([outcomes], [outcomes, worse]))
    rates = [rate_at(o["Det_all"].scores, positive, 0.95).tpr for o in (outcomes, worse)]
    shown = [next(r for r in t["4"].rows if r[0] == "Det (0.95)")[1] for t in (one, two)]
    assert shown[0].split("/")[0] == f"{100 * rates[0]:.1f}"
    assert shown[1].split("/")[0] == f"{100 * float(np.mean(rates)):.1f}"
    # Seeds that differ make wider intervals.
    widths = [
        [v.interval[1] - v.interval[0] for v in verdicts(seeds, positive, patient, SIZES)]
        for seeds in ([outcomes], [outcomes, worse])
    ]
    assert widths[1][5] > widths[0][5]


def test_sizes_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "sizes.toml"
    path.write_text('events = [10, 20, 30, 40, 50, "all"]\nnegatives = [1, 2, 3, 4, 5]\n')
    assert read_sizes(path) == Sizes((10, 20, 30, 40, 50, None), (1, 2, 3, 4, 5))
    for wrong, said in (
        ("events = [10, 20, 30, 40, 50, 60]\n", "negatives: Field required"),
        ('events = [10, 20, 30, 40, 40, "all"]\nnegatives = [1, 2, 3, 4, 5]\n', "rising numbers"),
        ("events = [1, 2]\nnegatives = [1, 2, 3, 4, 5]\n", "events: List should have at least 6 items"),
    ):
        path.write_text(wrong)
        with pytest.raises(ValueError, match=said):
            read_sizes(path)


def test_a_grid_that_the_data_cannot_feed_is_refused_before_it_starts() -> None:
    pictures = [picture([(400, 400, 430, 430)], name=n, patient=n) for n in ("a", "b", "c")]
    split = Split((pictures[0],), (pictures[1],), (pictures[2],))
    with pytest.raises(
        ValueError, match=r"trainings ask for more than the data hold.*Reg_2: 2 events asked for, 1 exist"
    ):
        check_sizes(jobs(papers_recipes(), SIZES), split)
    check_sizes([job for job in jobs(papers_recipes(), SIZES) if job.name in ("Reg_all", "BC_all_1to1")], split)
