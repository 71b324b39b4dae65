"""The commands, links and lines of the documentation hold what they promise."""

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgekit.cli import VERBS
from edgekit.edge.appliance.policy import Policy
from edgekit.edge.tasks.row_files import read_rows
from edgekit.spec import Spec
from tests.conftest import ROOT, Built, edgekit
from tests.evidence import build, variant, write_build

PAGE = ROOT / "docs" / "your-own-model.md"
READING = ROOT / "docs" / "reading-a-report.md"
APPLIANCE = ROOT / "docs" / "appliance.md"
DEMO = ROOT / "docs" / "demo.md"
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("examples/*/README.md")),
    *sorted(ROOT.glob("benchmarks/*.md")),
    *sorted(ROOT.glob("tests/**/*.md")),
]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
WIDTH = 100
# one that ends in a backslash goes on in the next line
COMMAND = re.compile(r"^\$ (edgekit (?:.*\\\n)*.*)$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)")
LIMITS = re.compile(r"^\[limits\]\n(?:[a-z_0-9]+ = .*\n)+", re.MULTILINE)


def _commands(page: str) -> list[str]:
    """Return the commands of a page's console blocks, each in one line."""
    return [command.replace("\\\n", "") for command in COMMAND.findall(page)]


def test_your_own_model_in_ten_minutes(tiny: Path, tmp_path: Path) -> None:
    """Run every command of the page, in order, in a folder with only a model and a data file."""
    shutil.copytree(tiny / "model", tmp_path / "my-model")
    with (tmp_path / "tickets.csv").open("w", newline="") as file:
        for name in ("calibration.csv", "evaluation.csv"):
            rows = [(row["text"], row["label"]) for row in read_rows(tiny / name)]
            csv.writer(file).writerows(
                rows if name == "evaluation.csv" else [("text", "label"), *rows]
            )
    page = PAGE.read_text()
    commands = _commands(page)
    assert len(commands) >= 12
    limits = LIMITS.search(page)
    assert limits
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in commands:
        done = subprocess.run(
            shlex.split(command),
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        if command.startswith("edgekit init"):
            spec = tmp_path / "edgekit.toml"
            text = LIMITS.sub(limits.group(), spec.read_text())
            spec.write_text(
                text.replace(
                    'device = "this"',
                    'device = "this"\nrecipes = ["onnx-fp32", "onnx-int8-dynamic"]',
                )
            )
    with (tmp_path / "answers.csv").open(newline="") as file:
        answers = list(csv.DictReader(file))
    assert sum(row["predicted_label"] == row["label"] for row in answers) > 0.9 * len(answers)


@pytest.mark.processes
def test_reading_a_report(tmp_path: Path) -> None:
    """Run every command of the page, on made-up builds."""
    for folder, p50_ms in (("build-before", 6.0), ("build", 4.0)):
        write_build(tmp_path / folder, build(variant("onnx-int8-static", p50_ms=p50_ms)))
    commands = _commands(READING.read_text())
    assert len(commands) >= 5
    for command in commands:
        edgekit(*shlex.split(command)[1:], cwd=tmp_path)
    assert "Ship onnx-int8-static" in (tmp_path / "report.html").read_text()


def test_every_piece_of_a_spec_on_the_page_is_valid() -> None:
    pieces = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(pieces) >= 4
    for piece in pieces:
        spec: dict[str, Any] = {
            "model": {"name": "a", "source": "a", "task": "text-classification"},
            "data": {"calibration": "a", "evaluation": "b"},
        }
        for key, value in tomllib.loads(piece).items():
            spec[key] = {**spec.get(key, {}), **value} if isinstance(value, dict) else value
        msgspec.convert(spec, Spec)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_on_a_page_exists(page: Path) -> None:
    """Look in blocks of code, and at what stands between backticks."""
    text = page.read_text()
    blocks = re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)
    named = re.findall(r"^\s*(?:\$ )?edgekit ([a-z]+(?:-[a-z]+)*)", "\n".join(blocks), re.MULTILINE)
    named += re.findall(r"`edgekit ([a-z]+(?:-[a-z]+)*)", text)
    assert set(named) <= set(VERBS)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
@pytest.mark.processes
def test_every_link_leads_somewhere(page: Path) -> None:
    """Check that files exist, and the headings that a link names."""
    for target, heading in LINK.findall(page.read_text()):
        found = page.parent / target if target else page
        assert found.exists(), target
        if heading:
            assert heading in _headings(found), f"{target}#{heading}"


def _headings(page: Path) -> set[str]:
    """Return the names that a forge gives to a page's headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_lines_of_a_page_end_at_100_characters(page: Path) -> None:
    """Measure each line; rows of tables and single words, such as addresses, can't be wrapped."""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if not line.startswith("|") and " " in line.strip():
            assert len(line) <= WIDTH, f"{page}:{number}"


def test_the_image_is_built_from_every_package() -> None:
    """Compare with .dockerignore: what it leaves out, pip would miss inside the image."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    let_in = (ROOT / ".dockerignore").read_text().split()
    for folder in config["package-dir"].values():
        assert f"!{Path(folder).parts[0]}" in let_in


@pytest.mark.processes
def test_the_demo_compiles_nothing() -> None:
    """Read what make would do on a fresh machine: GGUF is for `make test` alone."""

    def plan(target: str) -> str:
        command = ["make", "-n", target, "VENV=no-such-folder"]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    assert "examples/demo.py" in plan("demo")
    assert not re.search("gguf|llama|all,dev", plan("demo"))
    assert "all,dev" in plan("test")


def test_a_classifier_has_one_address() -> None:
    """Check that pages tell of /v1/classify, and of /v1/predict beside it only."""
    for page in PAGES:
        text = page.read_text()
        assert "/v1/classify" in text or "/v1/predict" not in text, page
        assert not re.search(r"curl[^\n]*/v1/predict", text), page


@pytest.mark.processes
def test_the_demo_on_the_page_is_what_the_script_does() -> None:
    """Look for every heading and every verb of the script in the transcript."""
    script, page = (ROOT / "examples" / "demo.py").read_text(), DEMO.read_text()
    titles = re.findall(r'say\(f?"(\d)\. ([A-Z][a-z]*)', script)
    assert len(titles) == 7
    for number, word in titles:
        assert f"## {number}. {word}" in page
    for verb in re.findall(r'^    run\("([a-z]+)"', script, re.MULTILINE):
        assert f"$ edgekit {verb} " in page


def test_an_appliance(built: Built, tmp_path: Path) -> None:
    """Run every command of the page, in order, on a finished build."""
    (tmp_path / "build").symlink_to(built.folder)
    commands = _commands(APPLIANCE.read_text())
    assert len(commands) >= 15
    for command in commands:
        edgekit(
            *shlex.split(command.replace("appliance tickets", "appliance tiny"))[1:], cwd=tmp_path
        )
    assert not list((tmp_path / "appliance" / "models").iterdir())


def test_the_policy_on_the_page_is_valid() -> None:
    (piece,) = re.findall(r"^```toml\n(.*?)^```", APPLIANCE.read_text(), re.MULTILINE | re.DOTALL)
    policy = msgspec.convert(tomllib.loads(piece), Policy)
    assert policy.evidence.unmeasured == "stage"
    for part in (policy, policy.evidence, policy.watch, policy.keys):
        assert part is not None
        for name in part.__struct_fields__:
            assert name in piece  # the page shows every key that there is
