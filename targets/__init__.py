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

InputKind = Literal["text", "picture", "table"]  # what a model takes, for the choice of recipes


class Peak(Noun, frozen=True, kw_only=True):
    """How fast a device class can be at most, from its data sheet: what estimates are made from.

    fp32_per_cycle, int8_per_cycle: operations of one core in one clock cycle, two for each
        multiply-add.
    cores, ghz, bandwidth_gb_s: of a class that is a single board; None where the class is many
        machines.
    source: where these figures come from.
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
        detect`).
    recipes: what to try, in this order, by the kind of input that a model takes.
    more: what to try after that, by task, where that is worth it for one task only.
    compile_on_device: the engine whose models the device compiles for itself when they are
        deployed; "" for none.
    memory_gb: of a class that is a single board; None where the class is many machines.
    not_run: what of this target has not been run on hardware by us, in one sentence; "" for
        nothing.
    peak: for estimates; None where nothing is known.
    """

    name: str
    title: str
    architecture: Literal["amd64", "arm64"]
    isa: tuple[str, ...]
    engines: tuple[str, ...]
    recipes: dict[InputKind, tuple[str, ...]]
    more: dict[str, tuple[str, ...]] = {}
    accelerator: str = ""
    compile_on_device: str = ""
    memory_gb: float | None = None
    not_run: str = ""
    peak: Peak | None = None

    def recipes_for(self, task: str, kind: InputKind) -> tuple[str, ...]:
        """Return the recipes to try for a task that takes such inputs, in this order."""
        return (*self.recipes.get(kind, ()), *self.more.get(task, ()))


@cache
def all_targets() -> dict[str, Target]:
    """Read every device class, by name."""
    targets = {}
    for file in sorted(
        resources.files(__name__).joinpath("devices").iterdir(), key=lambda item: item.name
    ):
        name = file.name.removesuffix(".toml")
        table = tomllib.loads(file.read_text("utf-8"))
        targets[name] = msgspec.convert({"name": name, **table}, Target)
    return targets


def find_target(name: str, where: str) -> Target:
    """Return a device class by its name; raises InputError that lists the known ones.

    where: the file and the key that name it.
    """
    targets = all_targets()
    if name not in targets:
        raise InputError(
            f"{where} = {name!r}: unknown device class; known: this, {', '.join(targets)}"
        )
    return targets[name]
