"""Arguments and options that several verbs share, each with the one spelling that it has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from edgekit.errors import InputError

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)

BUNDLE = click.argument("bundle", type=FILE)
APPLIANCE = click.argument("appliance", type=FILE)
MODEL = click.option("--model", help="Which model, if the appliance holds several.")
EVIDENCE_TRUST = click.option(
    "--evidence-trust",
    type=FILE,
    multiple=True,
    help="Public key that may sign evidence, beside the key of --trust; once for each.",
)


def trust_option(text: str, *, required: bool = False) -> Callable[[F], F]:
    """Make `--trust FILE`, a public key or a trust file; `--key` is a private key everywhere."""
    return click.option("--trust", type=FILE, required=required, help=text)


def old_key_option(function: F) -> F:
    """Answer `--key FILE`, as older scripts name a public key, with the option of today."""
    return renamed("--key", "a public key, or a trust file, is named by --trust")(function)


def renamed(old: str, way_out: str) -> Callable[[F], F]:
    """Make a hidden option of an older edgekit, which answers in one line with the new name."""

    def refuse(_: click.Context, __: click.Parameter, given: object) -> None:
        if given:
            raise InputError(f"{old}: {way_out}")

    # eager: it has its say before anything that is required is missed
    return click.option(old, hidden=True, expose_value=False, is_eager=True, callback=refuse)
