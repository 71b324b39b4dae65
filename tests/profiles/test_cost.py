"""The cost sheet: its arithmetic by hand, and what it says when it can't know."""

from pathlib import Path
from typing import Any

import pytest

from edgekit.profiles.report.cost import Cost, Prices, cost_sheet
from tests.conftest import edgekit
from tests.evidence import build, exactly, variant, write_build

PRICES = Prices(
    requests_per_day=43_200,
    device_price=100,
    per_call_price=0.001,
    energy_price=0.5,
    currency="CHF",
)


def line(prices: Prices, **figures: Any) -> Cost:  # noqa: ANN401
    """Return the costs of a build with one variant."""
    return cost_sheet(build(variant("a", **figures)), prices).variants[0]


def test_measured_energy_by_hand() -> None:
    """The costs of a day agree with what is worked out by hand.

    43,200 requests of 10 J are 0.12 kWh, so 0.06; the calls cost 43.20, and 100 / 43.14 days pay
    for the device.
    """
    cost = line(PRICES, samples_per_s=2.0, energy_j=exactly(10.0), energy_source="RAPL, package-0")
    assert cost.energy_from == "measured"
    assert cost.busy_share == pytest.approx(0.25)
    assert cost.kwh_per_day == pytest.approx(0.12)
    assert cost.energy_cost_per_day == pytest.approx(0.06)
    assert cost.calls_cost_per_day == pytest.approx(43.2)
    assert cost.saved_per_day == pytest.approx(43.14)
    assert cost.break_even_days == pytest.approx(100 / 43.14)
    assert cost.verdict == "after 2.3 days"


def test_watts_stand_in_where_nothing_measured() -> None:
    """20 W for half a second is 10 J."""
    prices = Prices(requests_per_day=43_200, watts=20, energy_price=0.5)
    cost = line(prices, samples_per_s=2.0)
    assert cost.energy_from == "watts given"
    assert cost.energy_j == pytest.approx(10.0)
    assert cost.energy_cost_per_day == pytest.approx(0.06)
    assert cost.break_even_days is None
    sheet = cost_sheet(build(variant("a")), prices)
    assert any("energy was not measured: 20 W as given" in text for text in sheet.assumptions)
    assert sheet.missing == ("--device-price", "--per-call-price")


def test_a_meter_comes_before_the_users_watts() -> None:
    prices = Prices(requests_per_day=1, watts=20)
    made = build(variant("a", energy_j=exactly(3.0), energy_source="INA3221"))
    sheet = cost_sheet(made, prices)
    assert sheet.variants[0].energy_j == 3.0
    assert any("INA3221" in text for text in sheet.assumptions)
    assert any("not used" in text for text in sheet.assumptions)


def test_energy_that_costs_more_than_the_calls_never_pays() -> None:
    prices = Prices(requests_per_day=1000, device_price=1, per_call_price=1e-7, energy_price=1)
    cost = line(prices, energy_j=exactly(3.6))  # 1e-6 for each
    assert cost.verdict == "never"
    assert cost.break_even_days is None


def test_more_requests_than_the_device_can_do() -> None:
    cost = line(PRICES, samples_per_s=0.25, energy_j=exactly(1.0))
    assert cost.busy_share == pytest.approx(2.0)
    assert cost.verdict == "can't keep up"
    assert cost.saved_per_day is None
    assert cost.break_even_days is None


@pytest.mark.processes
def test_without_options_it_names_them_and_invents_nothing(tmp_path: Path) -> None:
    folder = write_build(tmp_path / "build", build(variant("a")))
    cost = edgekit("report", folder, "--json").json["cost"]
    assert cost["variants"] == []
    assert cost["missing"] == [
        "--requests-per-day", "--device-price", "--per-call-price", "--energy-price", "--watts",
    ]  # fmt: skip
    assert "The cost sheet needs: --requests-per-day" in edgekit("report", folder).out


@pytest.mark.processes
def test_the_same_in_text_json_and_html(tmp_path: Path) -> None:
    folder = write_build(tmp_path / "build", build(variant("a", samples_per_s=2.0)))
    options = (
        "--requests-per-day",
        "43200",
        "--device-price",
        "100",
        "--per-call-price",
        "0.001",
        "--watts",
        "20",
        "--energy-price",
        "0.5",
        "--currency",
        "CHF",
    )
    text = edgekit("report", folder, *options).out
    page = tmp_path / "report.html"
    found = edgekit("report", folder, *options, "--html", page, "--json").json["cost"]
    assert found["variants"][0]["break_even_days"] == pytest.approx(100 / 43.14)
    assert not found["missing"]
    for said in (text, page.read_text()):
        assert "after 2.3 days" in said
        assert "CHF" in said
        assert all(assumption in said for assumption in ("43,200 requests a day", "20 W as given"))


def test_only_variants_that_may_be_shipped_are_costed() -> None:
    made = build(variant("good"), variant("bad", "fp32", agreement=0.5))
    assert [item.variant for item in cost_sheet(made, PRICES).variants] == ["good"]


@pytest.mark.parametrize("value", ["nan", "inf"])
@pytest.mark.processes
def test_a_price_is_a_finite_number(tmp_path: Path, value: str) -> None:
    folder = write_build(tmp_path / "build", build(variant("a")))
    assert "--watts" in edgekit("report", folder, "--watts", value, code=2).err
