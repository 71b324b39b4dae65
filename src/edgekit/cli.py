"""The command line of edgekit: its verbs, by section, and how `--help` shows them.

Verbs are named by string and imported when called: `--help` loads nothing heavy.
"""

import importlib
import os
from collections.abc import Mapping
from typing import NamedTuple, NoReturn

import click

from edgekit import __version__
from edgekit.errors import EdgekitError


class Verb(NamedTuple):
    """A command: `module:attribute` of its click command, and the line that `--help` shows."""

    place: str
    line: str


class Family(NamedTuple):
    """A command that has commands of its own.

    line: its line in the help of `edgekit`.
    about: its own help text.
    verbs: its commands, by name.
    """

    line: str
    about: str
    verbs: Mapping[str, Verb]


SITE_IT: dict[str, Verb | Family] = {
    "deploy": Verb(
        "edgekit.edge.verbs.deploy:deploy",
        "Put a bundle into an appliance folder and switch to it.",
    ),
    "status": Verb(
        "edgekit.edge.verbs.status:status", "Show what an appliance folder holds and serves."
    ),
    "rollback": Verb(
        "edgekit.edge.verbs.rollback:rollback", "Go back to the model that served before."
    ),
    "doctor": Verb(
        "edgekit.edge.verbs.doctor:doctor", "Say what is missing here and how to get it."
    ),
    "fsck": Verb(
        "edgekit.edge.verbs.fsck:fsck",
        "Hash an appliance's files again; fall back where they rotted.",
    ),
    "gc": Verb("edgekit.edge.verbs.gc:gc", "Remove what no model of an appliance needs any more."),
    "uninstall": Verb(
        "edgekit.edge.verbs.uninstall:uninstall", "Remove a model from an appliance."
    ),
}
APPLICATIONS: dict[str, Verb | Family] = {
    "serve": Verb(
        "edgekit.edge.verbs.serve:serve", "Serve the current model over HTTP on this machine."
    ),
    "predict": Verb("edgekit.edge.verbs.predict:predict", "Answer once, from the command line."),
    "batch": Verb(
        "edgekit.edge.verbs.batch:batch", "Run a whole CSV or JSONL file through the model."
    ),
}
BUNDLE = Family(
    "Pack, inspect and verify signed bundles.",
    """Pack, inspect and verify signed bundles.

    \b
    Example:
      edgekit bundle pack build/ --key release.key --out tickets.tar
      edgekit bundle verify tickets.tar --trust release.pub
    """,
    {
        "pack": Verb(
            "edgekit.release.verbs.pack:pack",
            "Pack the chosen variant of a build into a signed bundle.",
        ),
        "verify": Verb(
            "edgekit.edge.verbs.bundle:verify_bundle", "Check the signature and every byte."
        ),
        "inspect": Verb(
            "edgekit.edge.verbs.bundle:inspect", "Show what is in a bundle, with its evidence."
        ),
        "attach": Verb(
            "edgekit.release.verbs.pack:attach", "Add what `edgekit profile` measured on a device."
        ),
        "adopt": Verb(
            "edgekit.edge.verbs.bundle:adopt",
            "Make canonical again what another OCI tool has carried.",
        ),
    },
)
TRUST = Family(
    "Say who may sign what: root keys, roles, revocation.",
    """Say who may sign releases and evidence, change it, revoke keys.

    The file is a root of trust in TUF's metadata format.

    \b
    Example:
      edgekit trust init trust.json --root a.pub --root b.pub --root c.pub --threshold 2 \\
          --release release.pub --evidence lab.pub --root-key a.key
      edgekit trust sign trust.json --root-key b.key
      edgekit trust install trust.json /var/lib/edgekit
    """,
    {
        "init": Verb(
            "edgekit.release.verbs.roots:init", "Write the first version of a trust file."
        ),
        "sign": Verb("edgekit.release.verbs.roots:sign", "Add the signatures of more root keys."),
        "update": Verb(
            "edgekit.release.verbs.roots:update", "Write the next version of a trust file."
        ),
        "show": Verb("edgekit.edge.verbs.trust:show", "Show a trust file, and what it lacks."),
        "install": Verb(
            "edgekit.edge.verbs.trust:install", "Let a device trust what the file says."
        ),
    },
)
ENGINEERS: dict[str, Verb | Family] = {
    "init": Verb(
        "edgekit.quantize.verbs.init:init",
        "Look at a model and a data file, and write edgekit.toml.",
    ),
    "build": Verb(
        "edgekit.quantize.verbs.build:build",
        "Quantize, compile, measure, and choose the best variant.",
    ),
    "reference-script": Verb(
        "edgekit.quantize.verbs.reference_script:reference_script",
        "Print a script that lets the model answer where it was made.",
    ),
    "report": Verb(
        "edgekit.profiles.verbs.report:report",
        "Show a finished build: every variant, the choice, and why.",
    ),
    "compare": Verb(
        "edgekit.profiles.verbs.compare:compare_verb",
        "Set two builds or two measurements side by side.",
    ),
    "profile": Verb(
        "edgekit.profiles.verbs.profile:profile",
        "Measure a bundle, a build or an appliance, here or on a device.",
    ),
    "bundle": BUNDLE,
    "keygen": Verb(
        "edgekit.release.verbs.keygen:keygen", "Make an Ed25519 key pair that signs bundles."
    ),
    "trust": TRUST,
    "recipes": Verb(
        "edgekit.quantize.verbs.recipes:recipes",
        "List what can be built, and what each recipe needs.",
    ),
    "targets": Verb(
        "edgekit.targets.verbs.targets:targets", "List device classes; describe this machine."
    ),
    "setup": Verb(
        "edgekit.quantize.verbs.setup:setup", "Get what a build needs beside its Python packages."
    ),
}
# `edgekit --help` shows the verbs by who uses them.
SECTIONS: Mapping[str, Mapping[str, Verb | Family]] = {
    "On the appliance": SITE_IT,
    "For applications and the night shift": APPLICATIONS,
    "On the workstation": ENGINEERS,
}
VERBS = {name: verb for verbs in SECTIONS.values() for name, verb in verbs.items()}


class Verbs(click.Group):
    """A group of commands that imports a verb when it is called."""

    def __init__(
        self, sections: Mapping[str, Mapping[str, Verb | Family]], **given: object
    ) -> None:
        super().__init__(**given)  # type: ignore[arg-type]  # click's own keywords
        self._sections = sections
        self._verbs = {name: verb for verbs in sections.values() for name, verb in verbs.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the table, not of the alphabet."""
        return list(self._verbs)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the module that holds the verb; None for an unknown name."""
        verb = self._verbs.get(name)
        if verb is None:
            return None
        if isinstance(verb, Family):
            return Verbs({"Commands": verb.verbs}, name=name, help=verb.about)
        module, attribute = verb.place.split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - a wrong line in a table is our mistake
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs by section into the help text.

        Their lines come from the tables, so no verb is imported for them.
        """
        for title, verbs in self._sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, verb.line) for name, verb in verbs.items()])


class CommandLine(Verbs):
    """The command line itself, which shows an EdgekitError as one line and exits with its code."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; every error that edgekit knows becomes one line and an exit code."""
        try:
            return super().invoke(ctx)
        except EdgekitError as error:
            click.echo(f"Error: {error}", err=True)
            raise click.exceptions.Exit(error.exit_code) from error
        except OSError as error:
            raise click.ClickException(_describe(error)) from error
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except Exception as error:
            if "EDGEKIT_TRACEBACK" in os.environ:
                raise
            name = type(error).__name__
            raise click.ClickException(
                f"a mistake in edgekit ({name}); EDGEKIT_TRACEBACK=1 shows where, please report it"
            ) from error


def _describe(error: OSError) -> str:
    """Return an operating system's error as one line that names the file."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


@click.group(
    cls=CommandLine, sections=SECTIONS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="edgekit")
def cli() -> None:
    """Put a small specialist model to work on a device that never sees the internet.

    \b
    Example:
      edgekit init my-model/ tickets.csv && edgekit build edgekit.toml
    """


def main() -> NoReturn:
    """Run the console script `edgekit`."""
    cli(prog_name="edgekit")
    raise SystemExit  # click exits by itself; this line is for the type checker
