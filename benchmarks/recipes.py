"""Measure every recipe of edgekit beside what other tools make from the same checkpoint.

All of it happens in one run.

python benchmarks/recipes.py --spec edgekit.toml --peers /path/to/peers/bin/python --converter
convert_hf_to_gguf.py

The build gates the recipes; a peer's file goes through the same gate with its engine's default
settings. Then all are timed in turns, in random order, each time in a fresh process by the same
code. See peers.toml for the peers' commands.
"""

import json
import math
import random
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import msgspec

from edgekit.profiles.build_folder import model_folder, read_build
from edgekit.spec import load_spec

HERE = Path(__file__).resolve().parent
OBJECTIVES = ("latency", "throughput")
PEER_BATCHES = (8, 32)  # a peer's throughput is the better of these
COLUMNS = ("drop", "≤", "agree", "MB", "p50 ms", "samples/s", "")


@dataclass(kw_only=True)
class Contender:
    """A variant of edgekit, or a peer's.

    settings: of the engine, by objective; the best of them counts.
    figures: by objective: metric_value, drop, drop_upper_bound, agreement, status.
    times: by objective: p50 in ms, or samples a second, one for each round.
    problem: why it can't be measured, in one line.
    """

    name: str
    is_peer: bool
    engine: str = ""
    folder: str = ""
    size_bytes: int = 0
    settings: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    times: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in OBJECTIVES})
    problem: str = ""


def to_toml(table: dict[str, Any]) -> str:
    """Write a spec's tables as TOML, each in one line; keys without a value are left out."""
    return "".join(f"{key} = {_toml(value)}\n" for key, value in table.items() if value is not None)


def _toml(value: object) -> str:
    if not isinstance(value, dict):
        return json.dumps(value)
    inner = (
        f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items() if item is not None
    )
    return "{" + ", ".join(inner) + "}"


def edgekit(*arguments: object) -> Any:  # noqa: ANN401
    """Run a command and return its JSON.

    Exit code 4 is a result: no variant keeps every limit.
    """
    command = [sys.executable, "-m", "edgekit", *map(str, arguments), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 4):
        raise click.ClickException(f"edgekit {arguments[0]} ended with exit code {done.returncode}")
    return json.loads(done.stdout)


def build_all(
    spec: dict[str, Any], work: Path, pattern: str, *, quick: bool
) -> tuple[dict[str, Any], list[Contender]]:
    """Build the recipes for both objectives; the builds' JSON by objective, and the variants."""
    task = spec["model"]["task"]
    fitting = [recipe["name"] for recipe in edgekit("recipes") if task in recipe["tasks"]]
    names = [
        name for name in fitting if re.fullmatch(pattern, name) and not name.endswith("-source")
    ]
    found: dict[str, Contender] = {name: Contender(name=name, is_peer=False) for name in names}
    builds: dict[str, Any] = {}
    for objective in OBJECTIVES:
        path = work / f"{objective}.toml"
        target = {**spec.get("target", {}), "recipes": names}
        path.write_text(to_toml({**spec, "objective": objective, "target": target}), "utf-8")
        builds[objective] = edgekit("build", path, "--out", work / "build", *["--quick"] * quick)
        folders = artifact_folders(work / "build")
        for item in builds[objective]["variants"]:
            take(found[item["name"]], objective, item, folders)
    return builds, list(found.values())


def take(
    contender: Contender, objective: str, item: dict[str, Any], folders: dict[str, Path]
) -> None:
    """Note what a build says of one variant."""
    if item.get("setting") is None:
        contender.problem = f"{item['status']}: {item['reason']}"
        return
    contender.engine, contender.size_bytes = item["engine"], item["size_bytes"]
    contender.folder = str(folders[item["name"]])
    contender.settings[objective] = [item["setting"]]
    numbers = {
        key: item.get(key, math.nan)
        for key in ("metric_value", "drop", "drop_upper_bound", "agreement")
    }
    contender.figures[objective] = {"metric": item["metric"], "status": item["status"], **numbers}


def artifact_folders(out: Path) -> dict[str, Path]:
    """Return where a build keeps each variant's files."""
    variants = read_build(out).variants
    return {item.name: model_folder(out, item.name) for item in variants if item.evidence}


def make_peers(
    spec: dict[str, Any], work: Path, python: Path, converter: Path | None
) -> list[Contender]:
    """Return what peers.py makes, with the default settings of the engines."""
    task_folder = next(iter(artifact_folders(work / "build").values()))
    command = [
        sys.executable,
        str(HERE / "peers.py"),
        spec["model"]["source"],
        spec["model"]["task"],
    ]
    command += [str(work / "peers"), "--task-folder", str(task_folder), "--python", str(python)]
    command += ["--converter", str(converter)] if converter else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    settings: dict[str, list[dict[str, Any]]] = {
        "latency": [{}],
        "throughput": [{"batch_size": size} for size in PEER_BATCHES],
    }
    return [Contender(is_peer=True, settings=settings, **peer) for peer in json.loads(done.stdout)]


def fresh(step: str, contender: Contender, spec: dict[str, Any], **more: object) -> Any:  # noqa: ANN401
    """Run a step of recipes_step.py in a process of its own.

    What goes wrong is the contender's problem, and the result None.
    """
    data = spec["data"]
    request = {
        "folder": contender.folder, "engine": contender.engine, "evaluation": data["evaluation"],
        "input": data.get("input"), "label": data.get("label") or "label", **more,
    }  # fmt: skip
    command = [sys.executable, str(HERE / "recipes_step.py"), step, json.dumps(request)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    contender.problem = (
        f"{step}: exit code {done.returncode}:"
        f" {(done.stderr.splitlines() or ['no output'])[-1][:160]}"
    )
    return None


def judge_peers(
    peers: Sequence[Contender], spec: dict[str, Any], work: Path, confidence: float
) -> None:
    """Put the peers' files through the gate that edgekit's own variants went through."""
    references = (work / "build" / "cache" / "references").iterdir()
    latest = str(max(references, key=lambda path: path.stat().st_mtime))
    for peer in peers:
        if not peer.problem:
            settings = peer.settings["throughput"]
            found = fresh(
                "judge", peer, spec, settings=settings, reference=latest, confidence=confidence
            )
            peer.figures = dict.fromkeys(OBJECTIVES, found) if found else {}


def time_all(contenders: Sequence[Contender], spec: dict[str, Any], rounds: int) -> None:
    """Time every contender once a round for each objective, in random order.

    One that fails is timed no more.
    """
    for number in range(rounds):
        turns = [(item, objective) for item in contenders for objective in OBJECTIVES]
        random.Random(number).shuffle(turns)  # noqa: S311 - an order, not a key
        for contender, objective in turns:
            if contender.problem:
                continue
            click.echo(f"round {number + 1} of {rounds}: {contender.name}, {objective}", err=True)
            settings = contender.settings[objective]
            found = fresh("time", contender, spec, settings=settings, objective=objective)
            if found is not None:
                contender.times[objective].append(found)


def spread(values: Sequence[float], digits: int) -> str:
    """Write median, lowest and highest."""
    if not values:
        return "-"
    return (
        f"{statistics.median(values):.{digits}f}"
        f" ({min(values):.{digits}f}-{max(values):.{digits}f})"
    )


def table_of(contenders: Sequence[Contender], chosen: dict[str, str | None]) -> list[list[str]]:
    """Make a row for each contender: edgekit's in the order of the recipes, then the peers'."""
    metrics = [item.figures["latency"].get("metric") for item in contenders if item.figures]
    return [
        ["variant", str(next(iter(metrics), "metric")), *COLUMNS],
        *(_row(item, chosen) for item in contenders),
    ]


def _row(item: Contender, chosen: dict[str, str | None]) -> list[str]:
    if item.problem:
        return [item.name, *["-"] * len(COLUMNS), item.problem]
    figures = item.figures["latency"]
    notes = [
        f"chosen for {name}"
        for name, choice in chosen.items()
        if choice == item.name and not item.is_peer
    ]
    return [
        item.name,
        f"{figures['metric_value']:.4f}",
        f"{figures['drop']:+.4f}",
        f"{figures['drop_upper_bound']:.4f}",
        f"{figures['agreement']:.4f}",
        f"{item.size_bytes / 1e6:.1f}",
        spread(item.times["latency"], 2),
        spread(item.times["throughput"], 0),
        "; ".join([figures["status"], *notes]),
    ]


def as_text(rows: Sequence[Sequence[str]], *, markdown: bool) -> str:
    """Write columns of equal width, or a Markdown table."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    if not markdown:
        return "\n".join("  ".join(line).rstrip() for line in lines)
    rule = ["-" * max(3, width) for width in widths]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


def verdicts(
    contenders: Sequence[Contender], chosen: dict[str, str | None], limit: float
) -> list[str]:
    """Write for each objective how the chosen variant compares with the peers.

    It is held against the fastest peer, and against the fastest that keeps the limit.
    """
    lines = []
    timed = {item.name: item for item in contenders if not item.problem}
    peers = [item for item in timed.values() if item.is_peer]
    for objective in OBJECTIVES:
        mine = timed.get(chosen[objective] or "")
        keeping = [item for item in peers if _bound(item, objective) <= limit]
        for what, group in (
            ("fastest peer", peers),
            ("fastest peer that keeps the limit", keeping),
        ):
            if not mine or not group:
                reason = "there is none" if mine else "no variant is chosen"
                lines.append(f"{objective}: nothing to compare with the {what}: {reason}")
                continue
            best = min(
                group, key=lambda item: _cost(statistics.median(item.times[objective]), objective)
            )
            lines.append(f"{objective}: {_compare(mine, best, objective)} ({what})")
    return lines


def _compare(mine: Contender, peer: Contender, objective: str) -> str:
    pairs = zip(mine.times[objective], peer.times[objective], strict=True)
    ratios = [_cost(theirs, objective) / _cost(ours, objective) for ours, theirs in pairs]
    bounds = _bound(mine, objective), _bound(peer, objective)
    return (
        f"{mine.name} is {spread(ratios, 2)} times as fast as {peer.name}; "
        f"its drop is at most {bounds[0]:.4f}, the peer's {bounds[1]:.4f}"
    )


def _cost(value: float, objective: str) -> float:
    return value if objective == "latency" else 1 / value


def _bound(item: Contender, objective: str) -> float:
    return float(item.figures[objective]["drop_upper_bound"])


def read_spec(
    path: Path | None, model: dict[str, Any], data: dict[str, Any], drop: float
) -> dict[str, Any]:
    """Return the spec as tables with absolute paths: of a file, or of the options."""
    if path is None:
        missing = [key for key in ("source", "task") if not model[key]]
        missing += [key for key in ("calibration", "evaluation") if not data[key]]
        if missing:
            raise click.UsageError(
                "without --spec, all of --model, --calibration, --evaluation, --task are needed"
            )
        places = {key: str(Path(data[key]).resolve()) for key in ("calibration", "evaluation")}
        model = {"name": "benchmark", **model, "source": str(Path(model["source"]).resolve())}
        return {"model": model, "data": {**data, **places}, "limits": {"max_accuracy_drop": drop}}
    return dict(msgspec.to_builtins(load_spec(path)))


PATH = click.Path(exists=True, path_type=Path)


@click.command()
@click.option("--spec", "spec_path", type=PATH, help="An edgekit.toml; instead of the next seven.")
@click.option("--model", type=PATH, help="A Hugging Face folder.")
@click.option("--calibration", type=PATH)
@click.option("--evaluation", type=PATH)
@click.option("--task")
@click.option("--max-length", type=int)
@click.option("--input", "columns", multiple=True, help="An input column; once for each.")
@click.option("--label", help="The label's column.")
@click.option("--max-accuracy-drop", default=0.01, show_default=True)
@click.option(
    "--peers", type=PATH, help="Python of the peers' environment; without it they are left out."
)
@click.option("--converter", type=PATH, help="convert_hf_to_gguf.py of llama.cpp.")
@click.option("--repeats", default=5, show_default=True)
@click.option(
    "--recipes",
    "pattern",
    default=".*",
    help="A regular expression; default: all that suit the task.",
)
@click.option("--quick", is_flag=True, help="Build with --quick.")
@click.option(
    "--work", type=click.Path(path_type=Path), default=Path("recipes-benchmark"), show_default=True
)
@click.option("--markdown", is_flag=True)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Every figure, for machines."
)
def main(**given: Any) -> None:  # noqa: ANN401 - one parameter for each option
    """Print one table: every recipe and every peer.

    It also says how the chosen variants compare with the best peer.
    """
    model = {"source": given["model"], "task": given["task"], "max_length": given["max_length"]}
    data = {name: given[name] for name in ("calibration", "evaluation", "label")}
    data["input"] = list(given["columns"]) or None
    spec = read_spec(given["spec_path"], model, data, given["max_accuracy_drop"])
    work: Path = given["work"].resolve()
    work.mkdir(parents=True, exist_ok=True)
    builds, contenders = build_all(spec, work, given["pattern"], quick=given["quick"])
    if given["peers"]:
        peers = make_peers(spec, work, given["peers"].absolute(), given["converter"])
        judge_peers(peers, spec, work, builds["latency"].get("tested_confidence", 0.95))
        contenders += peers
    time_all(contenders, spec, given["repeats"])
    chosen = {objective: builds[objective]["chosen"] for objective in OBJECTIVES}
    lines = verdicts(contenders, chosen, spec["limits"].get("max_accuracy_drop") or 1.0)
    click.echo(as_text(table_of(contenders, chosen), markdown=given["markdown"]))
    click.echo("\n".join(["", *lines]))
    if given["json_path"]:
        found = {
            "chosen": chosen,
            "verdicts": lines,
            "contenders": [asdict(item) for item in contenders],
        }
        given["json_path"].write_text(json.dumps(found, indent=2), "utf-8")


if __name__ == "__main__":
    main()
