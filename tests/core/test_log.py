"""The log: a line a message, as text or JSON, without control characters, and not without end."""

import json
import re
from collections.abc import Iterator

import pytest

from edgekit import log


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(log.VARIABLE, "text")
    monkeypatch.setattr(log, "MOST_ALIKE", 5)
    yield
    log._logger.handlers.clear()


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("text")
    log.info("%s %s serves", "pumps", "1.0")
    log.warning("the worker of %s died", "pumps")
    log.error("nothing serves")
    assert capsys.readouterr().err == (
        "edgekit: pumps 1.0 serves\n"
        "edgekit: warning: the worker of pumps died\n"
        "edgekit: error: nothing serves\n"
    )


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("json")
    log.warning("the worker of %s died", "pümps")
    (line,) = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    assert said["level"] == "warning"
    assert said["message"] == "the worker of pümps died"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said["time"])


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_name_forges_no_line(form: log.Format, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(form)
    log.info("model %s", "a\nedgekit: error: forged\x1b[2J")
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "\x1b" not in said


def test_what_repeats_is_said_a_few_times_and_then_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure("text")
    now = [1000.0]
    monkeypatch.setattr("edgekit.log.time.monotonic", lambda: now[0])
    for number in range(100):
        log.warning("request %s failed", number)
        log.info("another text")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 * log.MOST_ALIKE
    now[0] += log.SECONDS
    log.warning("request %s failed", 100)
    assert capsys.readouterr().err == (
        "edgekit: warning: request 100 failed (95 lines like this one were left out)\n"
    )


def test_children_write_as_their_parent_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(log.VARIABLE, "json")
    log.info("hello")
    assert json.loads(capsys.readouterr().err)["message"] == "hello"
