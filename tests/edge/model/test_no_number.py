"""An answer that is no number is an error for its input, whoever asks the model."""

from pathlib import Path

import pytest

from edgekit.edge.model.health import golden_difference
from edgekit.edge.model.tensor_model import Model
from edgekit.errors import EngineFailed
from edgekit.nouns import Golden, Setting
from edgekit.profiles.quality_job import own_golden
from edgekit.profiles.scenarios import EFFORTS, offline, server, single_stream
from tests import null_model
from tests.conftest import edgekit

ROW, BAD, RAISES = [1.0, 2.0, 3.0], [88.0, 0.0, 0.0], [77.0, 0.0, 0.0]
FAULTS = {"88": "nan", "77": "raise"}


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return null_model.model(tmp_path / "m", batch_size=2, faults=FAULTS)


def test_no_caller_gets_nan(model: Model) -> None:
    rows = [ROW, ROW, BAD]
    for ask in (model.answers, model.predict):
        with pytest.raises(EngineFailed, match="not a number"):
            ask(rows)
    assert [isinstance(item, EngineFailed) for item in model.attempt(rows)] == [False, False, True]
    with pytest.raises(EngineFailed):
        own_golden(model, Golden(inputs=[BAD], answers=[[0.0, 0, 0]], labels=null_model.LABELS))
    golden = Golden(inputs=[ROW, BAD], answers=[[0.0, 0, 0]] * 2, labels=null_model.LABELS)
    assert not golden_difference(model, golden) <= 1e308


def test_a_profile_of_answers_that_are_no_numbers_is_refused(model: Model) -> None:
    effort = EFFORTS["quick"]
    with pytest.raises(EngineFailed, match="not a number"):
        single_stream(model, [BAD], effort)
    with pytest.raises(EngineFailed, match="not a number"):
        offline(model, [ROW, BAD], 0.01)
    with pytest.raises(EngineFailed, match="not a number"):
        server(model, [ROW, BAD], rate=1000.0, queries=20, limit_ms=1000.0)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("value", "code", "said"),
    [
        ("[88, 0, 0]", 1, "Error: the model's answer to this input is not a number"),
        ("[77, 0, 0]", 1, "Error: the engine failed on this input (RuntimeError)"),
        ("[1e39, 0, 0]", 2, "Error: the feature 'vibration' must be a number that a float32 holds"),
        ("[NaN, 0, 0]", 2, "Error: VALUE must be a JSON array of numbers"),
    ],
)
def test_predict_ends_in_one_line(tmp_path: Path, value: str, code: int, said: str) -> None:
    box = null_model.appliance(tmp_path / "box", Setting(), faults=FAULTS)
    ran = edgekit("predict", box, value, code=code)
    assert ran.out == ""
    assert ran.err.startswith(said)
    assert len(ran.err.strip().splitlines()) == 1
