"""What a request holds beyond what is read: cut texts, and keys and parameters nobody knows."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgekit.nouns import Setting
from tests import null_model
from tests.conftest import edgekit
from tests.edge.serving.test_front import ROW, Front, front

pytestmark = pytest.mark.processes
LONG = "pump " * 40
CANARY = "CANARY"


def call(server: Front, path: str, body: object) -> tuple[int, Any]:
    """Return the status and the JSON of a POST."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def infer(server: Front, *rows: object, **more: object) -> tuple[int, Any]:
    """Ask over KServe v2; more: keys of the request."""
    tensor = {"name": "inputs", "shape": [len(rows)], "datatype": "BYTES", "data": list(rows)}
    return call(server, "/v2/models/pumps/infer", {"inputs": [tensor], **more})


def texts(tmp_path: Path, **given: Any) -> Any:  # noqa: ANN401
    """Serve a model of texts."""
    setting = Setting(batch_size=4)
    return front(tmp_path, setting, files=null_model.write_text, inputs=["pump leak"], **given)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with texts(tmp_path_factory.mktemp("texts")) as found:
        yield found


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with front(tmp_path_factory.mktemp("table"), Setting(batch_size=4)) as found:
        yield found


def test_each_answer_says_whether_its_text_was_cut(server: Front) -> None:
    status, one = server.predict("leak")
    assert (status, set(one), one["truncated"]) == (200, {"labels", "truncated"}, False)
    status, several = server.predict(["leak", LONG, "", LONG])
    assert [item["truncated"] for item in several] == [False, True, False, True]
    status, answer = infer(server, LONG, "leak", LONG)
    assert (status, answer["parameters"]) == (200, {"truncated": [0, 2]})
    assert infer(server, "leak")[1]["parameters"] == {"truncated": []}


@pytest.mark.parametrize("name", ["token-classification", "feature-extraction"])
def test_an_empty_answer_carries_the_mark_as_well(tmp_path: Path, name: str) -> None:
    """A tagger that finds nothing in what it has read of a text must not seem to have read all."""
    labels = {"labels": ["O", "O2", "O3"]} if name == "token-classification" else {}
    with texts(tmp_path, task=name, config=labels, seed=0) as server:
        _, (whole, cut) = server.predict(["leak", LONG])
        assert (whole["truncated"], cut["truncated"]) == (False, True)
        status, said = call(server, "/v1/predict", {"inputs": "leak", "top_k": 2})
        assert (status, said["error"]) == (400, "top_k: this model does not rank labels")


def test_predict_says_what_was_cut(tmp_path: Path) -> None:
    box = null_model.appliance(tmp_path / "box", files=null_model.write_text, inputs=["leak"])
    ran = edgekit("predict", box, LONG)
    assert "a part of it was not read" in ran.err
    assert edgekit("predict", box, LONG, "--json").json["truncated"] is True
    assert edgekit("predict", box, "-", "--json", stdin=f"{LONG}\n").json["truncated"] is True
    ran = edgekit("predict", box, "leak", "--json")
    assert (ran.json["truncated"], ran.err) == (False, "")


def test_what_is_refused_is_the_clients_fault(tmp_path: Path) -> None:
    given = {"config": {"on_too_long": "refuse"}, "has_template": False}
    with texts(tmp_path, **given) as server:
        for value, said in (
            (LONG, "the text has 40 tokens, and the model takes at most 12"),
            ("", "the text has no token that the model could read"),
        ):
            assert server.predict(value) == (422, {"error": said})
            assert server.predict(["leak", value]) == (422, {"error": f"input 2: {said}"})
            assert infer(server, value, "leak") == (422, {"error": f"input 1: {said}"})
            assert server.predict("leak")[0] == 200


@pytest.mark.parametrize(
    "more",
    [
        {CANARY: 1},
        {"parameters": {}},
        {"topk": 3},
        {"input": "leak"},
        {"": None},
        {"x" * 5000: [CANARY]},
    ],
)
def test_a_plain_call_refuses_what_it_does_not_know(server: Front, more: dict[str, Any]) -> None:
    status, said = call(server, "/v1/predict", {"inputs": "leak", **more})
    assert status == 400
    assert said["error"].endswith("with no keys but inputs and top_k")
    assert CANARY not in said["error"]


def test_a_plain_call_refuses_a_query(server: Front) -> None:
    status, said = call(server, f"/v1/predict?top_k=3&{CANARY}", {"inputs": "leak"})
    assert (status, said) == (400, {"error": "this call takes no query behind its path"})


def test_kserve_lists_what_it_ignores(server: Front) -> None:
    tensor = {
        "name": "inputs",
        "shape": [1],
        "datatype": "BYTES",
        "data": [LONG],
        "parameters": {"content_type": "str"},
        "device": 3,
    }
    body = {
        "inputs": [tensor],
        "timeout": 5,
        "parameters": {"priority": 1, "\u00e9" + CANARY: [CANARY], "x" * 200: 0},
        "outputs": [{"name": "label", "parameters": {"binary_data": False}, "class_count": 1}],
    }
    status, answer = call(server, "/v2/models/pumps/infer?trace=1", body)
    assert status == 200
    assert [item["name"] for item in answer["outputs"]] == ["label"]
    assert answer["parameters"]["truncated"] == [0]
    assert sorted(answer["parameters"]["ignored"]) == sorted(
        [
            "?",
            "?",
            "timeout",
            "inputs[0].device",
            "outputs[0].class_count",
            "parameters.priority",
            "inputs[0].parameters.content_type",
            "outputs[0].parameters.binary_data",
            "query.trace",
        ]
    )
    assert CANARY not in json.dumps(answer)
    many = {f"key{number}": 0 for number in range(1000)}
    _, answer = infer(server, "leak", **many)
    assert len(answer["parameters"]["ignored"]) == 32
    assert answer["parameters"]["ignored"][-1] == "..."


@pytest.mark.parametrize(
    "outputs",
    [[{"name": CANARY}], [{"name": "label"}, {"name": "labels"}]],
)
def test_an_output_that_the_model_does_not_have_is_refused(server: Front, outputs: object) -> None:
    status, said = infer(server, "leak", outputs=outputs)
    assert (status, said) == (
        400,
        {"error": "the model's outputs are label, score, probabilities"},
    )


@pytest.mark.parametrize(
    "body",
    [
        {"outputs": [{"name": []}]},
        {"outputs": [{}]},
        {"outputs": CANARY},
        {"outputs": [CANARY], "more": 1},
        {"parameters": CANARY},
        {"id": 5, "more": 1},
        {"inputs": {"more": 1}},
    ],
)
def test_a_broken_request_is_no_fault_of_the_server(server: Front, body: dict[str, Any]) -> None:
    status, said = infer(server, "leak", **body)
    assert (status, set(said)) == (400, {"error"})
    assert CANARY not in said["error"]


def test_a_row_of_two_values_where_the_shape_says_one_loses_none(server: Front) -> None:
    tensor = {
        "name": "x",
        "shape": [2, 1],
        "datatype": "BYTES",
        "data": [["leak", "hot"], ["hose"]],
    }
    assert call(server, "/v2/models/pumps/infer", {"inputs": [tensor]})[0] == 422
    tensor["data"] = [["leak"], ["hose"]]
    assert call(server, "/v2/models/pumps/infer", {"inputs": [tensor]})[0] == 200


def test_a_row_with_a_feature_too_many_is_refused(table: Front) -> None:
    names = null_model.FEATURES
    row = dict(zip(names, ROW, strict=True))
    assert table.predict(row)[1] == table.predict(ROW)[1]
    status, said = table.predict({**row, CANARY: 5})
    assert (status, said["error"]) == (
        422,
        f"an input has a feature that the model does not know; it knows: {', '.join(names)}",
    )
    status, answer = infer(table, row)
    assert (status, answer["parameters"]) == (200, {"truncated": []})
    assert infer(table, {**row, CANARY: 5})[0] == 422
