"""The JSON of a page: written a line a result, read with its records by key, or not at all."""

import json

import pytest

from helpers.page.bundle import bundle_text, read_bundle

RESULT = {"value": 0.9, "std": None, "n": 1, "values": [0.9], "share": 1.0, "standin": False, "budget": "full"}
RESULT |= {"unit": "", "records": ["b", "a"], "seeds": None, "statuses": []}
BUNDLE = {"title": "A page", "used": [["study_a", "a", "1"], ["study_a", "b", "1"]], "results": {"z.accuracy": RESULT}}


@pytest.fixture
def read(tmp_path):
    """What is read back of a bundle as JSON has it."""

    def read_back(text):
        path = tmp_path / "page.json"
        path.write_text(text, encoding="utf-8")
        return read_bundle(path)

    return read_back


def test_records_are_written_by_place_and_read_by_key(read):
    written = bundle_text(BUNDLE)
    assert json.loads(written)["results"]["z.accuracy"]["records"] == [1, 0]
    assert read(written) == BUNDLE
    assert RESULT["records"] == ["b", "a"]  # nothing was changed in place


def test_a_record_outside_the_list_keeps_its_key(read):
    bundle = BUNDLE | {"results": {"z.accuracy": RESULT | {"records": ["c", "a"]}}}
    assert json.loads(bundle_text(bundle))["results"]["z.accuracy"]["records"] == ["c", 0]
    assert read(bundle_text(bundle)) == bundle


def test_a_line_for_each_entry_and_each_result():
    results = dict.fromkeys("yx", RESULT)
    lines = bundle_text(BUNDLE | {"results": results}).split("\n")
    assert [line.partition(":")[0] for line in lines] == ['{"title"', '"used"', '"results"', '"x"', '"y"']


def test_bundle_without_results_or_trainings(read):
    assert read(bundle_text({"title": "A page"})) == {"title": "A page", "results": {}}


@pytest.mark.parametrize("wrong", [
    {"records": [2]}, {"records": [None]}, {"records": [1.5]}, {"records": None}, {"n": "3"}, {"value": "0.9"},
    {"values": ["0.9"]}, {"values": None}, {"share": None}, {"standin": None}, {"statuses": None},
])  # fmt: skip
def test_a_result_of_another_form_is_none(read, wrong):
    bundle = BUNDLE | {"results": {"z.accuracy": RESULT}}
    assert read(json.dumps(bundle)) == bundle
    assert read(json.dumps(BUNDLE | {"results": {"z.accuracy": RESULT | wrong}})) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"results": []}', '{"results": {"x": 1}}', "[" * 99_999])
def test_a_damaged_file_is_none(read, tmp_path, text):
    assert read(text) is None
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    assert read_bundle(tmp_path / "bytes.json") is read_bundle(tmp_path / "absent.json") is None
