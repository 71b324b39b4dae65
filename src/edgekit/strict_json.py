"""JSON that users write, read as the standard has it: Python's own reader takes more than JSON."""

import json
import math
from typing import Any


def loads(text: str | bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Read a JSON text; raises ValueError, also for NaN, Infinity and 1e400, and RecursionError."""
    return json.loads(text, parse_constant=_refuse, parse_float=_finite)


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number beyond those of 64 bits")
    return number
