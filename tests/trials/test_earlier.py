"""earlier.py: a run beside the earlier ones of its kind on this machine."""

import sample_record

from helpers.trials import earlier, records


def record(number, started, *, accuracy=0.8, seconds=10.0, **changed):
    """Write a record of a small classifier whose config differs by `changed`; returns it."""
    config = {"model": "patch_mlp", "lr": 0.1, "epochs": 2, "augment": ["flip"], "options": {"width": 8}, "seed": 0}
    made = sample_record.record(key=f"{number:020d}")
    made |= {"study": "study", "trial": "classifier", "config": config | changed, "seconds": seconds}
    made |= {"metrics": {"train_loss": 0.4, "validation_accuracy": accuracy}}
    made["provenance"] = {**made["provenance"], "started": started}
    return records.write("study", made)


def test_what_was_changed_and_what_came_of_it(own_records):
    record(1, "2026-11-20T10:00:00", accuracy=0.7, lr=0.5, options={"width": 16})
    record(2, "2026-11-21T10:00:00", accuracy=0.75, augment=[], seed=1)
    record(3, "2026-11-22T10:00:00", accuracy=0.85, augment=[], seed=0, seconds=5.0)
    now = record(4, "2026-11-23T10:00:00", accuracy=0.9)
    frame = earlier.earlier_runs("study", [now])
    assert list(frame.columns) == ["run", "what differs", "validation accuracy", "seeds", "seconds"]
    lines = [tuple(line) for line in frame.itertuples(index=False)]
    assert lines[0] == ("this one", "", 0.9, 1, 10.0)
    assert lines[1][:2] == ("2026-11-22 10:00", "augment none")
    assert lines[1][2:] == (0.8, 2, 15.0)
    assert lines[2][:3] == ("2026-11-20 10:00", "lr 0.5, width 16", 0.7)


def test_the_present_run_counts_once_and_only_its_kind_beside_it(own_records):
    now = [record(seed, "2026-11-23T10:00:00", seed=seed) for seed in (0, 1)]
    record(5, "2026-11-24T10:00:00", seed=2)  # the same settings, a seed of another time
    record(6, "2026-11-24T10:00:00", model="mlp")
    frame = earlier.earlier_runs("study", now)
    assert list(frame["run"]) == ["this one"] and list(frame["seeds"]) == [2]


def test_many_runs_are_cut_to_the_newest(own_records):
    for number in range(20):
        record(number, f"2026-11-{number + 1:02d}T10:00:00", lr=1.0 + number)
    now = record(99, "2026-10-01T10:00:00")
    frame = earlier.earlier_runs("study", [now])
    assert len(frame) == earlier.MOST
    assert list(frame["what differs"])[:3] == ["", "lr 20.0", "lr 19.0"]
