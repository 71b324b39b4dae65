"""An open model's predictions say which inputs were cut; windows are rows of engine calls."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.edge.engines import TensorSession
from edgekit.edge.model.tensor_model import Model
from edgekit.edge.tasks import Tensors
from edgekit.edge.tasks.predictions import Entities, Label
from edgekit.errors import EdgekitError, InputError
from edgekit.nouns import Setting
from tests import null_model

LONG = "pump " * 40
WINDOW = {"on_too_long": "window"}
TASKS = ("text-classification", "token-classification", "feature-extraction")


class Counted:
    """A session that notes how many rows each of its calls has."""

    def __init__(self, session: TensorSession) -> None:
        self.session = session
        self.rows: list[int] = []

    def run(self, feeds: Tensors) -> Tensors:
        self.rows.append(len(feeds["input_ids"]))
        return self.session.run(feeds)


def counted(model: Model, batch_size: int) -> tuple[Model, Counted]:
    """Return the same model with calls of another size, and what counts them."""
    session = Counted(model._session)
    return Model(model.task, session, Setting(batch_size=batch_size)), session


@pytest.mark.parametrize("name", TASKS)
def test_predictions_say_what_was_cut(tmp_path: Path, name: str) -> None:
    model = null_model.text_model(tmp_path, task=name, batch_size=2)
    inputs = [model.task.parse(text) for text in ("leak", LONG, "hose", LONG, "")]
    expected = [False, True, False, True, False]
    assert [item.truncated for item in model.read(inputs)] == expected
    assert [item.truncated for item in model.predict(inputs)] == expected
    attempted = model.attempt(inputs)
    assert [not isinstance(item, EdgekitError) and item.truncated for item in attempted] == expected
    assert [item.truncated for item in model.predict(inputs[:1])] == [False]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_no_engine_call_has_more_rows_than_its_setting(tmp_path: Path, batch_size: int) -> None:
    whole = null_model.text_model(
        tmp_path, task="token-classification", config=WINDOW, batch_size=1000
    )
    model, session = counted(whole, batch_size)
    calls: list[int] = []
    model.after_call = lambda: calls.append(1)
    inputs = [model.task.parse(text) for text in (LONG, "leak", LONG + "hose", LONG * 3)]
    found = model.answers(inputs)
    assert max(session.rows) <= batch_size
    assert sum(session.rows) > len(inputs)
    assert len(calls) == len(session.rows), "each call is a sign of life"
    for ours, right in zip(found, whole.answers(inputs), strict=True):
        assert np.array_equal(ours, right)
    assert not any(item.truncated for item in model.predict(inputs))


def test_an_entity_in_the_last_word_of_a_long_document_is_found(tmp_path: Path) -> None:
    words = ["leak"] * 200
    model = null_model.text_model(
        tmp_path, task="token-classification", config={**WINDOW, "labels": ["O", "B-X", "B-Y"]}
    )
    sentence = model.task.parse(words)
    [answer] = model.answers([sentence])
    [said] = model.predict([sentence])
    assert isinstance(said, Entities)
    outside = answer.argmax(axis=1) == 0
    assert sum(len(item.word.split()) for item in said.entities) == int((~outside).sum())
    beyond = answer[12:]  # no word beyond the first window is merely taken for outside
    assert not (beyond == np.array([1, 0, 0])).all(axis=1).any()


def test_a_refused_text_spoils_no_other(tmp_path: Path) -> None:
    for folder, bad, more in (
        ("long", LONG, {"config": {"on_too_long": "refuse"}}),
        ("empty", "", {"has_template": False}),
    ):
        model = null_model.text_model(tmp_path / folder, batch_size=4, **more)
        inputs = [model.task.parse(text) for text in ("leak", bad, "hose")]
        kinds = [type(item) for item in model.attempt(inputs)]
        assert kinds == [Label, InputError, Label]
        assert isinstance(model.attempt([inputs[1]])[0], InputError)
        with pytest.raises(InputError):
            model.predict(inputs)


def test_a_mark_stays_with_its_input_where_another_has_no_answer(tmp_path: Path) -> None:
    hot = null_model.tokenizer().token_to_id("hot")
    model = null_model.text_model(tmp_path, batch_size=8, faults={str(hot): "nan"})
    inputs = [model.task.parse(text) for text in ("leak", "hot", LONG, "hot pump", LONG, "slip")]
    found = model.attempt(inputs)
    marks = ["error" if isinstance(item, EdgekitError) else item.truncated for item in found]
    assert marks == [False, "error", True, "error", True, False]
