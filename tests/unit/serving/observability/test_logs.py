import json
import logging
import sys
from pathlib import Path

import pytest

from serving.observability.logs import JsonFormatter, TextFormatter, log_analysis, request_id


def record(message: str = "said", *, error: BaseException | None = None, **extra: object) -> logging.LogRecord:
    info = None if error is None else (type(error), error, error.__traceback__)
    made = logging.LogRecord("mitoserve.test", logging.WARNING, __file__, 1, message, (), info)
    vars(made).update(extra)
    return made


def test_a_record_is_one_line_of_json() -> None:
    line = JsonFormatter().format(record("two\nlines", status=200, route="/v1/models"))
    assert "\n" not in line
    stated = json.loads(line)
    assert (stated["message"], stated["level"], stated["logger"]) == ("two\nlines", "warning", "mitoserve.test")
    assert (stated["status"], stated["route"]) == (200, "/v1/models")
    assert stated["at"].endswith("+00:00")


def test_ids_of_request_and_analysis_are_on_every_line() -> None:
    token = request_id.set("r-1")
    try:
        with log_analysis("a-1"):
            stated = json.loads(JsonFormatter().format(record()))
            assert (stated["request_id"], stated["analysis_id"]) == ("r-1", "a-1")
            assert "request_id=r-1 analysis_id=a-1" in TextFormatter().format(record())
        assert "analysis_id" not in json.loads(JsonFormatter().format(record()))
    finally:
        request_id.reset(token)
    assert "request_id" not in json.loads(JsonFormatter().format(record()))


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_errors_are_told_without_file_names(formatter: logging.Formatter) -> None:
    try:
        try:
            Path("/nowhere/Jane-Doe.svs").read_bytes()
        except OSError as error:
            raise ValueError("could not go on") from error
    except ValueError as error:
        text = formatter.format(record(error=error))
    assert "Jane" not in text
    assert "could not go on" in text
    assert "No such file" in text
    assert __file__ in text


def test_errors_that_cause_each_other_end() -> None:
    first, second = ValueError("one"), ValueError("two")
    first.__cause__, second.__cause__ = second, first
    stated = json.loads(JsonFormatter().format(record(error=first)))
    assert [error["text"] for error in stated["errors"]] == ["one", "two"]


def test_what_is_no_json_is_written_as_text() -> None:
    assert json.loads(JsonFormatter().format(record(where=sys)))["where"].startswith("<module")
