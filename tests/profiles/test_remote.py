"""The link to a device, with a program in place of ssh that says what a real one may say."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgekit import __version__
from edgekit.edge.deploy.ssh import (
    FROM_AGENT,
    TO_AGENT,
    Progress,
    Request,
    parse_address,
    parse_device,
)
from edgekit.errors import EdgekitError, InputError, JobFailed, Misfit
from edgekit.frames import VERSION, greeting, read_greeting
from edgekit.nouns import Profile, Profiles, Setting
from edgekit.problems import Problem
from edgekit.profiles.profile import Wish, collect_inputs
from edgekit.profiles.remote import measure_there
from edgekit.profiles.session import MOST_INPUTS
from edgekit.profiles.subjects import stage
from tests import small
from tests.conftest import edgekit
from tests.evidence import performance

RESULT = {"type": "result", "body": {"machine": "box", "profiles": []}}
HELLO = f"edgekit-frames {VERSION} 9.9\n".encode()
Answer = Callable[..., Profiles]


def frame(said: dict[str, Any] | bytes) -> bytes:
    """Return a frame as another version may write it; bytes stay as they are."""
    if isinstance(said, bytes):
        return said
    body = msgspec.msgpack.encode(said)
    return len(body).to_bytes(4, "big") + body


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program that answers in place of ssh, still to be written."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder / "ssh"


@pytest.fixture
def answer(ssh: Path, tmp_path: Path) -> Answer:
    """Measure on a device that answers with these frames, and on standard error with `noise`."""
    (tmp_path / "file").write_text("anything: nobody reads it")

    def measured(*said: dict[str, Any] | bytes, noise: str = "", code: int = 0) -> Profiles:
        answers = b"".join(map(frame, said))
        ssh.write_text(
            f"#!{sys.executable}\nimport sys\nsys.stderr.write({noise!r})\nsys.stderr.flush()\n"
            f"sys.stdout.buffer.write({answers!r})\nsys.stdout.flush()\nsys.exit({code})\n"
        )
        ssh.chmod(0o755)
        device, file = parse_device("ssh://me@box", "edgekit"), tmp_path / "file"
        return measure_there(device, file, file, Wish(), None, "", lambda what, stage, share: None)

    return measured


@pytest.mark.timeout(60)
@pytest.mark.processes
def test_a_device_that_says_a_lot_beside_its_answer_does_not_stop_it(answer: Answer) -> None:
    """A device that says more than a pipe holds does not stop the measurement."""
    assert (
        answer(HELLO, RESULT, noise="a library is pleased to say hello\n" * 6000).machine == "box"
    )


@pytest.mark.processes
def test_the_last_words_are_told_when_there_is_no_answer(answer: Answer) -> None:
    noise = "warning\n" * 2000 + "out of memory\n\n"
    with pytest.raises(JobFailed, match="box: the agent ended with exit code 3: out of memory"):
        answer(noise=noise, code=3)
    with pytest.raises(JobFailed, match="box: ssh: nothing was said"):
        answer(code=255)


@pytest.mark.parametrize(
    "said",
    [
        {
            "type": "result",
            "body": {"machine": "box", "profiles": [], "naps": 3, "critical": ["naps"]},
        },
        {"type": "result", "body": {"machine": "box"}},
        {"type": "progress", "share": 0.5, "stage": "timing"},
        {"type": "progress", "share": "half", "stage": "timing", "what": "a"},
        {"type": "problem", "kind": "Misfit"},
        {"type": "nap"},
        b"\xff\xff\xff\xff",
    ],
)
@pytest.mark.processes
def test_another_version_is_named_as_such(answer: Answer, said: dict[str, Any] | bytes) -> None:
    with pytest.raises(JobFailed) as caught:
        answer(HELLO, said)
    text = str(caught.value)
    assert text.startswith(f"me@box: the edgekit there, 9.9, and this one, {__version__}, do not")
    assert text.endswith("install the same version on both")


@pytest.mark.processes
def test_another_framing_is_named_as_such(answer: Answer) -> None:
    with pytest.raises(JobFailed, match=r"box: edgekit 9\.9 speaks version 99 of the frames"):
        answer(b"edgekit-frames 99 9.9\n", RESULT)


@pytest.mark.processes
def test_an_edgekit_that_does_not_greet_is_named_as_such(answer: Answer) -> None:
    """Such as an older one, which answered with JSON lines."""
    with pytest.raises(JobFailed, match="box: the agent ended with exit code 2: no such option"):
        answer(b'{"version": "0.1.0"}\n', noise="no such option", code=2)
    with pytest.raises(JobFailed, match="box: no greeting came"):
        answer(b"[" * 100_000)


@pytest.mark.processes
def test_what_is_no_answer_is_passed_over(answer: Answer) -> None:
    progress = {"type": "progress", "what": "a", "stage": "timing", "share": 0.5, "mood": "fine"}
    words = b"Welcome to box!\n3\n" + b"[" * 40_000 + b"\n"
    found = answer(words, HELLO, progress, RESULT, b'{"audit": "logged out"}\n' * 10_000)
    assert found.machine == "box"


@pytest.mark.parametrize(
    ("kind", "error"), [("Misfit", Misfit), ("ClassVar", EdgekitError), ("New", EdgekitError)]
)
@pytest.mark.processes
def test_the_device_s_error_is_raised_here(
    answer: Answer, kind: str, error: type[Exception]
) -> None:
    with pytest.raises(error, match="box: too old a board") as caught:
        answer(HELLO, {"type": "problem", "kind": kind, "message": "too old a board"})
    assert type(caught.value) is error


def test_the_agent_measures_and_says_its_version(ssh: Path, keys: Path, tmp_path: Path) -> None:
    """The real agent stands in place of the shell that ssh would start there.

    What it answers is noted on the way.
    """
    heard = tmp_path / "heard"
    ssh.write_text(f'#!/bin/sh\nfor last; do :; done\nsh -c "$last" | tee {heard}\n')
    ssh.chmod(0o755)
    tar = small.bundle(tmp_path / "pumps.tar", small.signing(keys))
    ran = edgekit(
        "profile",
        tar,
        "--trust",
        keys / "release.pub",
        "--device",
        "ssh://box",
        "--remote-edgekit",
        f"{sys.executable} -m edgekit",
        "--quick",
        "--json",
    )
    assert [item["variant"] for item in ran.json["profiles"]] == ["onnx-fp32"]
    with heard.open("rb") as file:
        assert read_greeting(file) == (VERSION, __version__)
        said = list(iter(lambda: FROM_AGENT.read(file), None))
    assert "timing, round 2 of 3" in {item.stage for item in said if isinstance(item, Progress)}


def test_text_of_a_device_is_no_markup_and_a_variant_is_measured_once(
    ssh: Path, keys: Path, tmp_path: Path
) -> None:
    """A name in brackets is shown as it is; `--variant a --variant a` reaches the device as one."""
    profile = Profile(
        model="m",
        version="1",
        variant="[/a]",
        manifest="",
        setting=Setting(),
        performance=performance(),
        inputs="4 of [/x]",
        machine="[/box]",
        target="x86-64-v3",
        versions={},
    )
    result = msgspec.to_builtins(Profiles(machine="[/box]", profiles=(profile,)))
    progress = {"type": "progress", "share": 0.1, "what": "[/a]", "stage": "[/s]"}
    answers = HELLO + frame(progress) + frame({"type": "result", "body": result})
    (tmp_path / "answers").write_bytes(answers)
    ssh.write_text(f"#!/bin/sh\ncat {tmp_path}/answers\nexec >&-\ncat >{tmp_path}/asked\n")
    ssh.chmod(0o755)
    (tmp_path / "b.tar").write_text("nobody reads it")
    ran = edgekit(
        "profile",
        tmp_path / "b.tar",
        "--trust",
        keys / "release.pub",
        "--device",
        "ssh://box",
        "--variant",
        "b",
        "--variant",
        "a",
        "--variant",
        "b",
    )
    assert "[/box]; times with" in ran.out
    assert "[/a]" in ran.out
    with (tmp_path / "asked").open("rb") as file:
        assert read_greeting(file) == (VERSION, __version__)
        request = TO_AGENT.read(file)
    assert isinstance(request, Request)
    assert msgspec.msgpack.decode(request.body)["wish"]["variants"] == ["b", "a"]


def test_the_inputs_are_named_by_what_is_in_them(tmp_path: Path) -> None:
    """An edited file keeps its name and number of rows; of a large one not all is taken."""
    small.write_build(tmp_path)
    (staged,) = stage(tmp_path, (), None, tmp_path)
    data = tmp_path / "pumps.csv"

    def said(rows: int, last: str = "3,0,0") -> str:
        data.write_text("vibration,temperature,pressure\n" + "1,0,2\n" * (rows - 1) + last + "\n")
        return collect_inputs(staged, data, (), tmp_path)[1]

    assert re.fullmatch(r"300 of pumps\.csv \(sha256 of these inputs: [0-9a-f]{8}\)", said(300))
    assert said(300) == said(300) != said(300, last="3,0,1")
    assert said(MOST_INPUTS + 1).startswith(
        f"{MOST_INPUTS}, drawn from {MOST_INPUTS + 1}, of pumps.csv ("
    )
    golden = collect_inputs(staged, None, (), tmp_path)[1]
    assert re.search(
        r"^4 golden samples, made up: .*\(sha256 of these inputs: [0-9a-f]{8}\)$", golden
    )


@pytest.mark.processes
def test_an_agent_that_does_not_understand_says_its_version() -> None:
    for asked in ({"type": "request", "body": {"wish": {}, "naps": 3}, "files": []}, b"\xff" * 4):
        ran = subprocess.run(
            [sys.executable, "-m", "edgekit", "profile", "--agent"],
            input=greeting() + frame(asked),
            stdout=subprocess.PIPE,
            check=True,
        )
        answers = io.BytesIO(ran.stdout)
        assert read_greeting(answers) == (VERSION, __version__)
        problem = FROM_AGENT.read(answers)
        assert isinstance(problem, Problem)
        assert problem.kind == "InputError"
        said = f"the edgekit here, {__version__}, does not understand the other one"
        assert said in problem.message


@pytest.mark.parametrize("name", ["../escaped", "/etc/escaped", "other.tar"])
@pytest.mark.processes
def test_an_agent_keeps_no_file_under_another_name(name: str, tmp_path: Path) -> None:
    sent = {"type": "request", "body": {}, "files": [{"name": name, "size": 1}]}
    ran = subprocess.run(
        [sys.executable, "-m", "edgekit", "profile", "--agent"],
        input=greeting() + frame(sent) + frame({"type": "file-piece", "data": b"x"}),
        stdout=subprocess.PIPE,
        check=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert f"a file {name} came".encode() in ran.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("ssh://box", "box", None),
        ("ssh://Box.lan/", "Box.lan", None),
        ("ssh://me@box:2222", "me@box", 2222),
        ("ssh://me@corp@box", "me@corp@box", None),
        ("ssh://me@[fe80::1%eth0]:22", "me@fe80::1%eth0", 22),  # ssh itself wants no brackets
    ],
)
def test_where_a_device_is(url: str, host: str, port: int | None) -> None:
    device = parse_device(url, "env HOME=/tmp edgekit")
    assert (device.host, device.port, device.command) == (
        host,
        port,
        ("env", "HOME=/tmp", "edgekit"),
    )


@pytest.mark.parametrize(
    ("url", "host", "port", "folder"),
    [
        ("ssh://me@box/var/lib/edgekit", "me@box", None, "/var/lib/edgekit"),
        ("ssh://box:2222/srv/my box/", "box", 2222, "/srv/my box"),
        ("ssh://[fe80::1]:22/e", "fe80::1", 22, "/e"),
        ("ssh://box/", "box", None, None),
        ("ssh://box", "box", None, None),
    ],
)
def test_where_an_appliance_on_another_machine_is(
    url: str, host: str, port: int | None, folder: str | None
) -> None:
    address = parse_address(url)
    assert address
    assert (address.host, address.port) == (host, port)
    assert (str(address.folder) if address.folder else None) == folder


@pytest.mark.parametrize(
    "url", ["/var/lib", "box:/var", "ssh://box/a/../b", "ssh://box/a?b", "ssh://-x@box/a"]
)
def test_what_is_no_appliance_on_another_machine(url: str) -> None:
    assert parse_address(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "box",
        "ssh://",
        "ssh://[::1",
        "ssh://box:0",
        "ssh://box:65536",
        "ssh://box:x",
        "ssh://-oProxyCommand=x",
        "ssh://-x@box",
        "ssh://box/home",
        "ssh://box?x",
        "http://box",
        "ssh://me you@box",
    ],
)
def test_what_is_no_device(url: str) -> None:
    with pytest.raises(InputError, match="not of the form ssh://user@host"):
        parse_device(url, "edgekit")


@pytest.mark.parametrize(
    "url", ["ssh://me:secret@box", "ssh://me:sec/ret@box:22", "ssh://:secret@box"]
)
def test_a_password_goes_nowhere(url: str) -> None:
    """Neither to ssh, whose command line every user of the machine can read, nor into a log."""
    with pytest.raises(InputError, match=r"not of the form") as caught:
        parse_device(url, "edgekit")
    assert "ret" not in str(caught.value)
    assert ":***@box" in str(caught.value)


@pytest.mark.parametrize("command", ["it's", "", "  "])
def test_how_edgekit_is_called_there_must_be_a_command(command: str) -> None:
    with pytest.raises(InputError, match=r"^--remote-edgekit"):
        parse_device("ssh://box", command)
