"""How edgekit is installed: the distribution's name, and the command that adds an optional part.

The distribution is `edgekit-onprem`. The public package index has a stranger's package under the
name of our command, so no text of ours may tell anybody to install that.
"""

import importlib.metadata
import json
from urllib.parse import unquote, urlsplit

DISTRIBUTION = "edgekit-onprem"


def install_command(extra: str) -> str:
    """Return the pip command that adds an extra, from where this edgekit was installed.

    That is a folder or a wheel on this machine. Where pip did not note it, the wheel is named
    without its folder.
    """
    return f"pip install '{_origin()}[{extra}]'"


def _origin() -> str:
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return f"{DISTRIBUTION.replace('-', '_')}-VERSION-py3-none-any.whl"
    noted = distribution.read_text("direct_url.json")
    url = urlsplit(json.loads(noted)["url"]) if noted else urlsplit("")
    if url.scheme == "file":
        return unquote(url.path)
    return f"{DISTRIBUTION.replace('-', '_')}-{distribution.version}-py3-none-any.whl"
