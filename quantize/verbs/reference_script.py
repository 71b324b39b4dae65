"""`edgekit reference-script`."""

from pathlib import Path

import click


@click.command("reference-script")
@click.argument("spec", type=click.Path(path_type=Path), default="edgekit.toml")
def reference_script(spec: Path) -> None:
    """Print a Python script that lets the model answer in the environment that it was made in.

    Run it there: it needs the model's own library and numpy, and nothing of edgekit. It writes one
    file; name that in the spec as model.reference_answers, and a build compares with it.

    \b
    Example:
      edgekit reference-script edgekit.toml > answers.py
    """
    from edgekit.quantize.reference.script import reference_script as script_of

    click.echo(script_of(spec), nl=False)
