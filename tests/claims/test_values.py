"""Printed values and arithmetic among them."""

import pytest

from helpers.claims import values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.860", (0.86, 0.86, 0.0005)),
        ("90.05 %", (0.9005, 0.9005, 0.00005)),
        ("20-25", (20, 25, 0.5)),
        ("0.5-1 %", (0.005, 0.01, 0.0005)),
        ("-0.1", (-0.1, -0.1, 0.05)),
        ("719.6274362", (719.6274362, 719.6274362, 5e-8)),
    ],
)
def test_printed_values_and_their_digits(text, expected):
    assert values.parse(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("mean", "half", "words"),
    [(0.8601, 0.01849, "0.860 ± 0.018"), (-385.0251, 592.5606, "-385 ± 593"), (12345.6, 7.04, "12,345.6 ± 7.0")]
    + [(0.5, 0.0, "0.5000 ± 0.0000"), (0.5, float("inf"), "0.5000 ± inf")],
)
def test_a_mean_has_the_decimals_of_its_half_width(mean, half, words):
    assert values.plus_minus(mean, half) == words


@pytest.mark.parametrize("text", ["", "about 1", "1e-5", "--0.1", "0.1-", 0.86, "%"])
def test_what_is_no_printed_value(text):
    with pytest.raises(ValueError, match="value must be like"):
        values.parse(text)


@pytest.mark.parametrize(
    ("check", "holds"),
    [
        ("a = b", False),  # 89.88 % beside 89.89 %: their intervals only touch
        ("a = c", True),  # 0.8988 and 0.899
        ("fits = 9 * 3", True),
        ("fits = 16", False),
        ("speed = 60000 * 100 / time", False),
        ("60000 * 100 / time > 8337", True),
        ("loss >= (1 - accuracy) * log(2)", True),  # 0.158 beside 0.904 is a bound, not an equality
        ("loss <= (1 - accuracy) * log(2)", False),
        ("figures(a, 2) = 0.9", True),
        ("share of 6000", True),  # 5425 of 6000 are 90.42 %
        ("share of 1000", False),
        ("other of 6000", False),  # between 5426 and 5427 of 6000
        ("linear((49, 16), 16, 256) = (49, 256)", True),
        ("linear((49, 16), 16, 256) = (49, 128)", False),
        ("linear((128,), 256, 256) = (256,)", False),  # does not fit
        ("turn(normalised((49, 256), 49)) = (256, 49)", True),
        ("normalised((49, 256), 256) = (49, 256)", False),
        ("abs(a - 1) < 0.2", True),
    ],
)
def test_consistent_to_the_printed_digits(check, holds):
    printed = {
        "a": "89.88 %", "b": "89.89 %", "c": "0.899", "fits": "27", "speed": "21217.8", "time": "719.6274362",
        "loss": "0.158", "accuracy": "0.904", "share": "90.42 %", "other": "90.44 %",
    }  # fmt: skip
    assert values.consistent(check, printed)[0] is holds


def test_both_sides_are_given_with_their_range():
    assert values.consistent("A1.x = 2 * 3", {"A1.x": "6.0"}) == (True, "6.0 and 6")
    assert values.consistent("2 * A1.x = 7", {"A1.x": "6.0"}) == (False, "11.9 to 12.1 and 7")
    assert values.consistent("A1.x = 2", {"A1.x": "21217.812345678"}) == (
        False,
        "21217.8 and 2",
    )
    assert values.consistent("linear((128,), 128, 10) = (10,)", {}) == (True, "10 and 10")


def test_ids_are_found_in_a_check():
    assert values.names("A1.speed = 60000 * log(A1.a.b) / x") == ["A1.speed", "x", "A1.a.b"]


@pytest.mark.parametrize("check", ["A1.speed", "a = open('x')", "a = __import__('os')", "a = [1]", "a = b if c else d"])
def test_nothing_but_arithmetic_is_computed(check):
    with pytest.raises((ValueError, KeyError)):
        if not values.consistent(check, dict.fromkeys("abc", "1"))[0]:
            raise ValueError("refused in words")
