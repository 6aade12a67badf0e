"""An option is declared once, and everything that takes or keeps options has it."""

import json
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from serving.api.options import AnalysisOptions, to_options
from serving.cli.scoring_options import parse_options, scoring_options
from serving.core.errors import MitoserveError, RequestError, ResolutionError
from serving.core.geometry import parse_roi
from serving.core.options import CountingOptions, ScoringOptions, find_stated, flat_fields, stated_fields
from serving.jobs.job import decode_options, options_text

FIELDS = {name for name, _ in flat_fields(ScoringOptions)}
OF_SERVERS = {name for name, info in flat_fields(ScoringOptions) if find_stated(info).server}
SIDES = st.floats(0.1, 1.0)

stated = st.fixed_dictionaries(
    {},
    optional={
        "mpp": SIDES | st.tuples(SIDES, SIDES).map(lambda pair: f"{pair[0]!r},{pair[1]!r}"),
        "roi": st.sampled_from(["0,0,500,500", "[[0,0],[90,0],[50,70.5]]"]),
        "threshold": st.floats(0, 1),
        "cascade": st.sampled_from(["on", "off", "exact", "fast"]),
        "min_tissue_fraction": st.floats(0, 1),
        "qc": st.sampled_from(["report", "exclude", "off"]),
        "hotspot_area": st.floats(0.1, 100),
        "hotspot_shape": st.sampled_from(["rectangle", "disc", "fields"]),
        "hotspots": st.integers(0, 20),
        "profile": st.sampled_from(["none", "gist"]),
    },
)


@click.command()
@scoring_options()
def _command(models: object, provider: object, **scoring: Any) -> ScoringOptions:
    return parse_options(scoring)


def _from_command_line(values: dict[str, object]) -> ScoringOptions:
    names = {p.name: p.opts[0] for p in _command.params}
    words = [word for name, value in values.items() for word in (names[name], str(value))]
    options = _command.main(words, standalone_mode=False)
    assert isinstance(options, ScoringOptions)
    return options


@given(stated)
def test_a_request_the_command_line_and_a_stored_job_mean_the_same(values: dict[str, object]) -> None:
    asked = to_options(AnalysisOptions.model_validate(values))
    assert _from_command_line(values) == asked
    assert decode_options(options_text(asked)) == asked
    assert asked.model_dump().keys() | asked.counting.model_dump().keys() == FIELDS | {"counting"}


def test_every_option_is_in_the_query_and_on_the_command_line() -> None:
    assert set(AnalysisOptions.model_fields) == FIELDS
    assert {p.name for p in _command.params} == FIELDS - OF_SERVERS | {"models", "provider"}
    for parameter in _command.params:
        assert isinstance(parameter, click.Option)
        assert parameter.help
        assert "`" not in parameter.help


def test_a_new_option_touches_one_place() -> None:
    class More(ScoringOptions):
        brightness: float = Field(default=0.5, ge=0, le=1, description="An option that is new.")

    fields = stated_fields(More)
    assert fields["brightness"][0] is float
    assert More.model_validate_json(More(brightness=0.25).model_dump_json()).brightness == 0.25


def test_a_job_of_an_earlier_release_is_read() -> None:
    text = json.dumps(
        {
            "mpp": [0.25, 0.5],
            "roi": [[0, 0], [9, 0], [9, 9], [0, 9]],
            "threshold": None,
            "cascade": False,
            "min_tissue_fraction": 0.05,
        }
    )
    assert decode_options(text) == ScoringOptions(mpp=(0.25, 0.5), roi=parse_roi("0,0,9,9"), cascade="off")


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"roi": "0,0,0,0"}, RequestError),
        ({"mpp": 5}, ResolutionError),
        ({"mpp": "0.25,x"}, ValidationError),
        ({"cascade": "maybe"}, ValidationError),
        ({"cascade": True}, ValidationError),
        ({"hotspot_area": 2, "field_diameter": 0.5}, RequestError),
        ({"unknown": 1}, ValidationError),
    ],
)
def test_what_is_not_understood_is_refused(values: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        to_options(AnalysisOptions.model_validate(values))
    if "unknown" not in values and error is not ResolutionError:
        with pytest.raises((click.BadParameter, MitoserveError)):
            _from_command_line(values)


def test_options_do_not_change() -> None:
    options: BaseModel = ScoringOptions(counting=CountingOptions(hotspots=1))
    with pytest.raises(ValidationError, match="frozen"):
        options.threshold = 0.5  # type: ignore[attr-defined]
    assert hash(options) == hash(ScoringOptions(counting=CountingOptions(hotspots=1)))
