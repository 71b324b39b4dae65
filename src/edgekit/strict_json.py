"""JSON that users write, read as the standard has it: Python's own reader takes more than JSON."""

import json
import math
from typing import Any


def loads(text: str | bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Read a JSON text; raises ValueError and RecursionError.

    ValueError also for NaN, Infinity and 1e400, and for an object that has a key twice: one of its
    values would be lost.
    """
    return json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key comes twice in an object")
    return found


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number beyond those of 64 bits")
    return number
