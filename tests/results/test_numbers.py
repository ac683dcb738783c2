"""Numbers as text."""

from __future__ import annotations

import pytest

from clrobot.results.numbers import duration, grouped, number, number_of_kind, percent, seconds_alone, size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (number(None), "–"),
        (number(-0.001), "0.00"),
        (number(-0.0), "0.00"),
        (number(-0.5), "−0.50"),
        (number(0.5, signed=True), "+0.50"),
        (number(0.001, signed=True), "0.00"),
        (number(-0.04, decimals=1), "0.0"),
        (number(12.34, decimals=1), "12.3"),
        (grouped(1234567), "1,234,567"),
        (grouped(None), "–"),
        (percent(0.666), "67 %"),
        (size(999), "999 bytes"),
        (size(2500), "2.5 kB"),
        (size(3e9), "3.0 GB"),
        (duration(59.94), "59.9 s"),
        (duration(75), "1 min 15 s"),
        (duration(7260), "2 h 01 min"),
        (seconds_alone(1.25), "1.2"),
        (seconds_alone(1234.5), "1,234"),
        (number_of_kind(None, "bytes"), "–"),
        (number_of_kind(-0.001, "rate"), "0.00"),
        (number_of_kind(1000, "count"), "1,000"),
    ],
)
def test_numbers_are_written_in_the_unit_that_fits(text: str, expected: str) -> None:
    assert text == expected
