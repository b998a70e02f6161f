"""The judge: each rule, and every odd verdict that was found with made-up results."""

import math

import pytest
from made_up import claim, line, result, verdict

from helpers.claims import judge, ledger, pool, spread

A1 = "study_a.a1.test_accuracy"
PRIOR = spread.Prior(variance=0.002**2, freedom=10.0, pooled=40.0)


def number(printed, *values, **about):
    """The verdict of a printed accuracy against values of ours."""
    fields = {name: about.pop(name) for name in ("best", "classes") if name in about}
    return verdict(claim(value=printed, **fields), {A1: result(*values, **about)})


def test_number_reproduced_refuted_exceeded_and_open():
    close = (0.858, 0.860, 0.862)
    assert number("0.860", *close) == "reproduced"
    assert number("0.900", *close) == "not reproduced"
    assert number("0.800", *close, best=True) == "exceeded"
    assert number("0.900", *close, best=True) == "not reproduced"
    assert number("0.90", *[0.80] * 20, 0.95) == "inconclusive"  # outside, but not all on one side


@pytest.mark.parametrize("share", [0.999, 0.01])
@pytest.mark.parametrize(
    ("kind", "evidence", "value"),
    [
        ("number", A1, "0.900"),
        ("bound", A1, "90 %"),
        ("epoch", "study_a.a1.best_epoch", "0-1"),
        ("count", "study_a.a1.fits", "27"),
        ("statement", "study_a.a1.falls", ""),
        ("order", f"{A1} > study_a.a4.test_accuracy", ""),
    ],
)
def test_shortened_trainings_decide_nothing(share, kind, evidence, value):
    short = result(*[0.0] * 6) if kind == "statement" else result(*[0.860, 0.8601, 0.8602] * 2)
    results = {key: short | {"share": share} for key in evidence.split(" > ")}
    if kind == "order":
        results["study_a.a4.test_accuracy"] = result(*[0.1] * 6)  # in full
    row = line(claim(kind, evidence, value=value), results)
    assert row["verdict"] == "inconclusive" and "trained to" in row["reason"] and row["share"] == share


@pytest.mark.parametrize("kind", ["statement", "diverges"])
def test_a_sighting_in_a_shortened_training_decides_nothing_either(kind):
    entry = claim(kind, "study_a.a1.diverged", value="nan" if kind == "diverges" else "")
    assert verdict(entry, {"study_a.a1.diverged": result(1, 1, 0, share=0.5)}) == "inconclusive"


@pytest.mark.parametrize("values", [[0.80], [0.80, 0.801]])
def test_too_few_seeds_without_a_prior_decide_nothing(values):
    assert number("0.860", *values) == "inconclusive"
    sample = judge.Sample(key=A1, values=values, prior=PRIOR)
    assert judge.judge_number(claim(value="0.860"), sample).verdict == "not reproduced"  # the kind tells
    assert judge.judge_number(claim(value="0.801"), sample).verdict == "reproduced"


def test_every_number_carries_its_resolution_and_p():
    row = line(claim(value="0.870"), {A1: result(0.858, 0.860, 0.862)})
    t = math.sqrt(3 / 4) * (0.0095) / 0.002
    assert row["resolution"] > row["half_width"] > 0
    assert row["p"] == pytest.approx(2 * judge.stats.t.sf(t, 2))


def test_the_evaluation_sets_own_size_counts():
    wide = judge.Sample(key=A1, values=[0.86] * 3, images=1000)
    assert judge.judge_number(claim(value="0.875"), wide).verdict == "reproduced"
    assert number("0.875", 0.86, 0.86, 0.86) == "not reproduced"  # 10,000 images


# -- odd verdicts, each found with made-up results ------------------------------------------------


def test_an_interval_that_holds_everything_reproduces_nothing():
    assert number("0.60", 0.55, 0.75, 0.92) == "inconclusive"
    assert number("0.75", 0.55, 0.75, 0.92) == "inconclusive"


def test_a_loss_is_coarse_in_its_own_measure():
    key = "study_a.a1.train_loss"
    assert verdict(claim(evidence=key, value="0.113"), {key: result(0.112, 0.113, 0.114)}) == "reproduced"
    assert verdict(claim(evidence=key, value="0.113"), {key: result(0.08, 0.113, 0.14)}) == "inconclusive"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 24, 30], "inconclusive"),  # its median alone is 24
        ([20, 27, 26], "inconclusive"),  # near, but so far apart that 40 might be met as well
        ([22, 26, 25, 24, 25], "reproduced"),
        ([24, 25, 23], "reproduced"),
        ([10, 12, 11], "not reproduced"),
        ([10, 12, 24], "inconclusive"),
        ([24, None, None], "inconclusive"),
        ([None] * 3, "inconclusive"),  # three that never came are three of a rare kind, perhaps
        ([None] * 5, "not reproduced"),
        ([28], "inconclusive"),  # one run
    ],
)
def test_an_epoch_is_met_by_most_seeds_not_by_their_median(values, expected):
    key = "study_b.final.best_epoch"
    assert verdict(claim("epoch", key, value="24"), {key: result(*values)}) == expected


def test_a_bound_says_nothing_with_seeds_at_chance():
    key = "study_c.normal.test_accuracy"
    entry = claim("bound", key, value="90 %")
    assert verdict(entry, {key: result(0.1, 0.1, 0.1)}) == "inconclusive"
    assert verdict(entry, {key: result(0.1, 0.1, 0.86)}) == "inconclusive"
    assert verdict(entry, {key: result(0.860, 0.861, 0.862)}) == "reproduced"
    assert verdict(entry, {key: result(0.899, 0.900, 0.898)}) == "inconclusive"  # below, but within the error
    assert verdict(entry, {key: result(0.920, 0.921, 0.919)}) == "not reproduced"


def test_chance_hangs_on_the_number_of_classes():
    seeds = 0.118, 0.119, 0.1185
    assert number("0.125", *seeds, classes=100) == "reproduced"  # well above a chance of 0.01
    assert number("0.25", *seeds, classes=100) == "not reproduced"
    assert number("0.25", *seeds) == "inconclusive"  # of ten classes these have learnt nothing


def test_seeds_at_chance_refute_nothing_by_themselves():
    assert number("0.86", 0.1) == number("0.86", 0.1, None, 0.1) == "inconclusive"
    assert number("0.86", *[0.1] * 5) == "not reproduced"  # a report's run that trains would be one in 32
    assert number("0.1", 0.1, 0.1, 0.1) == "reproduced"
    assert number("0.857", 0.86, 0.1, 0.855, 0.1, 0.858) == "reproduced"  # three of five trained, and agree
    assert number("0.30", 0.86, 0.1, 0.855, 0.1, 0.858) == "inconclusive"  # between them and the others
    assert number("0.80", 0.86, 0.861, 0.862, None) == "inconclusive"
    assert number("0.99", 0.86, 0.1, 0.855, 0.1, 0.858) == "not reproduced"
    assert number("0.86", 0.86, 0.861, 0.859, 0.1, 0.1, 0.1) == "inconclusive"  # half of the runs do not do that


def test_a_printed_nan_is_no_accuracy_at_chance():
    key = "study_a.a2.diverged"

    def ended(statuses, ends):
        results = {key: result(*[float(s == "diverged") for s in statuses], statuses=statuses)}
        return results | {"study_a.a2.test_accuracy": result(*ends)}

    printed_nan, lost = claim("diverges", key, value="nan"), claim("diverges", key, value="0.100")
    at_chance = ended(["ok"] * 5, [0.1] * 5)
    assert verdict(printed_nan, at_chance) == "inconclusive"  # its loss is finite
    assert verdict(lost, at_chance) == "reproduced"
    assert verdict(printed_nan, ended(["diverged"] * 3, [0.1] * 3)) == "reproduced"
    assert verdict(printed_nan, ended(["ok"] * 5, [0.88] * 5)) == "not reproduced"
    assert verdict(printed_nan, ended(["ok"] * 3, [0.88] * 3)) == "inconclusive"
    assert verdict(lost, ended(["diverged", "ok", "ok"], [0.1, 0.88, 0.88])) == "inconclusive"
    with pytest.raises(ValueError, match="kind diverges"):
        claim(value="nan")


def test_chance_after_little_training_is_no_divergence():
    key = "study_a.a2.diverged"
    results = {key: result(0.0, statuses=["ok"], share=0.01), "study_a.a2.test_accuracy": result(0.1, share=0.01)}
    assert verdict(claim("diverges", key, value="0.100"), results) == "inconclusive"


def test_a_flag_does_not_stand_beside_a_printed_accuracy():
    key = "study_a.a2.diverged"
    results = {key: result(0.0, 1.0, statuses=["ok", "diverged"]), "study_a.a2.test_accuracy": result(0.88, 0.1)}
    assert line(claim("diverges", key, value="0.100"), results)["measured"] == "seen in 1 of 2"


def test_27_of_27_fits_that_end_at_nan_are_reproduced():
    key = "study_d.grid_printed.diverged"
    results = {key: result(*[1.0] * 27, seeds=None)}
    assert verdict(claim("diverges", key, value="nan"), results) == "reproduced"


@pytest.mark.parametrize(("values", "expected"), [([27.0], "reproduced"), ([26.0], "not reproduced")])
def test_a_count_is_exact(values, expected):
    key = "study_d.grid_printed.fits"
    row = line(claim("count", key, value="27"), {key: result(*values, seeds=None)})
    assert row["verdict"] == expected and row["half_width"] is None


def test_a_count_over_seeds_is_a_finding():
    key = "study_d.grid.best_lr"
    entry = claim("count", key, value="0.001")
    assert verdict(entry, {key: result(0.01, 0.02, 0.01)}) == "inconclusive"
    assert verdict(entry, {key: result(*[0.01] * 6)}) == "not reproduced"


def test_a_finding_is_tested_from_five_seeds_on():
    key = "study_b.final.rises"
    shown = {seeds: line(claim("statement", key), {key: result(*seeds)}) for seeds in ((0,) * 4, (0,) * 5, (1,) * 5)}
    assert [row["p"] is None for row in shown.values()] == [True, False, False]
    assert [row["verdict"] for row in shown.values()] == ["inconclusive", "not reproduced", "reproduced"]


def test_the_highest_accuracy_of_a_seed_that_later_diverged_counts():
    best, last = "study_e.arch8.best_test_accuracy", "study_e.arch8.test_accuracy"
    statuses = ["diverged", "diverged", "ok"]
    results = {best: result(0.848, 0.846, 0.847, statuses=statuses), last: result(0.1, None, 0.84, statuses=statuses)}
    assert verdict(claim(evidence=best, value="85 %", best=True), results) == "reproduced"
    assert verdict(claim(evidence=last, value="85 %", best=True), results) == "inconclusive"


def test_our_value_is_that_of_the_seeds_that_the_verdict_rests_on():
    key, statuses = "study_e.arch8.test_accuracy", ["diverged", "ok", "ok", "ok"]
    row = line(claim(evidence=key, value="85 %"), {key: result(0.1, 0.861, 0.862, 0.863, statuses=statuses)})
    assert row["value"] == pytest.approx(0.862) and (row["lost"], row["n"]) == (1, 4)
    words = ledger.with_interval(row)
    assert words.startswith("86.20 % [") and words.endswith("], without 1 of 4 that diverged or stayed at chance")


def test_facts_of_the_code_need_no_second_seed():
    key = "study_e.published.cross_entropy_delta"
    row = line(claim("statement", key), {key: result(0, seeds=None)})
    assert (row["verdict"], row["measured"]) == ("not reproduced", "no, by its code")
    assert verdict(claim("statement", key), {key: result(0)}) == "inconclusive"  # a training, once


@pytest.mark.parametrize(
    ("values", "expected"), [([1], "inconclusive"), ([1, 1], "reproduced"), ([1, 0], "reproduced")]
)
def test_a_finding_seen_in_one_training_alone_decides_nothing(values, expected):
    key = "study_b.final.rises"
    assert verdict(claim("statement", key), {key: result(*values)}) == expected
    assert (
        verdict(
            claim("diverges", "study_a.a2.diverged", value="0.100"),
            {"study_a.a2.diverged": result(*values, statuses=["diverged" if value else "ok" for value in values])},
        )
        == expected
    )
    assert verdict(claim("statement", key), {key: result(*[0] * 5)}) == "not reproduced"
    assert verdict(claim("statement", key), {key: result()}) == "inconclusive"


def test_what_a_good_training_does_not_measure_is_no_failure():
    key, entry = "study_f.epochs25.accuracy_epoch40", claim(evidence="study_f.epochs25.accuracy_epoch40", value="0.45")
    assert verdict(entry, {key: result(*[None] * 5, statuses=["ok"] * 5)}) == "inconclusive"
    assert verdict(entry, {key: result(*[None] * 5, statuses=["diverged"] * 5)}) == "not reproduced"
    assert verdict(claim("statement", key), {key: result(*[None] * 5)}) == "inconclusive"


def test_one_training_makes_no_count_and_a_wide_interval_no_gap():
    key = "study_d.grid.best_epochs"
    assert verdict(claim("count", key, value="10"), {key: result(10)}) == "inconclusive"
    assert verdict(claim("count", key, value="10"), {key: result(10, seeds=None)}) == "reproduced"  # a fact of the code


def test_our_value_of_a_bound_is_that_of_the_seeds_that_trained():
    key = "study_c.blocks1.test_accuracy"
    row = line(claim("bound", key, value="90 %"), {key: result(0.1, 0.860, 0.861, 0.862)})
    assert row["value"] == pytest.approx(0.861) and row["lost"] == 1


def test_a_gain_is_no_accuracy_at_chance():
    key = "study_c.scheduler_gain.test_accuracy"
    entry = claim(evidence=key, value="0.5-1 %")
    assert verdict(claim(evidence=key, value="2-3 %"), {key: result(0.024, 0.025, 0.026)}) == "reproduced"
    assert verdict(entry, {key: result(-0.003, -0.002, 0.0)}) == "inconclusive"  # near enough to 0.5, but none
    assert verdict(entry, {key: result(0.023, 0.010, 0.019)}) == "inconclusive"  # might be none, or thrice as much
    assert verdict(entry, {key: result(None)}) == "inconclusive"  # no pair trained alike


def test_times_give_a_ratio_and_no_verdict():
    key = "study_a.a1.seconds"
    row = line(claim("time", key, value="719.6"), {key: result(359.8)})
    assert row["verdict"] == "not comparable" and "0.5" in row["reason"]
    assert line(claim("time", key, value="719.6"), {key: result(3.598, share=0.01)})["reason"] == row["reason"]


def test_standin_data_are_not_compared():
    assert verdict(claim(value="0.86"), {A1: result(0.86, standin=True)}) == "not comparable"


def test_made_up_bases_are_not_strict_but_committed_ones_are():
    assert pool.Basis().strict
    assert verdict(claim(value="0.900"), {A1: result(0.858, 0.860, 0.862)}, pool.Basis()) == "inconclusive"
