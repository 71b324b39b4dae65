"""`edgekit compare`: verdicts, differences, warnings, and wrong files."""

from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import InputError
from edgekit.nouns import Build, Measured, Profile, Profiles, Setting
from edgekit.profiles.compare import Compared, compare, read_side
from tests.conftest import edgekit
from tests.evidence import build, exactly, performance, variant, write_build


def rounds(*p50: float, name: str = "a", **figures: Any) -> Measured:  # noqa: ANN401
    """A variant whose rounds took this many ms; throughput goes with them."""
    return variant(
        name,
        p50_ms=p50[0],
        samples_per_s=1000 / p50[0],
        round_p50_ms=p50,
        round_samples_per_s=tuple(1000 / ms for ms in p50),
        **figures,
    )


def compared(tmp_path: Path, a: Build, b: Build) -> Compared:
    """Two builds, by way of their files."""
    return compare(
        read_side(write_build(tmp_path / "a", a)), read_side(write_build(tmp_path / "b", b))
    )


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((4.0, 4.1, 3.9), (2.0, 2.1, 1.9), "faster"),
        ((2.0, 2.1, 1.9), (4.0, 4.1, 3.9), "slower"),
        ((4.0, 4.1, 3.9), (4.0, 4.1, 3.9), "can't tell"),
        ((4.0, 2.0, 8.0), (3.0, 1.5, 6.0), "can't tell"),
        # 8 %: two sessions of the same files differ by as much
        ((4.0, 4.01, 3.99), (3.7, 3.71, 3.69), "can't tell"),
        ((4.0, 4.01, 3.99), (4.3, 4.31, 4.29), "can't tell"),
        ((4.0, 4.01, 3.99), (3.5, 3.51, 3.49), "faster"),
        ((4.0, 4.01, 3.99), (4.6, 4.61, 4.59), "slower"),
        ((4.0,), (1.0,), "can't tell"),  # of one round nobody knows the spread
    ],
)
def test_verdicts(
    tmp_path: Path, a: tuple[float, ...], b: tuple[float, ...], expected: str
) -> None:
    found = compared(tmp_path, build(rounds(*a)), build(rounds(*b))).variants[0]
    assert found.latency == found.throughput == expected


@pytest.mark.parametrize(("before", "after"), [((), ("round 1: busy",)), (("round 1: busy",), ())])
def test_a_disturbed_side_has_no_verdict(
    tmp_path: Path, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    a = build(rounds(4.0, 4.0, 4.0, disturbed=before), rounds(4.0, 4.0, 4.0, name="b"))
    b = build(rounds(2.0, 2.0, 2.0, disturbed=after), rounds(2.0, 2.0, 2.0, name="b"))
    disturbed, clean = compared(tmp_path, a, b).variants
    assert disturbed.latency == disturbed.throughput == "can't tell"
    assert clean.latency == clean.throughput == "faster"


def test_ratios_are_b_over_a(tmp_path: Path) -> None:
    found = compared(tmp_path, build(rounds(4.0, 4.0, 4.0)), build(rounds(2.0, 2.0, 2.0))).variants[
        0
    ]
    assert found.p50_ratio.value == pytest.approx(0.5)
    assert found.throughput_ratio.value == pytest.approx(2.0)
    assert found.p50_ms == (4.0, 2.0)


def test_metric_size_and_memory(tmp_path: Path) -> None:
    before = build(variant("a", metric_value=0.90, size_bytes=5000, peak_rss_bytes=9000))
    after = build(variant("a", metric_value=0.88, size_bytes=4000, peak_rss_bytes=9500))
    found = compared(tmp_path, before, after).variants[0]
    assert found.metric_difference == pytest.approx(-0.02)
    assert found.size_difference == -1000
    assert found.memory_difference == 500


def test_what_only_one_has_is_listed(tmp_path: Path) -> None:
    found = compared(
        tmp_path, build(variant("a"), variant("old")), build(variant("new"), variant("a"))
    )
    assert [item.variant for item in found.variants] == ["a"]
    assert (found.only_a, found.only_b) == (("old",), ("new",))


def test_what_makes_them_hard_to_compare_is_said(tmp_path: Path) -> None:
    before = variant("a", machine="box", versions={"onnxruntime": "1.23"}, evaluation_sha256="one")
    after = variant(
        "a",
        machine="desk",
        versions={"onnxruntime": "1.24"},
        evaluation_sha256="two",
        effort="quick",
        setting=Setting(threads=2),
        disturbed=("round 1: other processes took 51% of the CPU time",),
    )
    found = compared(tmp_path, build(before), build(after, model="other"))
    said = "\n".join(found.warnings)
    for text in (
        "tickets, other",
        "box; desk",
        "onnxruntime: 1.23, 1.24",
        "one; two",
        "default, quick",
        "round 1",
    ):
        assert text in said
    assert "another setting" in said
    assert not compared(tmp_path, build(before), build(before)).warnings


def profile_file(path: Path, **figures: Any) -> Path:  # noqa: ANN401
    """Write a profile as `edgekit profile --out` does."""
    profile = Profile(
        model="tickets",
        version="1",
        variant="a",
        manifest="",
        setting=Setting(),
        performance=performance(**figures),
        inputs="12 of tickets.csv",
        machine="box",
        target="x86-64-v4",
        versions={},
    )
    path.write_bytes(Profiles(machine="box", profiles=(profile,)).to_json())
    return path


@pytest.mark.processes
def test_profiles_compare_with_profiles_and_with_builds(tmp_path: Path) -> None:
    one = profile_file(tmp_path / "one.json", p50_ms=4.0)
    two = profile_file(tmp_path / "two.json", p50_ms=2.0)
    found = edgekit("compare", one, two, "--json").json
    assert found["variants"][0]["p50_ratio"]["value"] == pytest.approx(0.5)
    assert found["variants"][0]["metric_difference"] is None
    folder = write_build(tmp_path / "build", build(variant("a", p50_ms=4.0)))
    assert "faster" in edgekit("compare", folder, two).out


@pytest.mark.processes
def test_the_table_names_both_sides(tmp_path: Path) -> None:
    a = write_build(tmp_path / "a", build(variant("x"), variant("[bold]")))
    b = write_build(tmp_path / "b", build(variant("x", p50_ms=2.0, p90_ms=exactly(3.0))))
    out = edgekit("compare", "a", "b", cwd=tmp_path).out
    assert a.name == "a"
    assert "B = b against A = a" in out
    assert "A and B are two sessions" in out
    assert "0.40 (0.40-0.40)" in out
    assert "Only in a: [bold]" in out
    assert b.name == "b"


@pytest.mark.processes
def test_wrong_files_are_named(tmp_path: Path) -> None:
    folder = write_build(tmp_path / "build", build(variant("a")))
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn.json").write_text('{"machine": ')
    for wrong, text in (
        (tmp_path / "none.json", "no such file"),
        (tmp_path / "empty", "no build.json in it"),
        (tmp_path / "torn.json", "not a file of `edgekit profile --out`"),
        (folder / "build.json", "of a build give the folder"),
    ):
        ran = edgekit("compare", folder, wrong, code=2)
        assert str(wrong) in ran.err
        assert text in ran.err
        assert ran.err.count("\n") == 1


def test_nothing_in_common_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no variant was measured in both"):
        compared(tmp_path, build(variant("a")), build(variant("b")))
