"""The command line: verbs are named by string and imported when called, so `--help` loads nothing heavy."""

import importlib
import os
from typing import NoReturn

import click

from edgekit import __version__
from edgekit.errors import EdgekitError

# verb: (module:attribute, the line that `edgekit --help` shows)
VERBS = {
    "init": ("edgekit.quantize.verbs.init:init", "Look at a model and a data file, and write edgekit.toml."),
    "build": (
        "edgekit.quantize.verbs.build:build",
        "Quantize, compile, measure, and choose the best variant.",
    ),
    "profile": (
        "edgekit.profiles.verbs.profile:profile",
        "Measure a bundle, a build or an appliance, here or on a device.",
    ),
    "report": (
        "edgekit.profiles.verbs.report:report",
        "Show a finished build: every variant, the choice, and why.",
    ),
    "compare": (
        "edgekit.profiles.verbs.compare:compare_verb",
        "Set two builds or two measurements side by side.",
    ),
    "recipes": (
        "edgekit.quantize.verbs.recipes:recipes",
        "List what can be built, and what each recipe needs.",
    ),
    "setup": ("edgekit.quantize.verbs.setup:setup", "Get what a build needs beside its Python packages."),
    "keygen": ("edgekit.edge.verbs.keygen:keygen", "Make an Ed25519 key pair that signs bundles."),
    "trust": ("edgekit.edge.verbs.trust:trust", "Say who may sign what: root keys, roles, revocation."),
    "bundle": ("edgekit.edge.verbs.bundle:bundle", "Pack, inspect and verify signed bundles."),
    "deploy": ("edgekit.edge.verbs.deploy:deploy", "Put a bundle into an appliance folder and switch to it."),
    "rollback": ("edgekit.edge.verbs.deploy:rollback", "Go back to the model that served before."),
    "status": ("edgekit.edge.verbs.deploy:status", "Show what an appliance folder holds and serves."),
    "fsck": (
        "edgekit.edge.verbs.store:fsck",
        "Hash an appliance's files again; fall back where they rotted.",
    ),
    "gc": ("edgekit.edge.verbs.store:gc", "Remove what no model of an appliance needs any more."),
    "uninstall": ("edgekit.edge.verbs.store:uninstall", "Remove a model from an appliance."),
    "serve": ("edgekit.edge.verbs.serve:serve", "Serve the current model over HTTP on this machine."),
    "predict": ("edgekit.edge.verbs.predict:predict", "Answer once, from the command line."),
    "batch": ("edgekit.edge.verbs.batch:batch", "Run a whole CSV or JSONL file through the model."),
    "targets": ("edgekit.targets.verbs.targets:targets", "List device classes; describe this machine."),
    "doctor": ("edgekit.edge.verbs.doctor:doctor", "Say what is missing here and how to get it."),
}


class Verbs(click.Group):
    """Loads a verb when it is called, and shows an EdgekitError as one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order of the main job, not of the alphabet."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the module that holds the verb."""
        if name not in VERBS:
            return None
        module, attribute = VERBS[name][0].split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - a wrong line in VERBS is our mistake
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help lines come from the table, so that no verb is imported for them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in VERBS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; one line and an exit code for every error that edgekit knows."""
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
    """An operating system's error as one line that names the file."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edgekit")
def cli() -> None:
    """Put a small specialist model to work on a device that never sees the internet.

    \b
    On a workstation:  edgekit init, build, report, bundle pack
    On the appliance:  edgekit deploy, status, serve, batch, rollback

    \b
    Example:
      edgekit init my-model/ tickets.csv && edgekit build edgekit.toml
    """


def main() -> NoReturn:
    """The console script."""
    cli(prog_name="edgekit")
    raise SystemExit  # click exits by itself; this line is for the type checker
