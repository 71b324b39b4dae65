"""Hold edgekit's answers beside those of the user's own library, on raw inputs, odd ones too.

python benchmarks/same_answers.py [--families bert,roberta] [--tasks feature-extraction] \
    [--inputs 500] [--json FILE]

Each model is small, with random weights and a tokenizer of its kind that was trained. It goes the
way of a release (recipe, bundle, deploy), once in each float format that takes it, and is opened
and asked as a worker does. One model of each task is asked over HTTP, too. Exit code 1: an answer
is wrong.
"""

import base64
import http.client
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the tests' models and inputs

from edgekit.edge.model.tensor_model import Model
from edgekit.edge.tasks.token_classification import TokenClassification
from edgekit.errors import InputError
from edgekit.quantize.config_json import read_config
from edgekit.quantize.recipes import RECIPES
from edgekit.quantize.recipes.gguf_float import check_architecture
from edgekit.release.signing import make_key_pair
from tests import own_library, raw_pictures, raw_rows, raw_texts, specialists
from tests.compare_answers import (
    EXACT,
    HALF,
    VERDICTS,
    flaw_of_words,
    given_to,
    is_same,
    judge,
    labels_of_words,
    said_by,
)
from tests.families import ENDINGS, FAMILIES, WORLD, make_family, write_pooling
from tests.own_library import Answer, Entity, Library, Said
from tests.shipped import ask, open_shipped, ship

LENGTH = 128  # tokens that the models take
EXACT_RECIPES = ("onnx-fp32", "openvino-fp32")
HALF_RECIPES = ("gguf-f16",)
SPECIALISTS = {
    "pictures": "image-classification",
    "logistic regression": "tabular-classification",
    "random forest": "tabular-classification",
    "gradient boosting": "tabular-classification",
}
POOLINGS = {"bert": "mean_tokens", "distilbert": "cls_token", "roberta": "mean_tokens"}
RANKED = ("text-classification", "image-classification", "tabular-classification")
LIBRARIES: dict[str, Callable[[Path], Library]] = {
    "text-classification": own_library.TextClassifier,
    "token-classification": own_library.Tagger,
    "feature-extraction": own_library.Embedder,
}


class Case(NamedTuple):
    """A model, its user's library, and the inputs that both are asked.

    name: of its family or kind.
    source: its folder.
    recipes: that make its variants, each behind the one that it starts from.
    inputs: each with its kind, as the library takes it.
    """

    name: str
    task: str
    source: Path
    library: Library
    recipes: Sequence[str]
    inputs: Sequence[tuple[str, Any]]


class Wrong(NamedTuple):
    """An answer that is wrong: of which kind of input, what is wrong, and an input."""

    kind: str
    problem: str
    example: str


class Row(NamedTuple):
    """What was found of one variant: how often each verdict was given, and what was wrong.

    failed: why there is no such variant.
    """

    name: str
    task: str
    variant: str
    counts: Counter[str]
    wrong: list[Wrong]
    failed: str = ""


def make_case(name: str, task: str, folder: Path, count: int) -> Case:
    """Make a model, its user's library, and the inputs: a family's for a task, or a specialist."""
    make = text_case if name in FAMILIES else special_case
    return make(name, task, folder, count)


def text_case(family: str, task: str, folder: Path, count: int) -> Case:
    """Make the model of a family for a task."""
    source = make_family(family, task, folder, corpus=WORLD, length=LENGTH)
    if task == "feature-extraction" and family in POOLINGS:
        write_pooling(source, POOLINGS[family])
    inputs: Sequence[tuple[str, Any]] = (
        raw_texts.sentences(count) if task == "token-classification" else raw_texts.texts(count)
    )
    recipes = [name for name in (*EXACT_RECIPES, *HALF_RECIPES) if takes(name, task, source)]
    return Case(family, task, source, LIBRARIES[task](source), recipes, inputs)


def takes(recipe: str, task: str, source: Path) -> bool:
    """Tell whether a recipe is for a model."""
    if not recipe.startswith("gguf"):
        return True
    try:
        check_architecture(read_config(source)["architectures"][0], source)
    except InputError:
        return False
    return RECIPES[recipe].does(task)


def special_case(name: str, task: str, folder: Path, count: int) -> Case:
    """Make a model of pictures or tables."""
    if task == "image-classification":
        specialists.make_picture_classifier(folder)
        library: Library = own_library.PictureClassifier(folder, specialists.PICTURE_LABELS)
        inputs: Sequence[tuple[str, Any]] = raw_pictures.pictures(count)
        return Case(name, task, folder, library, EXACT_RECIPES, inputs)
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    estimator = {
        "logistic regression": LogisticRegression(),
        "random forest": RandomForestClassifier(20, max_depth=6, random_state=0),
        "gradient boosting": GradientBoostingClassifier(n_estimators=10, random_state=0),
    }[name]
    pipeline = specialists.make_table_classifier(folder, estimator)
    library = own_library.TableClassifier(pipeline, raw_rows.FEATURES)
    inputs = raw_rows.rows(count)
    return Case(name, task, folder, library, ["onnx-fp32"], inputs)


def rows_of(case: Case, work: Path, keys: Path, over_http: bool) -> Iterator[Row]:
    """Ship a case's variants, and compare the answers of each."""
    appliances = ship(case.source, case.task, case.recipes, work, keys)
    right: list[list[Said]] = []
    for recipe, appliance in zip(case.recipes, appliances, strict=True):
        if isinstance(appliance, Exception):
            reason = " ".join(str(appliance).split())
            yield Row(case.name, case.task, recipe, Counter(), [], reason)
            continue
        model = open_shipped(appliance)
        right = right or [
            case.library.says(value, words_of(model, value)) for _, value in case.inputs
        ]
        values = [wire(value) for _, value in case.inputs]
        found = [
            with_given(
                said_by(said, model.task.labels), model, value, any(item.is_cut for item in library)
            )
            for said, value, library in zip(ask(model, values), values, right, strict=True)
        ]
        yield judged(case, recipe, right, found)
        if over_http and recipe == case.recipes[0]:
            with served(appliance) as port:
                all_labels = {"top_k": 1000} if case.task in RANKED else {}
                answers = [
                    post(port, {"inputs": [wire(value)], **all_labels}) for _, value in case.inputs
                ]
            # What a window says of a word is not shown over HTTP: the same spans have the same.
            answers = [
                replace(said, words=own.words) if is_same(own.answer, said.answer, EXACT) else said
                for said, own in zip(answers, found, strict=True)
            ]
            yield judged(case, f"{recipe}, HTTP", right, answers)


def words_of(model: Model, value: object) -> own_library.Words:
    """Return where edgekit sees the words of a text that is to be tagged."""
    try:
        return tuple(getattr(model.task.parse(wire(value)), "spans", ()))
    except InputError:
        return ()


def wire(value: object) -> object:
    """Write an input as JSON holds it."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def with_given(said: Said, model: Model, value: object, is_long: bool) -> Said:
    """Add what the model is given, and of a text that is tagged what can be said of its words."""
    if said.problem:
        return said
    said = replace(said, given=given_to(model, value))
    if not isinstance(model.task, TokenClassification):
        return said
    flaw = flaw_of_words(value, words_of(model, value)) if isinstance(value, str) else ""
    words = labels_of_words(model, value) if is_long else ()
    return replace(said, flaw=flaw, words=words)


def judged(case: Case, variant: str, right: Sequence[list[Said]], found: Sequence[Said]) -> Row:
    """Judge every answer of a variant."""
    tolerance = HALF if any(variant.startswith(name) for name in HALF_RECIPES) else EXACT
    counts: Counter[str] = Counter()
    wrong = []
    for (kind, value), library, said in zip(case.inputs, right, found, strict=True):
        verdict, problem = judge(kind, library, said, tolerance)
        counts[verdict] += 1
        if verdict == "WRONG":
            wrong.append(Wrong(kind, problem, ascii(value)[:80]))
    return Row(case.name, case.task, variant, counts, wrong)


@contextmanager
def served(appliance: Path) -> Iterator[int]:
    """Run `edgekit serve`, and give its port."""
    command = [sys.executable, "-m", "edgekit", "serve", str(appliance), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout  # noqa: S101 - it is a pipe
        lines = ""
        while not lines.endswith("}\n"):
            line = process.stdout.readline()
            if not line:
                raise click.ClickException("edgekit serve does not start")
            lines += line
        try:
            yield json.loads(lines)["port"]
        finally:
            process.terminate()


def post(port: int, request: dict[str, Any]) -> Said:
    """Ask for one input over HTTP."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/v1/predict", json.dumps(request))
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    shown = json.loads(body, parse_constant=_not_json)
    if reply.status != 200:
        is_named = reply.status in (400, 413, 422) or "not a number" in shown["error"]
        return Said(problem=f"{'InputError' if is_named else reply.status}: {shown['error']}")
    [shown] = shown
    is_cut = '"truncated":true' in body.decode()
    return Said(answer=answer_of(shown), is_cut=is_cut)


def answer_of(shown: Any) -> Answer:  # noqa: ANN401
    """Read an answer as JSON shows it: labels with their scores, entities, or a vector."""
    if isinstance(shown, dict):
        shown = next(value for value in shown.values() if isinstance(value, list))
    if shown and isinstance(shown[0], float):
        return np.array(shown)
    if shown and "label" in shown[0]:
        return {item["label"]: item["score"] for item in shown}
    return [Entity(x["entity_group"], x["start"], x["end"], x["score"]) for x in shown]


def _not_json(constant: str) -> object:
    raise click.ClickException(f"the answer is no JSON: it holds {constant}")


def as_table(rows: Sequence[Row]) -> list[str]:
    """Write the table, a line for each variant."""
    lines = [
        f"| model | task | variant | {' | '.join(VERDICTS)} |",
        "| --- | --- | --- |" + " --- |" * len(VERDICTS),
    ]
    for row in rows:
        counts = " | ".join(str(row.counts[name]) if not row.failed else "-" for name in VERDICTS)
        lines.append(f"| {row.name} | {row.task} | {row.variant} | {counts} |")
    return lines


def as_reasons(rows: Sequence[Row]) -> Iterator[str]:
    """Say what is wrong with each variant, a line for each way to be wrong."""
    for row in rows:
        if row.failed:
            yield f"FAILED {row.name}, {row.task}, {row.variant}: {row.failed}"
        found: dict[str, list[Wrong]] = {}
        for wrong in row.wrong:
            found.setdefault(wrong.problem, []).append(wrong)
        for problem, items in found.items():
            where = f"{row.name}, {row.task}, {row.variant}: {problem}: {len(items)} times"
            kinds = ", ".join(dict.fromkeys(item.kind for item in items))
            yield f"WRONG {where} ({kinds}), such as {items[0].example}"


def chosen(given: str | None, known: Sequence[str]) -> list[str]:
    """Read a list of names, all of them without one."""
    names = given.split(",") if given is not None else list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(known)}")
    return names


@click.command()
@click.option("--families", help="Of the models, by commas; the specialists' names too.")
@click.option("--tasks", help="That the families' models are made for, by commas.")
@click.option("--inputs", default=500, show_default=True, help="How many each model is asked.")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Write the counts here, too.")
def main(families: str | None, tasks: str | None, inputs: int, out: Path | None) -> None:
    """Print the table, and exit with 1 if any answer is wrong."""
    names = chosen(families, [*FAMILIES, *SPECIALISTS])
    wanted = chosen(tasks, list(ENDINGS))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make_key_pair(work / "release.key", None)
        asked: set[str] = set()
        for name in names:
            for task in wanted if name in FAMILIES else [SPECIALISTS[name]]:
                here = work / name / task
                case = make_case(name, task, here / "model", inputs)
                for row in rows_of(case, here, work, over_http=task not in asked):
                    rows.append(row)
                    click.echo("\n".join([as_table([row])[-1], *as_reasons([row])]), err=True)
                asked.add(task)
    click.echo("\n".join([*as_table(rows), *as_reasons(rows)]))
    if out:
        out.write_text(
            json.dumps(
                [{**row._asdict(), "wrong": [*map(Wrong._asdict, row.wrong)]} for row in rows],
                indent=1,
            )
        )
    sys.exit(1 if any(row.wrong for row in rows) else 0)


if __name__ == "__main__":
    main()
