"""The front with a model on the null engine: clients that pile up, flood or go away; NaN."""

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from edgekit.nouns import Setting
from tests import null_model

pytestmark = pytest.mark.processes
ROW = [1.0, 2.0, 3.0]


class Front:
    """A running `edgekit serve`, and what it wrote to its log."""

    def __init__(self, process: subprocess.Popen[str], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    def predict(self, inputs: object) -> tuple[int, Any]:
        """Return the status and the JSON of one call."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", "/v1/predict", json.dumps({"inputs": inputs}))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read(), parse_constant=_refuse)
        finally:
            connection.close()

    def worker(self) -> psutil.Process:
        """Return the worker's process."""
        [found] = psutil.Process(self.process.pid).children()
        return found


def _refuse(constant: str) -> None:
    raise AssertionError(f"the answer holds {constant}, which is no JSON")


@contextmanager
def front(tmp_path: Path, setting: Setting, *options: str, **description: Any) -> Iterator[Front]:  # noqa: ANN401
    """Serve a null model."""
    box = null_model.appliance(tmp_path / "box", setting, **description)
    log = tmp_path / "log"
    command = [sys.executable, "-m", "edgekit", "serve", str(box), "--port", "0", "--json"]
    with log.open("w") as said:
        process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=said, text=True
        )
    assert process.stdout
    try:
        text = ""
        while not text.endswith("}\n"):
            line = process.stdout.readline()
            assert line, log.read_text()
            text += line
        yield Front(process, json.loads(text)["port"], log)
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert "Traceback" not in log.read_text()


def test_a_list_of_numbers_is_one_row_and_a_list_of_rows_is_several(tmp_path: Path) -> None:
    with front(tmp_path, Setting(batch_size=4)) as server:
        status, one = server.predict(ROW)
        assert (status, one.keys()) == (200, {"labels", "truncated"})
        assert one["labels"][0].keys() == {"label", "score"}
        status, both = server.predict([ROW, ROW])
        assert (status, both) == (200, [one, one])


def test_an_answer_that_is_no_number_is_an_error_and_spoils_nothing(tmp_path: Path) -> None:
    faults = {"88": "nan", "77": "raise"}
    with front(tmp_path, Setting(batch_size=8), faults=faults, seconds=0.05) as server:
        with ThreadPoolExecutor(12) as clients:
            rows = [[88.0, 0, 0], [77.0, 0, 0], *([float(number), 0, 0] for number in range(10))]
            found = list(clients.map(server.predict, rows))
        assert [status for status, _ in found] == [500, 500, *[200] * 10]
        assert found[0][1] == {"error": "the model's answer to this input is not a number"}
        assert "the engine failed" in found[1][1]["error"]


def test_a_flood_is_refused_in_part_and_kills_nothing(tmp_path: Path) -> None:
    with front(tmp_path, Setting(batch_size=4), seconds=0.02) as server:
        before = server.worker()
        with ThreadPoolExecutor(150) as clients:
            statuses = list(clients.map(lambda _: server.predict([ROW] * 20)[0], range(150)))
        assert set(statuses) == {200, 503}
        assert server.predict(ROW)[0] == 200
        assert server.worker() == before


def test_one_clients_pile_does_not_starve_the_others(tmp_path: Path) -> None:
    """A thousand rows take five seconds at least; who asks for one row is not behind them."""
    with (
        front(tmp_path, Setting(batch_size=4), seconds=0.02) as server,
        ThreadPoolExecutor(1) as pile,
    ):
        greedy = pile.submit(server.predict, [ROW] * 1000)
        time.sleep(0.5)
        for _ in range(5):
            assert server.predict(ROW)[0] == 200
        assert not greedy.done(), "all five were answered before the pile"
        assert greedy.result()[0] == 200


def test_a_client_that_goes_away_takes_its_rows_along(tmp_path: Path) -> None:
    body = json.dumps({"inputs": [ROW] * 1000}).encode()
    head = f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with front(tmp_path, Setting(batch_size=1), seconds=0.05) as server:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", server.port)) as gone:
                gone.sendall(head.encode() + body)
                time.sleep(0.3)
        answered = [server.predict(ROW)[0] for _ in range(3)]
        assert answered == [200] * 3
        # 150 seconds of rows were dropped, so an orderly stop has nothing to wait for.
    assert "error" not in server.log.read_text()


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_has_one_form(tmp_path: Path, form: str) -> None:
    options = ("--log-format", form)
    with front(tmp_path, Setting(), *options, faults={"77": "raise"}) as server:
        assert server.predict([77.0, 0, 0])[0] == 500
    lines = server.log.read_text().splitlines()
    said = [line for line in lines if "engine failed" in line]
    assert said, lines
    if form == "json":
        assert {json.loads(line)["level"] for line in lines} == {"info", "error"}
    else:
        assert all(line.startswith("edgekit: error: ") for line in said)
