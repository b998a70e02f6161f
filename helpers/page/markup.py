"""How numbers and tables are written: the same in JupyterLab, in prose and on the page."""

import html
import math


def number(value, form: str | None = None, std: float | None = None) -> str:
    """A result in words: four digits, or mean ± std with as many decimals as std deserves.

    `form`, if given, decides: "%" (one decimal, in percent) or a specification such as ".3f".
    """
    if value is None or value != value:
        return "–"
    if isinstance(value, (str, bool)):
        return {True: "yes", False: "no"}.get(value, value)
    if form:
        return f"{100 * value:.1f} %" if form == "%" else format(value, form)
    if std:
        decimals = max(0, 1 - math.floor(math.log10(std)))
        return f"{value:.{decimals}f} ± {std:.{decimals}f}"
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


def table(frame, caption: str, notes: str | None = None) -> str:
    """A DataFrame as an HTML table with caption and scoped headers.

    The index heads the rows; a plain 0, 1, 2 ... index is left out and the first column heads them.
    """
    if type(frame.index).__name__ != "RangeIndex":
        frame = frame.reset_index(names=frame.index.name or "")
    numeric = [kind.kind in "iuf" for kind in frame.dtypes]
    rows = [_row(row, numeric) for row in frame.itertuples(index=False, name=None)]
    head = _row(frame.columns, numeric, header=True)
    markup = f"<table><caption>{html.escape(caption)}</caption><thead>{head}</thead>"
    markup += f"<tbody>{''.join(rows)}</tbody></table>"
    return markup + (f"<p>{html.escape(notes)}</p>" if notes else "")


def _row(cells, numeric: list[bool], *, header: bool = False) -> str:
    """One row; its first cell heads it. JupyterLab aligns to the right unless a cell says left."""
    markup = ""
    for i, (cell, is_number) in enumerate(zip(cells, numeric)):
        tag = "th" if header or i == 0 else "td"
        scope = f' scope="{"col" if header else "row"}"' if tag == "th" else ""
        style = ' class="number"' if is_number else ' style="text-align:left"'
        text = number(cell) if is_number or cell is None or cell != cell else str(cell)
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
