"""The link to a device, with a program in place of ssh that says what a real one may say."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit import __version__
from edgekit.errors import EdgekitError, InputError, JobFailed, Misfit
from edgekit.nouns import Profile, Profiles, Setting
from edgekit.profiles.profile import Wish, collect_inputs
from edgekit.profiles.remote import measure_there, parse_device
from edgekit.profiles.session import MOST_INPUTS
from edgekit.profiles.subjects import stage
from tests import small
from tests.conftest import edgekit
from tests.evidence import performance

RESULT = {"version": "9.9", "result": {"machine": "box", "profiles": []}}
Answer = Callable[..., Profiles]


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program that answers in place of ssh, still to be written."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder / "ssh"


@pytest.fixture
def answer(ssh: Path, tmp_path: Path) -> Answer:
    """Measure on a device that answers with these lines, and on standard error with `noise`."""
    (tmp_path / "file").write_text("anything: nobody reads it")

    def measured(*lines: object, noise: str = "", code: int = 0) -> Profiles:
        said = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
        ssh.write_text(
            f"#!{sys.executable}\nimport sys\nsys.stderr.write({noise!r})\nsys.stderr.flush()\n"
            f"sys.stdout.write({said!r})\nsys.exit({code})\n"
        )
        ssh.chmod(0o755)
        device, file = parse_device("ssh://me@box", "edgekit"), tmp_path / "file"
        return measure_there(device, file, file, Wish(), None, "", lambda what, stage, share: None)

    return measured


@pytest.mark.timeout(60)
def test_a_device_that_says_a_lot_beside_its_answer_does_not_stop_it(answer: Answer) -> None:
    """More than a pipe holds."""
    assert answer(RESULT, noise="a library is pleased to say hello\n" * 6000).machine == "box"


def test_the_last_words_are_told_when_there_is_no_answer(answer: Answer) -> None:
    noise = "warning\n" * 2000 + "out of memory\n\n"
    with pytest.raises(JobFailed, match="box: the agent ended with exit code 3: out of memory"):
        answer(noise=noise, code=3)
    with pytest.raises(JobFailed, match="box: ssh: nothing was said"):
        answer(code=255)


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ({"version": "9.9", "result": {"machine": "box", "profiles": [], "naps": 3}}, "9.9"),
        ({"result": {"machine": "box"}}, "of an unknown version"),
        ({"version": "9.9", "share": 0.5, "stage": "timing"}, "9.9"),
        ({"version": "9.9", "share": "half", "stage": "timing", "what": "a"}, "9.9"),
        ({"version": "9.9", "kind": "Misfit"}, "9.9"),
    ],
)
def test_another_version_is_named_as_such(
    answer: Answer, line: dict[str, Any], version: str
) -> None:
    with pytest.raises(JobFailed) as caught:
        answer(line)
    said = str(caught.value)
    assert said.startswith(
        f"me@box: the edgekit there, {version}, and this one, {__version__}, do not"
    )
    assert said.endswith("install the same version on both")


def test_what_is_no_answer_is_passed_over(answer: Answer) -> None:
    progress = {"what": "a", "stage": "timing", "share": 0.5, "mood": "fine"}
    found = answer("Welcome to box!", "3", "[" * 100_000, progress, RESULT, {"audit": "logged out"})
    assert found.machine == "box"


@pytest.mark.parametrize(
    ("kind", "error"), [("Misfit", Misfit), ("ClassVar", EdgekitError), ("New", EdgekitError)]
)
def test_the_device_s_error_is_raised_here(
    answer: Answer, kind: str, error: type[Exception]
) -> None:
    with pytest.raises(error, match="box: too old a board") as caught:
        answer({"version": "9.9", "kind": kind, "message": "too old a board"})
    assert type(caught.value) is error


def test_the_agent_measures_and_says_its_version(ssh: Path, keys: Path, tmp_path: Path) -> None:
    """The real agent, in place of the shell that ssh would start there; what it answers is noted on
    the way.
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
    lines = [json.loads(line) for line in heard.read_text().splitlines()]
    assert {line["version"] for line in lines} == {__version__}
    assert "timing, round 2 of 3" in {line.get("stage") for line in lines}


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
    result = Profiles(machine="[/box]", profiles=(profile,)).to_json().decode()
    ssh.write_text(
        f"#!/bin/sh\nhead -n 1 >{tmp_path}/header\ncat <<'END'\n"
        '{"share": 0.1, "what": "[/a]", "stage": "[/s]"}\n'
        f'{{"result": {result}}}\nEND\n'
    )
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
    assert json.loads((tmp_path / "header").read_text())["wish"]["variants"] == ["b", "a"]


def test_the_inputs_are_named_by_what_is_in_them(tmp_path: Path) -> None:
    """Of a file that was edited the name and the number of rows stay; of a large file not all is
    taken.
    """
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


def test_an_agent_that_does_not_understand_says_its_version() -> None:
    ran = edgekit("profile", "--agent", stdin='{"wish": {}, "naps": 3}\n')
    problem = json.loads(ran.out)
    assert problem["kind"] == "InputError"
    assert (
        f"the edgekit here, {__version__}, does not understand the other one" in problem["message"]
    )


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
