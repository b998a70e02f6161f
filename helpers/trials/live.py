"""What a person in JupyterLab sees of a run: its curve as it comes in, or where its results come from."""

import io
import os
import sys
import time
from base64 import b64decode, b64encode

REDRAW = 1.0  # seconds between two drawings


def is_watched() -> bool:
    """Whether a person looks on: in a kernel, unless it builds a page, where pictures of progress would stay."""
    interactive = sys.modules.get("IPython")
    in_kernel = bool(interactive and getattr(interactive.get_ipython(), "kernel", None))
    return in_kernel and os.environ.get("COURSEWORK_BUILD") != "1"


class Curve:
    """The losses and the accuracies of one training after another, drawn again as epochs come in."""

    def __init__(self, titles: dict[str, str]):
        """titles: a trial's key -> its row in words."""
        self._titles, self._name, self._rows, self._drawn = titles, None, [], 0.0
        whose = f"{len(titles)} trainings" if len(titles) > 1 else next(iter(titles.values()))
        text = f"Starting a worker for {whose} ..."
        words = {"text/markdown": f"*{text}*", "text/plain": text}
        self._handle = _Box(words) if _in_callback() else _show(words)

    def add(self, name: str, values: dict) -> None:
        """A trial ended an epoch, with these values by name; the first to speak is followed to its end."""
        self._name = self._name if self._name is not None else name
        if name == self._name:
            if self._rows and values["epoch"] <= self._rows[-1]["epoch"]:
                self._rows = []  # a check of its record was in vain, and it is trained after all
            self._rows.append(values)
            if time.monotonic() - self._drawn >= REDRAW:
                self._draw()

    def leave(self, name: str) -> None:
        """A trial is done; the next one that speaks is followed."""
        if name == self._name and self._rows:
            self._draw()
            self._name, self._rows = None, []

    def _draw(self) -> None:
        columns = {column: [row.get(column) for row in self._rows] for column in self._rows[0]}
        self._handle.update(picture(columns, self._titles.get(self._name, "")), raw=True)
        self._drawn = time.monotonic()


def picture(columns: dict[str, list], title: str) -> dict:
    """Losses and accuracies by epoch as an output of a notebook: PNG, and its description in words.

    columns: name -> one value per epoch (None where there is none), "epoch" their numbers if not 1, 2, 3 ...; what is
    neither loss nor accuracy is left out.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="constrained")
    figure.suptitle(title)
    for axes, kind in zip(figure.subplots(1, 2), ("loss", "accuracy")):
        shown = {name: values for name, values in columns.items() if name.endswith(kind)}
        for name, values in shown.items():
            heights = [float("nan") if value is None else value for value in values]
            axes.plot(
                columns.get("epoch") or range(1, len(values) + 1),
                heights,
                marker="o",
                label=name.removesuffix(f"_{kind}"),
            )
        axes.set(xlabel="epoch", ylabel=kind)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if shown:
            axes.legend()
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return {"image/png": b64encode(file.getvalue()).decode(), "text/plain": f"{title}: loss and accuracy by epoch"}


def show_cached(titles: list[str], histories: list[dict]) -> None:
    """Say that nothing was trained, and draw the first of the trainings from its record.

    titles: the rows in words; histories: for each the columns of its record, one value per epoch.
    """
    again = "`FRESH=1` in the environment trains again"
    words = f"Nothing to train: read from its record, {titles[0]} ({again})."
    if len(titles) > 1:
        words = (
            f"Nothing to train: all {len(titles)} trainings are read from their records ({again}). Below: {titles[0]}."
        )
    _show({"text/markdown": words})
    _show(picture(histories[0], titles[0]))


def show_table(frame, caption: str) -> None:
    """A DataFrame as a captioned table."""
    from helpers.page import markup

    _show({"text/html": markup.table(frame, caption), "text/plain": caption})


def _show(output: dict):
    from IPython.display import display

    return display({"text/plain": next(iter(output.values())), **output}, raw=True, display_id=True)


def _in_callback() -> bool:
    """Whether a widget's button was pressed, and no cell runs: JupyterLab then updates no display, only widgets."""
    parent = sys.modules["IPython"].get_ipython().get_parent()
    return parent.get("header", {}).get("msg_type") != "execute_request"


class _Box:
    """A display handle in the form of a widget."""

    def __init__(self, output: dict):
        import ipywidgets
        from IPython.display import display

        self._widgets, self._box = ipywidgets, ipywidgets.VBox()
        display(self._box)
        self.update(output)

    def update(self, output: dict, raw: bool = True) -> None:
        picture = output.get("image/png")
        image = self._widgets.Image(value=b64decode(picture)) if picture else self._widgets.Label(output["text/plain"])
        self._box.children = [image]
