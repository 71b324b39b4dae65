"""No call home: what keeps our dependencies from reaching for the network.

`import openvino` and `import nncf` look up an analytics host by default (openvino-telemetry). A
module that is None in `sys.modules` can't be imported, and both packages live without it. The hub
clients are told that they are offline. This is the belt; the appliance's sandbox is the braces.
"""

import os
import sys

SWITCHES = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def stay_offline() -> None:
    """Keep engines and build libraries from calling home.

    Call it before the first import of one of them; calling it again does nothing.
    """
    os.environ.update(SWITCHES)
    if "openvino_telemetry" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
