"""The server, as clients see it.

Right answers, clear errors, a worker that dies, a model that is switched.
"""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Built, edgekit, pack


@dataclass(frozen=True)
class Server:
    """A running `edgekit serve`."""

    process: subprocess.Popen[str]
    port: int
    appliance: Path

    def call(self, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of a request; a body makes it a POST."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def worker(self) -> psutil.Process:
        """The worker's process."""
        found: list[psutil.Process] = [
            child
            for child in psutil.Process(self.process.pid).children()
            if "edgekit.edge.worker.process:main" in child.cmdline()
        ]
        assert len(found) == 1
        return found[0]


@pytest.fixture
def server(appliance: Path, tmp_path: Path) -> Iterator[Server]:
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "edgekit", "serve", str(appliance), "--port", "0", "--json"],
            stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        assert process.stdout
        lines = ""
        while not lines.endswith("}\n"):
            line = process.stdout.readline()
            assert line, (tmp_path / "log").read_text()
            lines += line
        yield Server(process, json.loads(lines)["port"], appliance)
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_health_and_metadata(server: Server) -> None:
    assert server.call("/v2/health/live") == (200, {"live": True})
    assert server.call("/v2/health/ready")[1]["ready"]
    assert server.call("/v2/models/tiny/ready")[0] == 200
    assert server.call("/v2/models/other/ready")[0] == 404
    assert server.call("/v2")[1]["name"] == "edgekit"
    status, metadata = server.call("/v2/models/tiny")
    assert status == 200
    assert metadata["versions"] == ["1.0.0"]
    assert metadata["inputs"] == [{"name": "inputs", "datatype": "BYTES", "shape": [-1]}]
    assert "bearing_wear" in metadata["parameters"]["labels"]


def test_answers_are_those_of_the_command_line(server: Server) -> None:
    text = "coolant puddle wet hose"
    expected = edgekit("predict", server.appliance, text, "--json", "--top-k", "4").json["labels"]
    status, answer = server.call("/v1/classify", {"inputs": text, "top_k": 4})
    assert (status, answer["truncated"]) == (200, False)
    ranked = answer["labels"]
    assert [item["label"] for item in ranked] == [item["label"] for item in expected]
    assert ranked[0]["score"] == pytest.approx(expected[0]["score"], abs=1e-5)
    status, both = server.call("/v1/classify", {"inputs": [text, "belt squeal slip"]})
    assert [item["labels"][0]["label"] for item in both] == ["coolant_leak", "belt_slip"]


def test_kserve_infer(server: Server) -> None:
    tensor = {
        "name": "inputs",
        "shape": [2],
        "datatype": "BYTES",
        "data": ["belt squeal slip", "sensor offset drift"],
    }
    status, answer = server.call("/v2/models/tiny/infer", {"id": "7", "inputs": [tensor]})
    assert status == 200
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("7", "tiny", "1.0.0")
    outputs = {item["name"]: item for item in answer["outputs"]}
    assert outputs["label"]["data"] == ["belt_slip", "sensor_drift"]
    assert outputs["probabilities"]["shape"] == [2, 4]
    assert sum(outputs["probabilities"]["data"][:4]) == pytest.approx(1)
    status, one = server.call(
        "/v2/models/tiny/versions/1.0.0/infer", {"inputs": [tensor], "outputs": [{"name": "label"}]}
    )
    assert [item["name"] for item in one["outputs"]] == ["label"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/classify", b"not json CANARY", 400),
        ("/v1/classify", b"\xff\xfe CANARY", 400),
        ("/v1/classify", b"[" * 100_000, 400),
        ("/v1/classify", {"input": "CANARY"}, 400),
        ("/v1/classify", {"inputs": {"a": "CANARY"}}, 422),
        ("/v1/classify", {"inputs": ["CANARY", 5]}, 422),
        ("/v1/classify", {"inputs": []}, 400),
        ("/v1/classify", {"inputs": "CANARY", "top_k": 0}, 400),
        ("/v1/classify", {"inputs": ["CANARY"] * 2000}, 400),
        ("/v1/classify", {"inputs": "CANARY " * 100_000}, 422),
        (
            "/v2/models/tiny/infer",
            {"inputs": [{"name": "x", "shape": [3], "datatype": "BYTES", "data": ["CANARY"]}]},
            400,
        ),
        (
            "/v2/models/tiny/infer",
            {"inputs": [{"name": "x", "shape": [-1], "datatype": "BYTES", "data": ["CANARY"]}]},
            400,
        ),
        ("/v2/models/tiny/infer", {"inputs": []}, 400),
        ("/v2/models/tiny/infer", {"inputs": [{"name": "CANARY"}]}, 400),
        ("/v2/models/other/infer", {"inputs": []}, 404),
        ("/CANARY", None, 404),
        ("/v1/classify?CANARY", None, 405),
    ],
)
def test_bad_requests_get_an_error_that_repeats_nothing(
    server: Server, path: str, body: object, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    code, answer = server.call(path, body)
    assert code == status
    assert set(answer) == {"error"}
    assert "CANARY" not in json.dumps(answer)
    assert server.call("/v1/classify", {"inputs": "belt slip"})[0] == 200
    assert "CANARY" not in (server.appliance.parent / "log").read_text()
    assert "CANARY" not in "".join(capfd.readouterr())


def test_other_hosts_and_addresses(server: Server) -> None:
    assert server.call("/v2/health/live", None, Host="evil.example")[0] == 403
    assert (
        "this machine only" in edgekit("serve", server.appliance, "--host", "0.0.0.0", code=2).err  # noqa: S104
    )
    taken = edgekit("serve", server.appliance, "--port", server.port, code=1).err
    assert "Address already in use" in taken


def test_a_slow_client_is_cut_off_and_others_are_served(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(
            b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
        )
        assert server.call("/v1/classify", {"inputs": "belt slip"})[0] == 200
        slow.settimeout(30)
        assert slow.recv(100) == b""


def test_a_worker_that_dies_is_replaced(server: Server) -> None:
    for number in (signal.SIGKILL, signal.SIGSEGV):
        server.worker().send_signal(number)
        status, answer = server.call("/v1/classify", {"inputs": "belt squeal slip"})
        assert (status, answer["labels"][0]["label"]) == (200, "belt_slip")


def test_the_worker_dies_with_the_front(appliance: Path, server: Server) -> None:
    worker = server.worker()
    front = psutil.Process(server.process.pid)
    front.send_signal(signal.SIGTERM)
    worker.wait(20)
    assert server.process.wait(20) == 0


def test_a_deploy_and_a_rollback_are_taken_over_while_serving(
    server: Server, built: Built, keys: Path, tmp_path: Path
) -> None:
    pack(built, keys, tmp_path / "next", "onnx-fp32")
    for command, variant in (
        (("deploy", tmp_path / "next", server.appliance), "onnx-fp32"),
        (("rollback", server.appliance), "onnx-int8-dynamic"),
    ):
        edgekit(*command)
        deadline = time.monotonic() + 60
        while server.call("/v2/models/tiny")[1]["parameters"]["variant"] != variant:
            assert server.call("/v1/classify", {"inputs": "belt slip"})[0] == 200
            assert time.monotonic() < deadline, "the new slot was not taken over"
            time.sleep(0.1)


def test_the_worker_has_no_core_file_and_no_listening_socket(server: Server) -> None:
    worker = server.worker()
    limits = Path(f"/proc/{worker.pid}/limits").read_text()
    assert next(line for line in limits.splitlines() if "core file" in line).split()[4] == "0"
    assert not worker.net_connections(kind="inet")
