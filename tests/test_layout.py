"""The tree is whole: every package is in the wheel, and imports point one way.

The command line starts light.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from edgekit import __version__
from edgekit.cli import VERBS
from edgekit.edge.engines import ENGINES
from edgekit.edge.tasks import TASKS
from edgekit.installation import DISTRIBUTION, install_command
from edgekit.profiles.evaluations import EVALUATIONS
from edgekit.quantize.recipes import RECIPES
from edgekit.quantize.sources import SOURCES, source_task
from edgekit.targets import all_targets
from tests.conftest import ROOT, edgekit

pytestmark = pytest.mark.processes

HEAVY = (
    "numpy",
    "onnxruntime",
    "openvino",
    "llama_cpp",
    "torch",
    "transformers",
    "tornado",
    "tokenizers",
    "rich",
)


def test_every_package_is_declared() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {
        ".".join((name, *init.parent.relative_to(ROOT / folder).parts))
        for name, folder in config["package-dir"].items()
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert found == set(config["packages"])


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, click.testing, edgekit.cli as c;r = click.testing.CliRunner().invoke(c.cli,"
        f" ['--help']); assert r.exit_code == 0, r.output;print([name for name in {HEAVY!r} if name"
        " in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    ran = edgekit(verb, "--help")
    assert "Example:" in ran.out


PLANTED = {  # file: (its text, what the contract says of it)
    "edge/tasks/planted.py": ("import edgekit.quantize.source\n", "edgekit.edge.tasks.planted"),
    "targets/planted.py": ("import edgekit.edge.tasks\n", "edgekit.targets.planted"),
    "profiles/planted.py": ("import edgekit.release.pack\n", "edgekit.profiles.planted"),
    "release/planted.py": ("import edgekit.quantize.source\n", "edgekit.release.planted"),
    "edge/model/planted.py": ("import edgekit.edge.worker\n", "edgekit.edge.model.planted"),
    "edge/tasks/sideways.py": ("import edgekit.edge.bundle\n", "edgekit.edge.tasks.sideways"),
    "edge/deploy/planted.py": ("import onnxruntime\n", "edgekit.edge.deploy.planted"),
    "edge/unplaced.py": ("", "unplaced"),  # a module that no layer names
    "unplaced.py": ("", "unplaced"),
}


def _lint_imports(packages: Path) -> subprocess.CompletedProcess[str]:
    lint = Path(sys.executable).with_name("lint-imports")
    command = [str(lint), "--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    return subprocess.run(
        command, cwd=packages, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as the wheel lays it out, as a copy that a test may plant something in."""
    folder = tmp_path_factory.mktemp("packages")
    shutil.copytree(ROOT / "src" / "edgekit", folder / "edgekit")
    for name in ("edge", "profiles", "quantize", "release", "targets"):
        shutil.copytree(ROOT / name, folder / "edgekit" / name)
    return folder


def test_imports_keep_the_contract(packages: Path) -> None:
    sound = _lint_imports(packages)
    assert sound.returncode == 0, sound.stdout


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_import_breaks_the_contract(packages: Path, name: str) -> None:
    text, said = PLANTED[name]
    planted = packages / "edgekit" / name
    planted.write_text(text)
    try:
        found = _lint_imports(packages)
    finally:
        planted.unlink()
    assert found.returncode != 0
    assert said in found.stdout


LAUNCHERS = {  # what may start a process, and what it starts
    "src/edgekit/launch.py": "every child that touches a model or a payload",
    "quantize/gguf_tools.py": "pip",
    "edge/deploy/ssh.py": "ssh",
}


def test_one_function_starts_every_child() -> None:
    starts = re.compile(r"subprocess\.(?:Popen|run|call|check_\w+)\(|os\.(?:fork|exec\w+)\(")
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("src", "edge", "profiles", "quantize", "release", "targets")
        for path in (ROOT / folder).rglob("*.py")
        if starts.search(path.read_text()) or "create_subprocess" in path.read_text()
    }
    assert found == set(LAUNCHERS)


def test_targets_name_recipes_that_their_engines_run() -> None:
    for target in all_targets().values():
        assert set(target.recipes) == {source_task(task).kind for task in TASKS}
        assert set(target.more) <= set(TASKS)
        for task in TASKS:
            names = target.recipes_for(task, source_task(task).kind)
            assert names
            assert len(set(names)) == len(names)
            for name in names:
                recipe = RECIPES[name]
                assert recipe.does(task)
                assert recipe.engine in target.engines
                assert recipe.precision != "bf16" or "avx512_bf16" in target.isa


def test_every_reader_of_tasks_knows_each_of_them() -> None:
    assert list(TASKS) == list(EVALUATIONS) == list(SOURCES)


@pytest.mark.parametrize("task", TASKS)
def test_few_files_name_a_task(task: str) -> None:
    naming = [
        path.relative_to(ROOT).as_posix()
        for folder in ("src", "edge", "profiles", "quantize", "release", "targets")
        for path in (ROOT / folder).rglob("*.py")
        if task in path.read_text()
    ]
    assert len(naming) <= 5, naming


def test_every_module_behind_a_table_is_checked_against_its_protocol() -> None:
    """Each table's file names the modules in its TYPE_CHECKING block, for mypy."""
    tables = {
        "edge/tasks": TASKS.values(),
        "edge/engines": [entry.module for entry in ENGINES.values()],
        "profiles/evaluations": EVALUATIONS.values(),
        "quantize/sources": SOURCES.values(),
        "quantize/recipes": [recipe.module for recipe in RECIPES.values()],
    }
    for folder, modules in tables.items():
        text = (ROOT / folder / "__init__.py").read_text()
        checked = text[text.index("if TYPE_CHECKING:") :].partition("] = (")[2]
        for module in modules:
            assert re.search(rf"\b{module.rpartition('.')[2]}\b", checked), module


def test_recipes_are_named_by_format_and_precision() -> None:
    for name, recipe in RECIPES.items():
        precision = "source" if recipe.precision == "as-stored" else recipe.precision
        assert name.startswith(f"{recipe.format}-{precision}")


def _tracked() -> dict[str, str]:
    """The text of every file in the repository, by its name."""
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name: (ROOT / name).read_text(errors="ignore") for name in names.stdout.split()}


def test_nobody_is_told_to_install_a_strangers_package() -> None:
    """The public index has another project's package under the name of our command."""
    bare = re.compile(
        r"(?:pip|pipx|uv|uvx)\b[^\n]*\b(?:install|add|download)\b[^\n]*[\s'\"]edgekit(?:[\[=<>~!'\"\s]|$)"
    )
    for name, text in _tracked().items():
        if name != "tests/test_layout.py":
            assert not bare.search(text), name
    assert bare.search("pip install 'edgekit" + "[onnx]'")
    assert bare.search("python -m pip install -U edgekit" + "==0.1.1")
    assert not bare.search("pip install './edgekit_onprem-0.1.0-py3-none-any.whl[onnx]'")


def test_the_install_command_names_this_installation() -> None:
    found = re.fullmatch(r"pip install '(.+)\[onnx\]'", install_command("onnx"))
    assert found
    assert (
        DISTRIBUTION.replace("-", "_") in found[1] or (Path(found[1]) / "pyproject.toml").is_file()
    )


def test_the_version_stands_in_one_file() -> None:
    assert "version" not in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata.version(DISTRIBUTION) == __version__


def test_nothing_names_this_checkout() -> None:
    """No file names a path of the machine that it was written on."""
    for name, text in _tracked().items():
        assert (
            not re.search(r"/(work|root|home)/[a-z]", text.replace("/home/user", ""))
            or name == "tests/test_layout.py"
        ), name


PREPOSITIONS = "Of|With|As|The same|From|For|In|By|And|Or|But|Also|Its|Their|None|At|On"


def test_docstrings_begin_with_a_whole_sentence() -> None:
    """A first line that breaks off, or leans on its neighbours, helps no newcomer."""
    leaning = re.compile(rf"(?:{PREPOSITIONS})\b")
    documented = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
    found = []
    for name, text in _tracked().items():
        if not name.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(text)):
            said = ast.get_docstring(node) if isinstance(node, documented) else None
            first = said.partition("\n")[0] if said else "Sound."
            if leaning.match(first) or not first.endswith((".", ":", "?")):
                found.append(f"{name}: {first}")
    assert not found
