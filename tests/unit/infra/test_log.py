"""Log lines cannot carry what is not allow-listed."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from isocenter.infra import log


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    output = io.StringIO()
    handlers, level = logging.root.handlers[:], logging.root.level
    log.configure("INFO", "json", stream=output)
    yield output
    log.configure()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def test_allowed_fields_are_written(stream: io.StringIO) -> None:
    log.get_logger("m").info("association_accepted", calling_ae_title="CT1", count=3)
    line = json.loads(stream.getvalue())
    assert (line["event"], line["calling_ae_title"], line["count"]) == (
        "association_accepted",
        "CT1",
        3,
    )
    assert (line["module"], line["level"]) == ("m", "info")


@pytest.mark.parametrize(
    "name", ["patient_name", "patient_id", "body", "message", "data", "reason"]
)
def test_other_fields_are_withheld(stream: io.StringIO, name: str) -> None:
    log.get_logger("m").info("something", **{name: "Phantom^Ada"})
    assert "Phantom" not in stream.getvalue()
    assert json.loads(stream.getvalue())[name] == "[withheld]"


def test_an_exception_is_logged_without_its_text(stream: io.StringIO) -> None:
    try:
        raise ValueError("bad name Phantom^Ada")
    except ValueError:
        log.get_logger("m").exception("failed")
    line = json.loads(stream.getvalue())
    assert line["error_type"] == "builtins.ValueError"
    assert "test_log.py" in line["exception"]
    assert "Phantom" not in stream.getvalue()


def test_libraries_are_heard_without_their_texts(stream: io.StringIO) -> None:
    logging.getLogger("some.library").warning("could not parse %s", "Phantom^Ada")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["module"]) == ("library_message", "some.library")
    assert "Phantom" not in stream.getvalue()


def test_levels_below_the_chosen_one_are_silent(stream: io.StringIO) -> None:
    log.get_logger("m").debug("detail")
    assert not stream.getvalue()


def test_no_name_on_the_list_names_a_person() -> None:
    forbidden = ("patient", "birth", "address_line", "phone", "body", "text", "password", "token")
    assert [name for name in log.ALLOWED_FIELDS if any(part in name for part in forbidden)] == []
