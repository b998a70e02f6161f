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
