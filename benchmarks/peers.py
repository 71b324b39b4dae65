"""Make models by other tools from a checkpoint, ready for edgekit's engines.

The tools run by their own command lines (peers.toml).

python benchmarks/peers.py MODEL TASK OUT --task-folder ARTIFACT --python /path/to/peers/bin/python

Prints a JSON array: name, engine, folder, size_bytes, and problem, a line that says why there is no
file. A file that is there from an earlier run is taken; what failed is tried again.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click

HERE = Path(__file__).resolve().parent
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "OLIVE_DISABLE_TELEMETRY": "1",
}
MODEL_FILES = (".onnx", ".xml", ".bin", ".gguf")
ERROR = re.compile(r"[\w.]*(Error|Exception): ")
PATH = click.Path(exists=True, path_type=Path)


def run_peer(peer: dict[str, str], values: dict[str, Any]) -> str:
    """Run a command in an empty folder.

    Return the reason in one line why there is no file, or "".
    """
    made: Path = values["out"]
    if "{converter}" in peer["command"] and values["converter"] is None:
        return "not run: --converter is not given"
    if "base" in peer and not (values["base"] / peer["base_file"]).is_file():
        return f"not run: {peer['base']} made no file"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    command = [word.format(**values) for word in shlex.split(peer["command"])]
    click.echo(shlex.join(command), err=True)
    done = subprocess.run(
        command,
        cwd=made,
        env={**os.environ, **OFFLINE},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    (made / "log.txt").write_text(done.stdout, "utf-8")
    if done.returncode == 0 and (made / peer["file"]).is_file():
        (made / "made").touch()
        return ""
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    # Some log an error and end well all the same: the error says more than the last line.
    said = [line for line in lines if ERROR.match(line)] or lines or ["no output"]
    return f"exit code {done.returncode}: {said[-1][:160]}"


def lay_out(model: Path, task_folder: Path, folder: Path) -> int:
    """Put a peer's model under edgekit's names, beside edgekit's own task.

    Return the model's bytes.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in ("task.json", "tokenizer.json"):
        if (task_folder / name).is_file():
            shutil.copyfile(task_folder / name, folder / name)
    size = 0
    for path in sorted(model.parent.glob(f"{model.stem}.*")):
        is_main = path.name == model.stem + path.suffix and path.suffix in MODEL_FILES
        # a graph names the file of its weights: that keeps its name
        if is_main or path.name.startswith(model.name):
            shutil.copyfile(path, folder / (f"model{path.suffix}" if is_main else path.name))
            size += path.stat().st_size
    return size


def make(peer: dict[str, str], values: dict[str, Any], task_folder: Path) -> dict[str, Any]:
    """Make one peer's file, or say its problem."""
    made: Path = values["out"]
    problem = "" if (made / "made").is_file() else run_peer(peer, values)
    folder = made / "variant"
    size = 0 if problem else lay_out(made / peer["file"], task_folder, folder)
    return {
        "name": peer["name"],
        "engine": peer["engine"],
        "folder": str(folder),
        "size_bytes": size,
        "problem": problem,
    }


@click.command()
@click.argument("model", type=PATH)
@click.argument("task")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--task-folder", type=PATH, required=True, help="With edgekit's task.json and tokenizer.json."
)
@click.option(
    "--python", type=PATH, required=True, help="Of the environment where the peers are installed."
)
@click.option("--converter", type=PATH, help="convert_hf_to_gguf.py of llama.cpp.")
def main(
    model: Path, task: str, out: Path, task_folder: Path, python: Path, converter: Path | None
) -> None:
    """Make what is missing in OUT."""
    out = out.resolve()
    values = {
        "bin": python.absolute().parent,
        "python": python.absolute(),
        "edgekit": sys.executable,
        "here": HERE,
        "converter": converter and converter.resolve(),
        "model": model.resolve(),
        "task": task,
    }
    table = tomllib.loads((HERE / "peers.toml").read_text("utf-8"))
    files = {peer["name"]: peer["file"] for peer in table["peer"]}
    found = []
    for peer in table["peer"]:
        base = peer.get("base", "")
        places = {"base": out / base, "out": out / peer["name"]}
        found.append(
            make({**peer, "base_file": files.get(base, "")}, {**values, **places}, task_folder)
        )
    click.echo(json.dumps(found))


if __name__ == "__main__":
    main()
