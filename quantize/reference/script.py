"""The script that answers in the user's own environment: raw_answers.py with the spec's values."""

from pathlib import Path

from edgekit.edge.tasks import find_task
from edgekit.edge.tasks.row_files import read_rows
from edgekit.errors import InputError
from edgekit.quantize.sources import checkpoint_of, source_task
from edgekit.spec import DataPart, load_spec

CODE = Path(__file__).with_name("raw_answers.py")
FIRST, BEHIND = "# What is answered.", "\nFORMAT ="


def reference_script(spec_path: Path) -> str:
    """Return the script for the folder and the data files of a spec; raises InputError."""
    spec = load_spec(spec_path)
    name = spec.model.task
    find_task(name, f"{spec_path}: model.task")
    folder = Path(spec.model.reference or spec.model.source)
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{folder}: no config.json in it: only a Hugging Face folder has a library of its own"
            " that could answer"
        )
    values = {
        "MODEL": str(folder),
        "TASK": name,
        "AUTO_CLASS": checkpoint_of(name).auto_class,
        "BY_WORD": source_task(name).by_word,
        "FILES": [spec.data.calibration, spec.data.evaluation],
        "COLUMNS": _columns(spec.data, spec_path),
        "MAX_LENGTH": spec.model.max_length,
    }
    text = CODE.read_text("utf-8")
    before, rest = text.split(FIRST, 1)
    block, after = rest.split(BEHIND, 1)
    lines = [_line(line, values) for line in block.split("\n")]
    return before + FIRST + "\n".join(lines) + BEHIND + after


def _line(line: str, values: dict[str, object]) -> str:
    """Fill a value in, where a line of the script sets one."""
    name = line.partition(" =")[0].partition(":")[0]
    return f"{name} = {values[name]!r}" if name in values else line


def _columns(data: DataPart, spec_path: Path) -> list[str]:
    """Return the input columns: those of the spec, or the only ones that there can be."""
    if data.input is not None:
        return [data.input] if isinstance(data.input, str) else list(data.input)
    first = next(iter(read_rows(Path(data.evaluation))), {})
    names = [name for name in first if name != data.label]
    if len(names) != 1:
        raise InputError(
            f"{spec_path}: data.input: name the columns that hold the input, of: {', '.join(names)}"
        )
    return names
