"""What a notebook calls: `begin`, and a page that also obtains its data, trains, and names its rows in words.

page, dataset = mu.begin("task4_training", globals(), data="fashion_mnist")    # checks parameters before torch loads
trials = page.train(mu.train_classifier, rows, study="mine", titles={"a1": "rate 0.1"})    # each row is published
page.show(mu.figures.curves(mu.figures.histories(page.rows(trials)), "epoch", "test_accuracy", by="row"), "...")
page.tell_cost(trials)
"""

import os

from helpers.base import CourseworkError
from helpers.page.page import METRICS, Page
from helpers.page.parameters import read_namespace

_outside = {}  # DEVICE and PRECISION as they were before `begin` set them: it may run again with others
# IPython asks an exception for this before it draws the stack: what a person can mend ends in its one sentence.
CourseworkError._render_traceback_ = lambda error: [f"CourseworkError: {error}"]
REDUCED = ("epochs", "train_limit", "test_limit")  # parameters that say how short a shortened training is


def begin(notebook: str, namespace: dict, data: str | None = None) -> "Notebook | tuple":
    """Check the notebook's annotated parameters and return its page; with `data` also that data set: page, dataset.

    data: the name of a data set, or a folder of pictures, as in `mu.obtain`. A parameter left at None takes its value
    from notebooks/budgets.yaml. Raises CourseworkError on a bad or unknown value; without `data` nothing heavy loads.
    """
    values, changed = read_namespace(namespace, notebook)
    for name in ("DEVICE", "PRECISION"):  # trials and their workers read these variables
        before = _outside.setdefault(name, os.environ.get(name))
        value = values.get(name.lower(), "auto")
        value = before if value == "auto" else value
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    page = Notebook(notebook, values, changed)
    return page if data is None else (page, page.obtain(data))


class Notebook(Page):
    """A page that obtains data and trains."""

    def obtain(self, name: str):
        """The data set of this name, as the parameter `data` asks for it, noted on the page."""
        from helpers import data

        dataset = data.obtain(name, self.parameters["data"])
        self.data(dataset)
        return dataset

    def train(self, function, rows, *, study, metrics=METRICS, derive=None, titles=None, seeds=None,
              prefix="", whole=False, **options):  # fmt: skip
        """The trials of `rows` as a DataFrame, see `trials.run_study`; publishes the metrics of every row.

        metrics: none publishes nothing. derive: a function of the frame that adds columns first. titles: rows in
        words. seeds: by default page.seeds of them from page.seed on. prefix: of the keys, see `publish_rows`. whole:
        train every row as it stands, whatever the budget. options: live where `whole`, else reduced (fields of
        shortened trainings, by default the parameters epochs, train_limit and test_limit).
        """
        from helpers import trials

        self.titles |= titles or {}
        if seeds is None:
            seeds = list(range(self.parameters["seed"], self.parameters["seed"] + self.parameters["seeds"]))
        about = {"study": study, "seeds": seeds}
        if whole:
            frame = trials.run(function, rows, **about, budget=self.parameters["budget"], **options)
        else:
            short = {name: self.parameters[name] for name in REDUCED if name in self.parameters}
            frame = trials.run_study(function, rows, **about, page=self, **{"reduced": short} | options)
        self.tell_failures(frame)
        frame = derive(frame) if derive else frame
        if metrics:
            self.publish_rows(frame, metrics, prefix=prefix)
        return frame

    def spot_check(self, function, rows, *, study, seeds=(0,)) -> None:
        """Train short rows again that have committed records, and show how the outcomes agree (`trials.spot_check`)."""
        from helpers import trials

        frame = trials.spot_check(function, rows, study=study, seeds=seeds)
        if frame.empty:
            self.say("No record of these short trainings is committed, so none was trained again.")
            return
        where = frame["comparable"].map({True: "the same processor and code", False: "another processor or code"})
        names = {"published": "accuracy committed", "again": "accuracy here"}
        shown = frame.assign(training=frame["row"], outcome=frame["agreement"].replace("equal", "equal bits"), on=where)
        shown = shown.rename(columns=names)[["training", *names.values(), "difference", "outcome", "on"]]
        self.table(shown, "Trained again in front of the reader, against the committed records.", of="accuracy")

    def tell_failures(self, frame) -> None:
        """Show which trainings failed, and why; nothing where none did."""
        failed = frame[frame["status"] == "failed"]
        if len(failed):
            shown = failed.assign(training=failed["row"].map(self.title))[["training", "seed", "reason"]]
            self.table(shown.set_index("training"), "Trainings that failed, and why. No result stands on them.")

    def title(self, row: str) -> str:
        """A row in words."""
        return self.titles.get(row, row.replace("_", " "))

    def rows(self, frame, names=None):
        """The trials of the rows `names` (by default all) in this order, under their titles, for figures and tables.

        Where some were trained less than others, their titles say how much.
        """
        names = list(dict.fromkeys(frame["row"])) if names is None else list(names)
        part = frame[frame["row"].isin(names)]
        part = part.sort_values("row", key=lambda row: row.map(names.index), kind="stable", ignore_index=True)
        return part.assign(row=part["row"].map(self.labels(part)))

    def labels(self, frame) -> dict[str, str]:
        """{row: its title}, with how much it was trained where others were trained more."""
        lines, most = frame.drop_duplicates("row").itertuples(), frame["share"].max()
        return {
            line.row: self.title(line.row) + (f" ({self.length(line)})" if line.share < most else "") for line in lines
        }

    def shortened(self, trials, *rows: str) -> list[str]:
        """Which of `rows` (by default all) are not trained in full."""
        whole = trials.groupby("row", sort=False)["share"].min() == 1
        return [row for row in rows or whole.index if not whole.get(row, False)]

    def answer(self, trials, text: str, *rows: str, otherwise: str | None = None) -> None:
        """Say `text` where the trainings of `rows` (by default all) are all in full, else which are not yet.

        otherwise: what is said in place of the latter; nothing where it is empty.
        """
        lacking = [self.title(row) for row in self.shortened(trials, *rows)]
        if lacking:
            text = f"Not answered yet; still shortened: {'; '.join(lacking)}." if otherwise is None else otherwise
        if text:
            self.say(text)

    def open_questions(self, trials, questions: dict) -> str:
        """The sentence that lists which of `questions` ({in words: rows}) wait for trainings in full; else ""."""
        waiting = [words for words, rows in questions.items() if self.shortened(trials, *rows)]
        return f"Open, because those trainings are not in full yet: {'; '.join(waiting)}." if waiting else ""

    def count_of(self, trials, *rows: str) -> str:
        """How many trainings stand behind each of `rows` (by default all); of more than four rows from and to."""
        counts = [int((trials["row"] == row).sum()) for row in rows or trials["row"].unique()]
        if len(counts) == 1:
            return f"n = {counts[0]}"
        if len(set(counts)) == 1:
            return f"n = {counts[0]} each"
        if len(counts) > 4:
            return f"n = {min(counts)} to {max(counts)}"
        return f"n = {', '.join(map(str, counts[:-1]))} and {counts[-1]}"  # in the order of the rows

    def n_of(self, trials, *rows: str) -> str:
        """What stands in brackets behind means of `rows`: how many trainings, and what ± is where it stands."""
        several = trials.loc[trials["row"].isin(rows), "row"].duplicated().any()
        return self.count_of(trials, *rows) + (", ± their standard deviation" if several else "")

    def may_be_luck(self, trials, first: str, second: str, column: str = "test_accuracy") -> bool:
        """Whether two rows' means differ by at most two standard errors of the difference, or by single trainings."""
        one, two = (trials.loc[trials["row"] == row, column] for row in (first, second))
        error = (one.var() / len(one) + two.var() / len(two)) ** 0.5  # nan for a single training
        return not abs(one.mean() - two.mean()) > 2 * error

    def tell_cost(self, *frames) -> None:
        """Say how many trainings the page stands on and what they cost; each counts once."""
        import pandas as pd

        trained = pd.concat([frame[["key", "seconds", "gpu"]] for frame in frames]).drop_duplicates("key")
        gpus = sorted(set(trained["gpu"]) - {""})
        self.publish("cost.trials", len(trained))
        self.publish("cost.on_gpu", int((trained["gpu"] != "").sum()))
        hours = trained.loc[trained["gpu"] == "", "seconds"].sum() / 3600
        self.publish("cost.hours", hours, unit="h")
        self.publish("cost.minutes", 60 * hours, unit="min")
        text = "Trainings that this page stands on: {cost.trials}"
        if gpus:
            text += f", {{cost.on_gpu}} of them on a GPU ({', '.join(gpus)})"
        if hours:
            clock = f"{{cost.{'hours' if hours >= 1 else 'minutes'}}} by the clock, each on one core"
            text += f", {'the others ' if gpus else ''}together {clock}; a training alone on its machine takes less"
        self.say(
            f"{text}. Those that have a record are recalled; where one has none, it was trained as the page was made."
        )
