"""Device classes as data: one TOML file each in devices/, and what this machine is.

To add one: a file like `x86-64-v3.toml`. `name` is the file's name.
"""

import tomllib
from functools import cache
from importlib import resources
from typing import Literal

import msgspec

from edgekit.errors import InputError
from edgekit.nouns import Noun


class Peak(Noun, frozen=True, kw_only=True):
    """How fast a device class can be at most, from its data sheet: what estimates are made from.

    fp32_per_cycle, int8_per_cycle: operations of one core in one clock cycle, two for each
    multiply-add. cores, ghz and bandwidth_gb_s: of a class that is a single board; None where the
    class is many machines.
    """

    fp32_per_cycle: float
    int8_per_cycle: float
    cores: int | None = None
    ghz: float | None = None
    bandwidth_gb_s: float | None = None
    source: str


class Target(Noun, frozen=True, kw_only=True):
    """A device class.

    isa: CPU features that every device of the class has, as Linux names them (see `edgekit targets
    detect`). recipes: what to try, by task, in this order. compile_on_device: the engine whose
    models the device compiles for itself when they are deployed ("" for none). not_run: what of
    this target has not been run on hardware by us, in one sentence ("" for nothing). peak: for
    estimates; None where nothing is known.
    """

    name: str
    title: str
    architecture: Literal["amd64", "arm64"]
    isa: tuple[str, ...]
    engines: tuple[str, ...]
    recipes: dict[str, tuple[str, ...]]
    accelerator: str = ""
    compile_on_device: str = ""
    memory_gb: float | None = None
    not_run: str = ""
    peak: Peak | None = None


@cache
def all_targets() -> dict[str, Target]:
    """Every device class by name."""
    targets = {}
    for file in sorted(
        resources.files(__name__).joinpath("devices").iterdir(), key=lambda item: item.name
    ):
        name = file.name.removesuffix(".toml")
        table = tomllib.loads(file.read_text("utf-8"))
        targets[name] = msgspec.convert({"name": name, **table}, Target)
    return targets


def find_target(name: str, where: str) -> Target:
    """A device class by name; raises InputError that lists the known ones. `where` is the file and
    key.
    """
    targets = all_targets()
    if name not in targets:
        raise InputError(
            f"{where} = {name!r}: unknown device class; known: this, {', '.join(targets)}"
        )
    return targets[name]
