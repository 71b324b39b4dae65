"""JSON is strict: nothing that edgekit writes or takes holds NaN, Infinity or 1e400."""

import ast
from collections.abc import Iterator

import msgspec
import pytest

from edgekit import strict_json
from edgekit.console import print_json
from edgekit.nouns import Noun
from tests.conftest import ROOT

PACKAGES = ("edge", "profiles", "quantize", "release", "src", "targets")
# What reads files of other programs, which may hold more than JSON, or files that edgekit wrote.
READERS = {
    "edge/bundle/envelope.py",
    "edge/bundle/trust.py",
    "edge/engines/onnxruntime.py",
    "edge/tasks/token_classification.py",
    "quantize/config_json.py",
    "quantize/recipes/gguf_bert.py",
    "quantize/reference/raw_answers.py",  # the script, which runs without edgekit
    "quantize/source.py",
    "release/documents.py",
    "src/edgekit/installation.py",
    "src/edgekit/strict_json.py",
}


def calls(tree: ast.AST, names: tuple[str, ...]) -> Iterator[ast.Call]:
    """Yield the calls of functions of the module json."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "json"
            and node.func.attr in names
        ):
            yield node


def is_strict(call: ast.Call) -> bool:
    return any(
        word.arg == "allow_nan"
        and isinstance(word.value, ast.Constant)
        and word.value.value is False
        for word in call.keywords
    )


def sources() -> Iterator[tuple[str, ast.AST]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))


def test_all_json_that_is_written_is_strict() -> None:
    written = ((name, call) for name, tree in sources() for call in calls(tree, ("dump", "dumps")))
    lax = [name for name, call in written if not is_strict(call)]
    assert lax == []
    [planted] = calls(ast.parse("json.dumps(x, indent=2)"), ("dumps",))
    assert not is_strict(planted)


def test_what_users_bring_is_read_by_the_strict_reader() -> None:
    lax = {name for name, tree in sources() if any(calls(tree, ("load", "loads")))}
    assert lax == READERS


@pytest.mark.parametrize(
    "text", ["NaN", "-Infinity", "[1, Infinity]", '{"a": 1e400}', "-1e999", "{"]
)
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        strict_json.loads(text)


def test_what_is_json_is_read() -> None:
    assert strict_json.loads('{"a": [1, 2.5, 1e308, -0.0, null, "é"]}')["a"][2] == 1e308


def test_a_number_that_is_none_is_not_printed() -> None:
    with pytest.raises(ValueError, match="JSON"):
        print_json({"a": float("nan")})


class Figures(Noun, frozen=True, kw_only=True):
    """A noun with numbers in it."""

    values: tuple[float, ...] = ()
    named: dict[str, float] = {}
    other: float | None = None


def test_a_record_with_nan_is_not_written() -> None:
    """It would be null in the file, which nobody could read back."""
    assert msgspec.json.decode(Figures(values=(1.5,)).to_json())["other"] is None
    for odd in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"values\.1 is not a finite number"):
            Figures(values=(1.0, odd)).to_json()
        with pytest.raises(ValueError, match=r"named\.x is not"):
            Figures(named={"x": odd}).to_json()
