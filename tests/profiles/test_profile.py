"""`edgekit profile`: of builds, bundles and appliances, here and over ssh."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
import pytest

from edgekit.edge.deploy.ssh import (
    FROM_AGENT,
    HEARTBEAT_SECONDS,
    LOST_SECONDS,
    SSH,
    TO_AGENT,
    FilePiece,
    FileToCome,
    Progress,
    Request,
)
from edgekit.frames import greeting, read_greeting
from tests import small
from tests.conftest import Built, edgekit, pack

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


@pytest.fixture(scope="session")
def tar(built: Built, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tar") / "bundle.tar"
    pack(built, keys, out, "onnx-int8-dynamic")
    return out


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, in which profiling leaves nothing."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_a_bundle_is_measured_on_the_user_s_own_inputs(
    tar: Path, keys: Path, tiny: Path, tmp_path: Path, temporary: Path
) -> None:
    out = tmp_path / "profile.json"
    ran = edgekit(
        "profile",
        tar,
        "--trust",
        keys / "release.pub",
        "--data",
        tiny / "evaluation.csv",
        "--input",
        "text",
        "--quick",
        "--json",
        "--out",
        out,
    )
    (found,) = ran.json["profiles"]
    assert (found["variant"], found["kind"]) == ("onnx-int8-dynamic", "measured")
    assert found["manifest"].startswith("sha256:")
    assert " of evaluation.csv (sha256 of these inputs: " in found["inputs"]
    performance = found["performance"]
    assert performance["rounds"] == len(performance["conditions"]) == 3
    assert (
        performance["p50_ms"]["low"]
        < performance["p50_ms"]["value"]
        < performance["p50_ms"]["high"]
    )
    assert performance["latency_quantiles"] == sorted(performance["latency_quantiles"])
    assert performance["cold_load_ms"] > 0
    assert (performance["p99_ms"] is None) == (performance["calls"] < 1000)
    assert any(text.startswith("server scenario: not asked for") for text in performance["skipped"])
    assert json.loads(out.read_text()) == ran.json
    assert not list(temporary.iterdir())


def test_a_build_s_variants_take_turns(built: Built) -> None:
    chosen = ("--variant", "onnx-fp32", "--variant", "openvino-int8")
    ran = edgekit("profile", built.folder, *chosen, "--quick")
    assert "onnx-fp32" in ran.out
    assert "openvino-int8" in ran.out
    assert "golden samples, made up: their lengths are not those of your data" in ran.out
    assert "timing, round 3 of 3" in ran.err


def test_the_server_scenario_can_be_added(built: Built) -> None:
    server = ("--quick", "--server", "--p99-ms", 100)
    ran = edgekit("profile", built.folder, "--variant", "onnx-fp32", *server)
    assert "onnx-fp32: serves" in ran.out
    assert "queries/s arriving at random with p99" in ran.out


def test_another_process_at_work_is_noticed_and_the_figure_not_called_clean(built: Built) -> None:
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        ran = edgekit("profile", built.folder, "--variant", "onnx-fp32", "--quick")
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    assert "Disturbed: 1 of 1 variants, such as onnx-fp32: round 1: other processes took" in ran.out


def test_an_appliance_is_measured_as_it_serves(appliance: Path) -> None:
    (found,) = edgekit("profile", appliance, "--quick", "--json").json["profiles"]
    assert found["variant"] == "onnx-int8-dynamic"


def test_nothing_is_run_without_a_key_or_with_the_wrong_one(
    tar: Path, keys: Path, tmp_path: Path, temporary: Path
) -> None:
    assert "--trust KEY.pub" in edgekit("profile", tar, code=2).err
    assert (
        "not signed by a trusted key"
        in edgekit("profile", tar, "--trust", keys / "other.pub", code=5).err
    )
    assert (
        "no such bundle"
        in edgekit("profile", tmp_path / "no.tar", "--trust", keys / "other.pub", code=2).err
    )
    assert not list(temporary.iterdir())


def test_what_is_asked_wrongly_is_said_in_one_line(
    built: Built, tar: Path, keys: Path, tmp_path: Path
) -> None:
    for arguments, said in (
        ((built.folder, "--server"), "--server needs a limit: --p99-ms"),
        ((built.folder, "--variant", "onnx-int2"), "--variant onnx-int2"),
        ((tar, "--device", "box"), "--device box: not of the form ssh://user@host"),
        ((tar, "--device", "ssh://box:x"), "not of the form"),
        ((tar, "--device", "ssh://me@box"), "needs its key"),
    ):
        ran = edgekit("profile", *arguments, code=2)
        assert said in ran.err.splitlines()[-1]
    (tmp_path / "empty.csv").write_text("text\n")
    ran = edgekit(
        "profile", tar, "--trust", keys / "release.pub", "--data", tmp_path / "empty.csv", code=2
    )  # fmt: skip
    assert "holds no rows" in ran.err


@dataclass(frozen=True)
class Host:
    """A real sshd on this machine."""

    url: str
    config: Path

    def options(self, keys: Path) -> tuple[object, ...]:
        """What `edgekit profile` needs to reach it."""
        return (
            "--trust",
            keys / "release.pub",
            "--device",
            self.url,
            "--ssh-config",
            self.config,
            "--remote-edgekit",
            f"env TMPDIR={self.config.parent} {sys.executable} -m edgekit",
        )


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("needs OpenSSH's sshd and ssh on this machine")
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile"
        f" {folder}/user.pub\nStrictModes no\nUsePAM no\nPidFile none\n"
    )
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    config = folder / "ssh_config"
    config.write_text(f"IdentityFile {folder}/user\nUserKnownHostsFile {folder}/known_hosts\n")
    Path("/run/sshd").mkdir(exist_ok=True)  # where sshd locks itself in before a login
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield Host(f"ssh://{os.environ.get('USER', 'root')}@127.0.0.1:{port}", config)
    finally:
        server.kill()
        server.wait()


def test_a_device_is_measured_over_ssh_with_the_edgekit_that_is_there(
    host: Host, tar: Path, keys: Path, tiny: Path
) -> None:
    ran = edgekit(
        "profile",
        tar,
        *host.options(keys),
        "--data",
        tiny / "evaluation.csv",
        "--input",
        "text",
        "--quick",
        "--json",
    )
    (found,) = ran.json["profiles"]
    assert found["performance"]["rounds"] == 3
    assert " of evaluation.csv (sha256 of these inputs: " in found["inputs"]
    assert "timing, round 2 of 3" in ran.err
    assert not list(host.config.parent.glob("edgekit-staged-*"))


def test_errors_of_the_device_and_of_the_way_to_it_are_one_line(
    host: Host, tar: Path, keys: Path
) -> None:
    wrong_key = [
        keys / "other.pub" if item == keys / "release.pub" else item for item in host.options(keys)
    ]
    assert "not signed by a trusted key" in edgekit("profile", tar, *wrong_key, code=5).err
    missing = [*host.options(keys)[:-1], "no-such-edgekit"]
    assert "no-such-edgekit is not there" in edgekit("profile", tar, *missing, code=8).err
    (host.config.parent / "empty").write_text("")
    stranger = host.config.with_name("stranger")
    stranger.write_text(host.config.read_text().replace("known_hosts", "empty"))
    unknown = [stranger if item == host.config else item for item in host.options(keys)]
    ran = edgekit("profile", tar, *unknown, code=8)
    assert "Host key verification failed" in ran.err.splitlines()[-1]


def test_a_lost_link_leaves_nothing_running(host: Host, tar: Path, keys: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "edgekit",
        "profile",
        str(tar),
        *map(str, host.options(keys)),
        "--thorough",
    ]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr
    for line in process.stderr:
        if "timing" in line:
            break
    assert list(host.config.parent.glob("edgekit-staged-*"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    until = time.monotonic() + 30
    while time.monotonic() < until and (
        list(host.config.parent.glob("edgekit-staged-*")) or _at_work(host)
    ):
        time.sleep(0.2)
    assert not list(host.config.parent.glob("edgekit-staged-*"))
    assert not _at_work(host)


def _at_work(host: Host) -> list[str]:
    """Jobs whose temporary folder is the device's."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TMPDIR={host.config.parent}" in path.read_bytes().decode(errors="replace"):
                found.append(path.parent.name)
        except OSError:
            continue  # it has just ended
    return found


def piece_of(path: Path) -> bytes:
    """Return the frame that holds a whole file."""
    return TO_AGENT.pack(FilePiece(data=path.read_bytes()))


@contextmanager
def fed_agent(tar: Path, key: Path, temporary: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The agent by itself, fed by hand: it has the header and all of the bundle but for the key."""
    header = {"wish": {"effort": "thorough"}, "said": ""}
    sent = {"bundle.tar": tar, "key.pub": key}
    request = Request(
        body=msgspec.Raw(msgspec.msgpack.encode(header)),
        files=tuple(FileToCome(name=name, size=path.stat().st_size) for name, path in sent.items()),
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "edgekit", "profile", "--agent"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    assert process.stdin
    process.stdin.write(greeting() + TO_AGENT.pack(request) + piece_of(tar))
    process.stdin.flush()
    with process:
        yield process
        process.kill()


@pytest.fixture
def agent(tar: Path, keys: Path, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with fed_agent(tar, keys / "release.pub", tmp_path) as process:
        yield process


def test_an_end_is_a_lost_link(
    agent: "subprocess.Popen[bytes]", keys: Path, tmp_path: Path
) -> None:
    """The profiler stops within seconds when its standard input ends."""
    assert agent.stdin
    assert agent.stdout
    agent.stdin.write(piece_of(keys / "release.pub"))
    agent.stdin.flush()
    assert read_greeting(cast("BinaryIO", agent.stdout))
    assert isinstance(FROM_AGENT.read(cast("BinaryIO", agent.stdout)), Progress)
    assert list(tmp_path.glob("edgekit-staged-*"))
    agent.stdin.close()
    assert agent.wait(10 * HEARTBEAT_SECONDS) != 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "count", [8, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]
)
def test_nothing_is_left_wherever_the_end_comes_and_a_hangup_after_it(
    keys: Path, tmp_path: Path, count: int
) -> None:
    tar = small.bundle(tmp_path / "pumps.tar", small.signing(keys))
    chance = random.Random(count)
    for number in range(count):
        temporary = tmp_path / str(number)
        temporary.mkdir()
        with fed_agent(tar, keys / "release.pub", temporary) as agent:
            assert agent.stdin
            assert agent.stdout
            agent.stdin.write(piece_of(keys / "release.pub"))
            agent.stdin.flush()
            assert read_greeting(cast("BinaryIO", agent.stdout))
            assert FROM_AGENT.read(cast("BinaryIO", agent.stdout))
            time.sleep(chance.choice([0, 0.01, 2]) * chance.random())
            agent.stdin.close()
            time.sleep(0.01 * chance.random())
            agent.send_signal(signal.SIGHUP)
            assert agent.wait(10 * HEARTBEAT_SECONDS) != 0
        assert not list(temporary.iterdir())
    print(f"{count} lost links, nothing left by any")


@pytest.mark.slow
def test_silence_in_the_middle_of_the_bundle_is_a_lost_link(
    agent: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    assert agent.wait(4 * LOST_SECONDS) != 0
    assert not list(tmp_path.iterdir())


def test_host_keys_are_always_checked() -> None:
    assert "StrictHostKeyChecking=yes" in SSH
    assert "BatchMode=yes" in SSH
