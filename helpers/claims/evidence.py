"""The evidence: results that pages published, the records behind them, and the samples that the judge is given."""

import functools
import re

import numpy as np

from helpers import base
from helpers.base import CourseworkError
from helpers.claims import pool, spread
from helpers.claims.judge import Sample
from helpers.claims.rubric import load_rubric
from helpers.page.bundle import read_bundle
from helpers.trials import records


def short(notebook: str) -> str:
    """task1_data_loaders -> task1, study_a_sgd_sweep -> study_a; other names stay as they are."""
    return match[1] if (match := re.match(r"(task\d|study_[a-z])_", notebook)) else notebook


def load_results(budget: str) -> dict[str, dict]:
    """{full key: result} of the pages of one budget and the published ones; of two, the one trained more counts."""
    best, pages = {}, rubric_pages()
    for folder in (base.PUBLISHED, base.REPORTS / budget):
        for path in sorted(folder.glob("*.json")):
            if pages.get(short(path.stem), path.stem) != path.stem:
                continue  # a copy of a notebook does not speak for it
            bundle = read_bundle(path) or {"results": {}}  # a damaged one counts as absent
            for name, result in bundle["results"].items():
                key = f"{short(path.stem)}.{name}"
                result["page"] = str(path.with_suffix(".html").relative_to(base.ROOT))
                if key not in best or _weight(result) >= _weight(best[key]):
                    best[key] = result
    return best


def rubric_pages() -> dict[str, str]:
    """{short name: page} of the pages that the rubric names, which own their short names."""
    rubric = load_rubric()
    return {short(page): page for page in [*(task["page"] for task in rubric["tasks"]), *rubric["evidence"]]}


def _weight(result: dict) -> tuple:
    return not result["standin"], result["share"], result["n"]


def check_answered(claims: list, results: dict, unavailable=()) -> None:
    """Raises CourseworkError naming the first claim whose evidence no result answers.

    unavailable: short names of notebooks that could not run for want of data; their claims pass.
    """
    for claim in claims:
        for key in claim.needs():
            if key not in results and key.split(".")[0] not in unavailable:
                raise CourseworkError(f"claim {claim.id}: no result {key}; publish it there or mend the claims file")


@functools.cache
def record_of(key: str) -> dict | None:
    """The record of a trial key, the committed one first, whichever study it belongs to."""
    paths = [path for root in records.roots() for path in sorted(root.glob(f"*/{key}.json"))]
    loaded = ((path, records.load(path)) for path in paths)
    return next((record | {"path": str(path.relative_to(base.ROOT))} for path, record in loaded if record), None)


def sample(key: str, results: dict, basis=None, classes: int = 10, other_images: int = 0) -> Sample:
    """What the judge needs of one result: {full key: result}, with the records behind it and its kind's prior.

    basis: the committed records as the judge reads them (`pool.Basis`), by default all of them. A difference of two
    rows' accuracies varies more than either: theirs lend it no deviation. other_images: see `Sample`.
    """
    result, basis = results[key], basis or pool.committed()
    behind = [record_of(name) for name in result.get("records") or []]
    trials = [record for record in behind if record]
    row, _, metric = key.rpartition(".")
    first = trials[0] if trials else None
    lends = first and spread.is_difference(key) == spread.is_difference(metric)
    ends = results.get(f"{row}.test_accuracy", {"values": ()})["values"] if metric != "test_accuracy" else ()
    return Sample(
        key=key,
        values=result["values"],
        share=result["share"],
        statuses=tuple(result.get("statuses") or ()),
        records=tuple(result.get("records") or ()),
        fact=not result.get("records") and not result.get("seeds"),
        images=pool.images_of(metric, first),
        other_images=other_images,
        classes=classes,
        prior=basis.prior_of(pool.kind(metric, first)) if lends else None,
        floor=max((pool.scatter(metric, record) for record in trials), default=0.0) if lends else 0.0,
        marks=images_right(result, behind) if metric == "test_accuracy" and first else None,
        ends=tuple(ends),
    )


def images_right(result: dict, behind: list) -> np.ndarray | None:
    """Which test images each run behind a result got right, (runs, images).

    None where records or labels do not tell, or a value is not that of its record's last predictions.
    """
    marks = pool.marks_of(behind) if all(behind) else None
    values = np.array(result["values"], float)
    if marks is None or len(marks) != len(values) or not np.allclose(marks.mean(1), values, rtol=0, atol=1e-9):
        return None
    return marks
