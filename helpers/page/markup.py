"""How numbers, tables and results in a sentence are written: the same in JupyterLab, in prose and on the page."""

import html
import math
import re

KEY = r"[A-Za-z_][\w.\-]*"  # the name of a result: row.metric
# What stands for a result in a sentence: {key}, {key%}, {key:.3f}; {{ and }} are braces.
FIELD = re.compile(rf"\{{\{{|\}}\}}|\{{({KEY})(%|:[^{{}}]+)?\}}")


def named_results(text: str, results: dict) -> list[str]:
    """The keys of `results` that a sentence for `page.fill` names, without .n, .sum and the like; in its order."""
    named = [match[1] for match in FIELD.finditer(text) if match[1]]
    return [key if key in results else re.sub(r"\.(std|n|sum|value|unit)$", "", key) for key in named]


def is_missing(value) -> bool:
    """Whether a cell holds nothing: None, nan, pandas' NA and NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value  # also NumPy's float64


def number(value, form: str | None = None, std: float | None = None) -> str:
    """A result in words: four digits, or mean ± std with as many decimals as std deserves.

    `form`, if given, decides: "%" (one decimal, in percent) or a specification such as ".3f".
    """
    if is_missing(value) or value != value:
        return "–"
    if type(value).__name__ in ("bool", "bool_"):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if abs(value) == math.inf:
        return "∞" if value > 0 else "−∞"
    if form:
        return f"{100 * value:.1f} %" if form == "%" else format(value, form)
    if std and math.isfinite(std):
        decimals = max(0, 1 - math.floor(math.log10(std)))
        return f"{value:.{decimals}f} ± {std:.{decimals}f}"
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


def read_number(text: str) -> float | None:
    """The number that a report prints as 0.86 or 86 %; None where it prints something else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)( ?%)?", text)
    return match and float(match[1]) / (100 if match[2] else 1)


def table(frame, caption: str, notes: str | None = None) -> str:
    """A DataFrame or Series as an HTML table with caption and scoped headers.

    The index heads the rows; a plain 0, 1, 2 ... index is left out and the first column heads them. Columns that hold
    frames or dicts (the histories and records of trials) are left out.
    """
    frame = _flat(frame)
    numeric = [kind.kind in "iuf" for kind in frame.dtypes]
    rows = [_row(row, numeric) for row in frame.itertuples(index=False, name=None)]
    head = _row(frame.columns, numeric, header=True)
    markup = f"<table><caption>{html.escape(caption)}</caption><thead>{head}</thead>"
    markup += f"<tbody>{''.join(rows)}</tbody></table>"
    return markup + (f"<p>{html.escape(notes)}</p>" if notes else "")


def _flat(frame):
    """The frame with one line of headings, its index as columns, and cells that can be written."""
    if not hasattr(frame, "columns"):
        frame = frame.to_frame("value" if frame.name is None else frame.name)
    nested = [any(isinstance(cell, dict) or hasattr(cell, "columns") for cell in cells) for _, cells in frame.items()]
    frame = frame.loc[:, [not deep for deep in nested]]
    headings = [" ".join(str(part) for part in c if part != "") if isinstance(c, tuple) else c for c in frame.columns]
    frame = frame.set_axis(headings, axis=1)
    if type(frame.index).__name__ == "RangeIndex":
        return frame
    names = ["" if name is None else str(name) for name in frame.index.names]
    return frame.reset_index(names=names, allow_duplicates=True)


def _row(cells, numeric: list[bool], *, header: bool = False) -> str:
    """One row; its first cell heads it. JupyterLab aligns to the right unless a cell says left."""
    markup = ""
    for i, (cell, is_number) in enumerate(zip(cells, numeric)):
        tag = "th" if header or i == 0 else "td"
        scope = f' scope="{"col" if header else "row"}"' if tag == "th" else ""
        style = "" if is_number else ' style="text-align:left"'
        plain = header or not (is_number or is_missing(cell) or type(cell).__name__ in ("bool", "bool_"))
        text = str(cell) if plain else number(cell)
        markup += f"<{tag}{scope}{style}>{html.escape(text)}</{tag}>"
    return f"<tr>{markup}</tr>"


UNITS = {"seconds": "s", "examples_per_second": "images/s", "hours": "h"}  # of quantities by the end of their name


def unit_of(name: str) -> str:
    """The unit of a quantity by its name; "" for a bare number."""
    return UNITS.get(name, "s" if name.endswith("_seconds") else "")


def quantity(name: str, value: float, std: float | None = None, unit: str = "", form: str = "") -> str:
    """A quantity as people read it: accuracies with four decimals, counts whole, times and rates with three digits.

    std: the standard deviation over seeds, written after ±. form: a specification that decides instead.
    """
    if form == "%":
        return f"{100 * value:.1f} %"
    if not form:
        whole = float(value).is_integer() and not std
        form = ".4f" if is_share(name) else ",.0f" if whole or abs(value) >= 1000 else ".3g"
    words = format(value, form)
    if std is not None:
        words += f" ± {format(std, '.4f' if is_share(name) else '.2g' if abs(std) < 1000 else ',.0f')}"
    return f"{words} {unit}".rstrip()


def is_share(name: str) -> bool:
    """Whether a quantity is a share of correct answers, or a difference of such."""
    return any(word in name.rpartition(".")[2] for word in ("acc", "score", "gap", "gain", "volatility"))
