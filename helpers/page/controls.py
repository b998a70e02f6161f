"""A panel of sliders made from a notebook's parameters cell, with a button that runs: in JupyterLab."""

import math
import os
import re
import traceback

from helpers import base
from helpers.base import CourseworkError
from helpers.page import parameters

FEW = 20  # values that are chosen from a list
FIXED = ("budget", "device", "data", "precision")  # said once for the whole notebook
ALL = "all"  # stands for None
ROOM = {"description_width": "9rem"}


def panel(page, action, otherwise: dict | None = None) -> None:
    """Show a slider, a list or a field for each parameter of `page`, and a button that calls `action(page)`.

    otherwise: what a parameter left at None stands for, where that is known.
    The page that `action` gets has the values chosen in the panel. What it displays appears below the button; a refused
    value is one sentence. Nothing is shown while a page is built, where nobody could press anything.
    """
    if os.environ.get("COURSEWORK_BUILD") == "1":
        return
    import ipywidgets
    from IPython.display import display

    path = base.NOTEBOOKS / f"{page.notebook}.ipynb"
    notes, kinds = _notes(path), {name: kind for name, (kind, _) in parameters.declared(path).items()}
    chosen = {name: value for name, value in page.parameters.items() if name in kinds and name not in FIXED}
    chosen |= {name: (otherwise or {}).get(name) for name, value in chosen.items() if value is None}
    widgets = {name: _widget(name, kinds[name], value, notes.get(name, "")) for name, value in chosen.items()}
    start = {name: widget.value for name, widget in widgets.items()}  # what is not touched stays exactly as it was
    button, below = ipywidgets.Button(description="Run", button_style="primary", icon="play"), ipywidgets.Output()

    def run(_):
        button.disabled = True
        below.clear_output()
        with below:
            try:
                values = {name: _value(widget) for name, widget in widgets.items() if widget.value != start[name]}
                action(page.with_parameters(values))
            except CourseworkError as error:
                print(error)
            except Exception:  # in an Output nobody else would show it
                traceback.print_exc()
            finally:
                button.disabled = False

    button.on_click(run)
    columns = ipywidgets.GridBox(
        list(widgets.values()), layout={"grid_template_columns": "repeat(2, minmax(0, 30rem))"}
    )
    display(ipywidgets.VBox([columns, button, below]))


def _notes(path) -> dict[str, str]:
    """Parameter -> the comment behind it in the parameters cell."""
    return dict(re.findall(r"^(\w+): [^#\n]*# *(.+?)$", parameters.source(path), re.MULTILINE))


def _widget(name: str, kind: str, value, note: str):
    """The widget that offers what the parameter may be: a slider for a number, a list for few values."""
    import ipywidgets

    fits, words = parameters.BOUNDS.get(name, (lambda value: True, ""))
    about = {
        "description": name.replace("_", " "),
        "tooltip": note or words,
        "style": ROOM,
        "layout": {"width": "auto"},
    }
    kind = parameters.bare(kind)
    if words.startswith("one of "):
        options = words.removeprefix("one of ").split(", ")
        if kind == "list":
            return ipywidgets.SelectMultiple(options=options, value=tuple(value), rows=len(options), **about)
        if kind == "str":
            return ipywidgets.Dropdown(options=options, value=value, **about)
    if kind == "bool":
        return ipywidgets.Checkbox(value=value, **about)
    if kind == "int":
        return _whole(value, fits, about)
    if kind == "float" and value is not None:
        return _real(value, fits, about)
    return ipywidgets.Text(value=ALL if value is None else str(value), **about)


def _whole(value, fits, about):
    import ipywidgets

    if value is None:
        return ipywidgets.SelectionSlider(options=[ALL, 1000, 3000, 10_000, 30_000], value=ALL, **about)
    possible = [number for number in range(101) if fits(number)]
    if possible and len(possible) < FEW:
        return ipywidgets.SelectionSlider(options=sorted({*possible, value}), value=value, **about)
    least, most = (possible[0] if possible else 0), max(10, 4 * value)
    return ipywidgets.IntSlider(value=value, min=least, max=most, **about)


def _real(value, fits, about):
    import ipywidgets

    if not fits(1.0):
        return ipywidgets.FloatSlider(value=value, min=0, max=0.95, step=0.05, **about)
    if value <= 0:
        return ipywidgets.FloatText(value=value, **about)
    place = math.log10(value)
    return ipywidgets.FloatLogSlider(value=value, min=place - 2, max=place + 2, step=0.1, readout_format=".2g", **about)


def _value(widget):
    """What a widget says, as a parameter's value."""
    value = widget.value
    if value == ALL:
        return None
    if isinstance(value, float):
        return float(f"{value:.3g}")
    return list(value) if isinstance(value, tuple) else value
