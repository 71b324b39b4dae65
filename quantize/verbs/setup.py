"""`edgekit setup`: what a build host needs beside its Python packages."""

from pathlib import Path

import click

from edgekit.console import json_option, print_json


@click.group()
def setup() -> None:
    """Get what a build needs beside its Python packages.

    \b
    Example:
      edgekit setup gguf
    """


@setup.command()
@click.option(
    "--sdist",
    type=click.Path(path_type=Path),
    help="The source distribution, fetched by other means.",
)
@click.option("--sha256", help="Its hash in hex, for a version that edgekit does not know.")
@json_option
def gguf(sdist: Path | None, sha256: str | None, as_json: bool) -> None:
    """Get llama.cpp's converter that matches the installed llama-cpp-python, through pip.

    Nothing is compiled.

    \b
    Example:
      edgekit setup gguf
      edgekit setup gguf --sdist llama_cpp_python-0.3.36.tar.gz
    """
    from edgekit.quantize.gguf_tools import set_up

    result = set_up(sdist, sha256)
    if as_json:
        print_json(result)
    elif result.checked:
        click.echo(
            f"{result.folder}: the converter of {result.version}; its hash was checked against"
            f" {result.checked}"
        )
    else:
        click.echo(f"{result.folder}: already here")
