"""A price is a number and perhaps a currency, and what it makes of CPU time can be worked out by hand."""

import pytest

from producer.analysis.price import Price, parse_price
from producer.analysis.summary import summarise
from producer.errors import UsageError
from producer.rundir.reader import read_run


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("0.04", Price(core_hour=0.04)),
        ("0.04 EUR", Price(core_hour=0.04, currency="EUR")),
        ("0.04EUR", Price(core_hour=0.04, currency="EUR")),
        (" 4e-2 $ ", Price(core_hour=0.04, currency="$")),
        ("0", Price(core_hour=0.0)),
    ],
)
def test_a_price_is_a_number_with_or_without_a_currency(text, price):
    assert parse_price(text) == price


@pytest.mark.parametrize("text", ["", "EUR", "-1", "nan", "inf", "1e999", "0,04", "1 2", "0.04 <b>", "1e", "--1"])
def test_anything_else_is_refused_with_what_is_right(text):
    with pytest.raises(UsageError, match=r"no price\. Give a number of 0 or more, and its currency, e\.g\. 0\.04"):
        parse_price(text)


def test_a_million_jobs_of_3_6_ms_take_an_hour_of_a_core():
    assert Price(core_hour=0.04).of_jobs(0.0036) == pytest.approx(0.04)
    assert Price(core_hour=0.04).of_jobs(None) is None


def test_a_summary_has_the_money_of_every_lane_where_there_is_a_price(run_maker):
    path = run_maker()
    free, priced = summarise(read_run(path)), summarise(read_run(path), parse_price("2 EUR"))
    assert (free.price, priced.price) == (None, Price(core_hour=2.0, currency="EUR"))
    for without, lane in zip(free.workloads[0].lanes, priced.workloads[0].lanes, strict=True):
        assert without.money_per_million_jobs is None
        assert lane.money_per_million_jobs == pytest.approx(2 * lane.backlog_cpu_s_per_job * 1e6 / 3600)
