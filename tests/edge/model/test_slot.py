"""A setting that was found on a machine with other cores."""

from pathlib import Path

import pytest

from edgekit.edge.model.slot import shared_out
from edgekit.nouns import Setting
from edgekit.targets.detect import usable_cores
from tests import small
from tests.conftest import edgekit


@pytest.mark.parametrize(
    ("streams", "threads", "cores", "here", "expected"),
    [
        (1, 16, 16, 4, (1, 4)),  # all cores, and all cores again
        (1, 2, 2, 8, (1, 8)),
        (16, 1, 16, 4, (4, 1)),  # a stream for each core
        (2, 1, 2, 8, (8, 1)),
        (2, 8, 16, 4, (2, 2)),  # two streams share all cores
        (4, 4, 16, 2, (2, 1)),
        (1, 0, 16, 4, (1, 0)),  # what the engine likes
        (1, 1, 16, 4, (1, 1)),  # one thread, since more were no faster
        (1, 1, 1, 4, (1, 1)),
        (1, 8, 16, 4, (1, 4)),  # half the cores, but no more than there are
        (1, 8, 0, 4, (1, 4)),  # from a build that did not say
        (2, 1, 0, 4, (2, 1)),
        (2, 1, 2, 2, (2, 1)),
        (2, 1, 2, 1, (1, 1)),
    ],
)
def test_what_took_all_cores_takes_all_of_them_here_and_nothing_more_than_there_are(
    streams: int, threads: int, cores: int, here: int, expected: tuple[int, int]
) -> None:
    found = Setting(
        streams=streams, threads=threads, batch_size=32, precision="bf16", options={"a": 1}
    )
    shared = shared_out(found, cores, here)
    assert (shared.streams, shared.threads) == expected
    assert (shared.batch_size, shared.precision, shared.options) == (32, "bf16", {"a": 1})


def test_a_model_from_a_larger_machine_is_measured_and_served_with_the_cores_of_this_one(
    keys: Path, tmp_path: Path
) -> None:
    large = Setting(streams=64, threads=1, batch_size=4)
    tar = small.bundle(tmp_path / "pumps.tar", small.signing(keys), setting=large, cores=64)
    edgekit("deploy", tar, tmp_path / "box", "--trust", keys / "release.pub")
    for source in ([tmp_path / "box"], [tar, "--trust", keys / "release.pub"]):
        (found,) = edgekit("profile", *source, "--quick", "--json").json["profiles"]
        assert (found["setting"]["streams"], found["setting"]["batch_size"]) == (usable_cores(), 4)


def test_hashing_a_large_file_does_not_count_as_the_model_s_memory(
    keys: Path, tmp_path: Path
) -> None:
    def add_file(files: Path) -> None:
        with (files / "notes.bin").open("wb") as file:
            file.truncate(300_000_000)

    tar = small.bundle(
        tmp_path / "pumps.tar", small.signing(keys), spoil=add_file, peak_rss_bytes=20_000_000
    )
    edgekit("deploy", tar, tmp_path / "box", "--trust", keys / "release.pub")
