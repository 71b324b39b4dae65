"""The verb `edgekit doctor`."""

import platform
import shutil
from importlib.util import find_spec

import click
from rich.table import Table

from edgekit.console import human_bytes, json_option, print_json, print_table
from edgekit.edge.engines import ENGINES, engine_version
from edgekit.installation import install_command
from edgekit.targets.detect import closest_target, detect_machine

# package as imported: (what for, the extra that brings it)
OPTIONAL = {
    "PIL": ("pictures", "vision"),
    "jinja2": ("report as a page", "report"),
    "torch": ("building: the reference", "build"),
    "transformers": ("building: Hugging Face models", "build"),
    "optimum": ("building: ONNX export", "build"),
    "onnx": ("building: ONNX recipes", "build"),
    "nncf": ("building: OpenVINO int8", "build"),
    "gguf": ("building: GGUF recipes", "build"),
}


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say what is missing here and how to get it.

    An appliance needs one engine and nothing to build with.

    \b
    Example:
      edgekit doctor
    """
    checks = [*_machine(), *_packages()]
    if as_json:
        print_json(
            [dict(zip(("check", "ok", "found", "way_out"), check, strict=True)) for check in checks]
        )
        return
    table = Table("check", "", "found", "way out")
    for name, ok, found, way_out in checks:
        table.add_row(
            name, "[green]ok[/]" if ok else "[yellow]missing[/]", found, way_out.replace("[", r"\[")
        )
    print_table(table)


def _machine() -> list[tuple[str, bool, str, str]]:
    """Return the checks of the machine: name, whether it is well, what was found, the way out."""
    machine = detect_machine()
    free = shutil.disk_usage(".").free
    return [
        ("python", True, platform.python_version(), ""),
        ("device class", True, closest_target(machine).name, ""),
        (
            "memory",
            machine.memory_bytes > 1 << 30,
            human_bytes(machine.memory_bytes),
            "1 GiB is the least that is useful",
        ),
        ("disk", free > 4 << 30, f"{human_bytes(free)} free here", "a build needs about 4 GiB"),
    ]


def _packages() -> list[tuple[str, bool, str, str]]:
    """Return the checks of engines and optional packages, in the same form."""
    checks = []
    for name, entry in ENGINES.items():
        if not entry.extra:
            continue  # a part of edgekit
        version = engine_version(name)
        checks.append(
            (f"engine {name}", version is not None, version or "", install_command(entry.extra))
        )
    for package, (what, extra) in OPTIONAL.items():
        found = find_spec(package) is not None
        checks.append((what, found, package if found else "", install_command(extra)))
    return [(name, ok, found, "" if ok else way_out) for name, ok, found, way_out in checks]
