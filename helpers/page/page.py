"""A notebook's page: publish, say, table, show, source, finish (`helpers.notebook` begins it).

    ours = page.results(trials)                     # reading ours.test_accuracy publishes it
    page.say(f"The test accuracy is {ours.test_accuracy}.")
    page.say("An image has {pixels} pixels.", {"pixels": 784})    # publishes a number and says it
    page.finish()                                   # last cell: hands the results to the page

Numbers in prose come from published results, so that a sentence cannot drift from its run.
"""

import inspect
import re
import statistics
import sys
import textwrap
from base64 import b64encode

from helpers import base
from helpers.base import CourseworkError
from helpers.page import markup
from helpers.page.parameters import check_parameters, refuse_unknown
from helpers.page.results import MISSING, SHORTENED, Result, Row, Rows, sentence, shortened

BUNDLE = "application/vnd.coursework.results+json"
BANNER = "Stand-in data: no number here says anything about the real data set."
METRICS = ("test_accuracy", "train_accuracy", "train_loss")
SENTENCES = re.compile(r"(?:(?<=[.!?])|(?<=[.!?]\*\*)) (?=[^a-z ])")  # where one ends and the next begins


class Page:
    """A notebook's page: parameters as attributes (page.budget, page.lr ...), results, displays.

    One whose name the page needs itself (data, results, table ...) is page.parameters["data"] alone.
    """

    def __init__(self, notebook: str, parameters: dict, changed: dict):
        self.notebook, self.parameters, self.changed = notebook, parameters, changed
        self.published, self.titles = {}, {}  # by key; rows in words
        self._predictions = {}
        self._data = []
        self._lengths = {}  # share of a shortened training -> what it was, in words
        for name, value in parameters.items():
            if not hasattr(self, name):
                setattr(self, name, value)

    def with_parameters(self, values: dict) -> "Page":
        """A page of the same notebook with other values of its parameters; CourseworkError on a refused one."""
        checked = check_parameters(base.NOTEBOOKS / f"{self.notebook}.ipynb", values)
        changed = {name: value for name, value in checked.items() if value != self.parameters[name]}
        return type(self)(self.notebook, self.parameters | checked, self.changed | changed)

    def publish(self, key, values, *, unit="", share=1.0, budget=None, **about):
        """Publish one result: a number, one number per seed, or a Result; `about`: seeds, records, statuses.

        A number that is not finite becomes null; mean, std (ddof 1) and n are of the others.
        """
        if isinstance(values, Result):
            return self.publish(key, list(values.values), unit=values.unit, **values.about)
        values = base.plain(values)
        values = values if isinstance(values, list) else [values]
        finite = [value for value in values if value is not None]
        if not all(isinstance(value, (int, float)) for value in finite):
            raise CourseworkError(f"{self.notebook}: publish {key}: expected numbers, not {str(values)[:60]}")
        refuse_unknown(about, ("seeds", "records", "statuses"), f"publish {key}", "keyword")
        if unit == "%":
            raise CourseworkError(f"{self.notebook}: publish {key}: give a share as a fraction of 1, without a unit")
        self.published[key] = base.plain(
            {
                "value": statistics.fmean(finite) if finite else None,
                "std": statistics.stdev(finite) if len(finite) > 1 else None,
                "n": len(finite),
                "values": values,
                "unit": unit,
                "share": share,
                "budget": budget or self.parameters.get("budget"),
                "standin": any(data["standin"] for data in self._data),
                "seeds": None,
                "records": [],
                "statuses": [],
                **about,
            }
        )

    def publish_trials(self, prefix, frame, metrics=METRICS):
        """Publish one row of trials over its seeds: prefix.<metric>, .seconds and .diverged (1 where it did, else 0).

        Raises CourseworkError when no trial has finished or a metric asked for is absent.
        """
        finished = frame[frame["status"] != "failed"]
        measured = [name for name in metrics if name in frame or metrics is not METRICS]
        if finished.empty:
            why = "; ".join(dict.fromkeys(frame["reason"])) if "reason" in frame else ""
            raise CourseworkError(f"{self.notebook}: {prefix}: no trial has finished, so no result; {why}".rstrip("; "))
        refuse_unknown(measured, frame.columns, f"{self.notebook}, {prefix}", "metric")
        about = self.about(finished)
        for metric in measured:
            self.publish(f"{prefix}.{metric}", finished[metric].tolist(), **about)
        self.publish(f"{prefix}.seconds", finished["seconds"].tolist(), unit="s", **about)
        self.publish(f"{prefix}.diverged", (finished["status"] == "diverged").astype(int).tolist(), **about)

    def publish_rows(self, frame, metrics=METRICS, *, prefix="") -> None:
        """Publish every row of trials as in `publish_trials`, as <prefix><row>, its blanks written _.

        A row whose trials all failed is left out. Raises CourseworkError where that is so of every row.
        """
        finished = frame[frame["status"] != "failed"]
        for name, part in (frame if finished.empty else finished).groupby("row", sort=False):
            self.publish_trials(f"{prefix}{name.replace(' ', '_')}", part, metrics)

    def results(self, frame) -> Row | Rows:
        """The finished trials of `frame` as objects: trials.test_accuracy, or rows.adam.test_accuracy (see `results`).

        Reading a quantity publishes it, under its name, or as <row>.<name> where there are several rows.
        """
        finished = frame[frame["status"] != "failed"]
        if finished["row"].nunique() == 1:
            return Row(finished, self.about(finished), self.publish)
        groups = finished.groupby("row", sort=False)
        return Rows({str(name): Row(part, self.about(part), self.publish, f"{name}.") for name, part in groups})

    def about(self, frame) -> dict:
        """What `publish` notes of the trials that a result stands on: seeds, records, statuses, share, budget."""
        columns = {"seeds": "seed", "records": "key", "statuses": "status"}
        about = {name: frame[column].tolist() for name, column in columns.items()}
        budgets = set(frame.get("budget", ()))
        for trial in frame.itertuples():
            self._lengths[f"{trial.share:g}"] = self.length(trial)
        return about | {"share": frame["share"].min(), "budget": budgets.pop() if len(budgets) == 1 else None}

    @staticmethod
    def length(trial) -> str:
        """What a line of trials was trained, in words: 1 epoch of 2,500 images; by its share where that is not told."""
        config = trial.record["config"] if hasattr(trial, "record") else {}
        if "epochs" not in config:
            return f"{markup.percent(trial.share)} of the training"
        count, images = len(trial.history), config.get("train_limit")
        return markup.counted(count, "epoch") + (f" of {images:,} images" if images else "")

    def fill(self, text: str) -> str:
        """`text` with {key} (mean ± std if n > 1), {key.std}, {key.n}, {key.sum}, {key:.3f}, {key%} filled in.

        A format or % gives the mean alone, "yes" the words yes and no; sum is over the seeds; {{ and }} are braces.
        Numbers from shortened trainings are marked †, and the text says how short. Raises CourseworkError on an unknown
        key.
        """
        text, shares = sentence(text, _code_so_far(), self.notebook)

        def mark(result):
            if result["share"] == 1 or not result["records"] or not result["n"]:
                return ""
            shares.append(result["share"])
            return SHORTENED

        def written(match):
            key = match[1]
            form = (match[2] or "").lstrip(":")
            if key is None:
                return match[0][0]
            stem, _, field = key.rpartition(".")
            if key in self.published:
                result = self.published[key]
                return markup.number(result["value"], form, result["std"], key, result["unit"]) + mark(result)
            if stem in self.published and field == "sum":
                result = self.published[stem]
                return markup.number(sum(filter(None, result["values"])), form, name=stem) + mark(result)
            if stem in self.published and field in ("std", "n"):
                return markup.number(self.published[stem][field], form, name="" if field == "n" else stem)
            return refuse_unknown([key], self.published, self.notebook, "result")

        return markup.FIELD.sub(written, text) + shortened(shares, self._lengths)

    def say(self, text: str, values: dict | None = None, **about) -> None:
        """Show Markdown whose numbers are published results (see `fill`); without sentences whose numbers are missing.

        values: {key: value} to publish first, with `about` as in `publish`.
        """
        for key, value in (values or {}).items():
            self.publish(key, value, **about)
        if kept := self.without_missing(text):
            _display({"text/markdown": self.fill(kept)})

    def without_missing(self, text: str) -> str:
        """`text` without the sentences that name a result without a value."""
        return " ".join(part for part in SENTENCES.split(text) if not self._lacks(part))

    def _lacks(self, text: str) -> bool:
        """Whether a sentence names a result that has no value."""
        named = [self.published.get(key) for key in markup.named_results(text, self.published)]
        return MISSING in text or any(result is not None and result["n"] == 0 for result in named)

    def table(self, frame, caption: str, notes: str | None = None, of: str = "") -> None:
        """Show a DataFrame as a captioned table, see `markup.table`; caption and notes may hold {key}, as in `say`."""
        notes = self.fill(notes) if notes else None
        _display({"text/html": markup.table(frame, self.fill(caption), notes, of)})

    def show(self, drawing, caption: str) -> None:
        """Show a figures.Drawing with its caption, which ends in its note; alt text and data (CSV) travel along."""
        caption = f"{self.fill(caption)} {drawing.note}".strip()
        picture = b64encode(drawing.png()).decode()
        if "matplotlib.pyplot" in sys.modules:  # a pyplot figure would be shown again by itself
            sys.modules["matplotlib.pyplot"].close(drawing.figure)
        data = drawing.data.to_csv(index=False)
        image = {"image/png": picture, "text/plain": drawing.alt}
        _display(image, {"image/png": {"alt": drawing.alt, "caption": caption, "data": data}})
        _display({"text/markdown": f"*{caption}*"}, {"coursework": {"role": "caption"}})

    def source(self, *things) -> None:
        """Show the source of classes and functions as it runs, unfolded, below the name of its file."""
        files = {}
        for thing in things:
            module = thing.__module__
            file = "this notebook" if module == "__main__" else f"`{module.replace('.', '/')}.py`"
            files.setdefault(file, []).append(textwrap.dedent(inspect.getsource(thing)).strip("\n"))
        for file, pieces in files.items():
            code = "\n\n\n".join(pieces)
            _display({"text/markdown": f"From {file}:\n\n```python\n{code}\n```"})

    def data(self, dataset) -> None:
        """Note which data the page stands on; a stand-in is announced at once."""
        names = ("name", "title", "source", "standin", "fingerprint")
        self._data.append({name: getattr(dataset, name) for name in names})
        if dataset.standin:
            _display({"text/markdown": f"**{BANNER}**"}, {"coursework": {"role": "banner"}})

    def predictions(self, labels, predicted) -> None:
        """Pack true labels (N,) and predicted ones, (N,) or one array per seed, all uint8.

        From these a reader of the page alone computes test_accuracy again.
        """
        runs = predicted if getattr(predicted[0], "ndim", 0) else [predicted]
        packed = {"labels": base.pack_labels(labels), "predicted": [base.pack_labels(run) for run in runs]}
        self._predictions = {"key": "test_accuracy", **packed}

    def finish(self) -> None:
        """Hand results and provenance to the page; the last cell.

        Raises CourseworkError if nothing was published.
        """
        if not self.published:
            raise CourseworkError(f"{self.notebook}: nothing published; call page.publish first")
        trials, device = (sys.modules.get(f"helpers.{name}") for name in ("trials.study", "device"))
        bundle = {
            "notebook": self.notebook,
            "budget": self.parameters.get("budget"),
            "parameters": self.parameters,
            "changed": self.changed,
            "results": self.published,
            "titles": {name: str(words) for name, words in self.titles.items()},
            "data": self._data,
            "used": trials.used() if trials else [],
            "own": trials.own() if trials else [],
            "trials": trials.origins() if trials else {},
            "machine": device.describe() if device else {"python": sys.version.split()[0]},
        }
        if self._predictions:
            bundle["predictions"] = self._predictions
        _display({BUNDLE: base.plain(bundle), "text/plain": ""})


def _display(bundle: dict, metadata: dict | None = None) -> None:
    """Hand one output to the notebook, with a plain-text form for readers of neither kind."""
    from IPython.display import display

    display({"text/plain": next(iter(bundle.values())), **bundle}, raw=True, metadata=metadata or {})


def _code_so_far() -> str | None:
    """The code of the notebook up to the cell that runs, settings included; None outside a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "\n".join(shell.user_ns["In"]) if shell is not None and shell.user_ns.get("In") else None
