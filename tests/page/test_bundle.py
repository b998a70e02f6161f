import json

import pytest

from helpers.page.bundle import bundle_text, with_record_keys

RESULT = {"value": 0.9, "records": ["b", "a"]}
BUNDLE = {"title": "A page", "used": [["study_a", "a", "1"], ["study_a", "b", "1"]], "results": {"z.accuracy": RESULT}}


def test_records_are_written_by_place_and_read_by_key():
    written = bundle_text(BUNDLE)
    assert json.loads(written)["results"]["z.accuracy"]["records"] == [1, 0]
    assert with_record_keys(json.loads(written)) == BUNDLE
    assert RESULT["records"] == ["b", "a"]  # nothing was changed in place


def test_a_record_outside_the_list_keeps_its_key():
    bundle = BUNDLE | {"results": {"z.accuracy": {"records": ["c", "a"]}}}
    assert json.loads(bundle_text(bundle))["results"]["z.accuracy"]["records"] == ["c", 0]
    assert with_record_keys(json.loads(bundle_text(bundle))) == bundle


def test_a_line_for_each_entry_and_each_result():
    results = dict.fromkeys("yx", RESULT)
    lines = bundle_text(BUNDLE | {"results": results}).split("\n")
    assert [line.partition(":")[0] for line in lines] == ['{"title"', '"used"', '"results"', '"x"', '"y"']


def test_bundle_without_results_or_trainings():
    assert json.loads(bundle_text({"title": "A page"})) == {"title": "A page", "results": {}}
    assert with_record_keys({"results": {"x": {"value": 1}}}) == {"results": {"x": {"value": 1}}}


@pytest.mark.parametrize("place", [2, None, 1.5])
def test_a_place_that_does_not_exist_is_an_error(place):
    bundle = BUNDLE | {"results": {"z.accuracy": {"records": [place]}}}
    with pytest.raises((LookupError, TypeError)):
        with_record_keys(bundle)
