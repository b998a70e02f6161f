"""How numbers, tables and results in a sentence are written: the same in JupyterLab, in prose and on the page."""

import html
import math
import re

KEY = r"[A-Za-z_][\w.\-]*"  # the name of a result: row.metric
# What stands for a result in a sentence: {key}, {key%}, {key:.3f}; {{ and }} are braces.
FIELD = re.compile(rf"\{{\{{|\}}\}}|\{{({KEY})(%|:[^{{}}]+)?\}}")


def named_results(text: str, results: dict) -> list[str]:
    """The keys of `results` that a sentence for `page.fill` names, without .std, .n and .sum; in its order."""
    named = [match[1] for match in FIELD.finditer(text) if match[1]]
    return [key if key in results else re.sub(r"\.(std|n|sum)$", "", key) for key in named]


class Link(str):
    """A cell's words that lead to another place: Link("rate 0.1", "summary.html#claim-A1.best")."""

    def __new__(cls, words: str, target: str):
        link = super().__new__(cls, words)
        link.target = target
        return link


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 epoch, 3 epochs."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def with_minus_signs(text: str) -> str:
    """`text` with a minus sign before a negative number, where Python writes a hyphen."""
    return re.sub(r"(?<![\w.)–-])-(?=\d)", "−", text)


def is_missing(value) -> bool:
    """Whether a cell holds nothing: None, nan, pandas' NA and NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value  # also NumPy's float64


def number(value, form: str | None = None, std: float | None = None, name: str = "", unit: str = "") -> str:
    """A cell or a result in words: whatever it is, written as `quantity` writes a number of this name.

    `form`, if given, decides: "%" (one decimal, in percent), "yes" (yes or no) or a specification such as ".3f".
    """
    if is_missing(value) or value != value:
        return "–"
    if type(value).__name__ in ("bool", "bool_"):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if abs(value) == math.inf:
        return "∞" if value > 0 else "−∞"
    if form == "yes":
        return "yes" if value else "no"
    if form:
        return quantity(name, value, form=form)
    return quantity(name, value, std if std and math.isfinite(std) else None, unit)


def read_number(text: str) -> float | None:
    """The number that a report prints as 0.86 or 86 %; None where it prints something else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)( ?%)?", text)
    return match and float(match[1]) / (100 if match[2] else 1)


def table(frame, caption: str, notes: str | None = None, of: str = "") -> str:
    """A DataFrame or Series as an HTML table with caption and scoped headers.

    The index heads the rows; a plain 0, 1, 2 ... index is left out and the first column heads them. Columns that hold
    frames or dicts (the histories and records of trials) are left out. of: what the fractions are, as "accuracy", where
    the headings do not say.
    """
    frame = _flat(frame)
    numeric = [kind.kind in "iuf" for kind in frame.dtypes]
    names = [f"{name} {of}".rstrip() if kind.kind == "f" else str(name) for name, kind in frame.dtypes.items()]
    rows = [_row(row, numeric, names) for row in frame.itertuples(index=False, name=None)]
    head = _row(frame.columns, numeric, names, header=True)
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


def _row(cells, numeric: list[bool], names, *, header: bool = False) -> str:
    """One row; its first cell heads it. JupyterLab aligns to the right unless a cell says left."""
    markup = ""
    for i, (cell, is_number) in enumerate(zip(cells, numeric)):
        tag = "th" if header or i == 0 else "td"
        scope = f' scope="{"col" if header else "row"}"' if tag == "th" else ""
        style = "" if is_number else ' style="text-align:left"'
        plain = header or not (is_number or is_missing(cell) or type(cell).__name__ in ("bool", "bool_"))
        text = str(cell) if plain else number(cell, name=names[i])
        text = html.escape(text.replace("_", " ") if header else text)  # words, not names
        text = f'<a href="{html.escape(cell.target)}">{text}</a>' if isinstance(cell, Link) else text
        markup += f"<{tag}{scope}{style}>{text}</{tag}>"
    return f"<tr>{markup}</tr>"


UNITS = {"seconds": "s", "examples_per_second": "images/s", "hours": "h"}  # of quantities by the end of their name
# The last words of names whose numbers are shares of correct answers, or lie on that scale.
ACCURACIES = re.compile(r"accuracy|acc|score|gap|gain|less|flattery|volatility|f1|low|high")
RATES = re.compile(r"seconds|minutes|hours|speed|per second|per_second|rate$|share", re.IGNORECASE)  # times and rates
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def unit_of(name: str) -> str:
    """The unit of a quantity by its name; "" for a bare number."""
    return UNITS.get(name, "s" if name.endswith("_seconds") else "")


def quantity(name: str, value: float, std: float | None = None, unit: str = "", form: str = "") -> str:
    """A quantity as people read it: accuracies with four decimals, times, rates and shares with three digits.

    Counts are whole, and what has no such name keeps four digits.
    name: what it is, as test_accuracy or a1.train_share. std: the standard deviation over seeds, written after ±.
    form: a specification that decides instead, or "%" for percent with one decimal.
    """
    if form == "%":
        return f"{100 * value:.1f} %"
    if re.search(r"(^|[._ ])share$", name) and not form and abs(value) <= 1:
        return f"{digits(100 * value)} %" if std is None else f"{digits(100 * value)} ± {digits(100 * std, 2)} %"
    accuracy = _on_accuracy_scale(name) and abs(value) <= 1
    count = 3 if unit or RATES.search(name) else 4
    words = _formatted(value, form) if form else f"{value:.4f}" if accuracy else digits(value, count, whole=not std)
    if std is not None:
        large = abs(value) >= 1000  # then its deviation needs no more decimals than it has
        words += f" ± {std:.4f}" if accuracy else f" ± {digits(std, 1 if large and std < 10 else 2)}"
    return f"{words} {unit}".rstrip()


def _formatted(value: float, form: str) -> str:
    """`value` by a specification; what that would write as 1.2e+04 is written by `digits`, as precisely."""
    words = format(value, form)
    mantissa, e, _ = words.partition("e")
    return digits(value, len(re.findall(r"\d", mantissa))) if e and math.isfinite(value) else words


def digits(value: float, count: int = 3, whole: bool = False) -> str:
    """`value` rounded to `count` digits, never written as 1.2e+04; integers, where `whole`, in full.

    What was rounded keeps its zeros (a loss of 0.48003 is 0.4800); what is exact, as a learning rate, needs none.
    """
    if (whole and float(value).is_integer()) or abs(value) >= 1000:
        return f"{value:,.0f}"
    words = f"{value:.{count}g}"
    if not math.isclose(float(words), value, rel_tol=1e-9):  # but for the rounding of sums such as 0.1 + 0.2
        words = f"{value:#.{count}g}"
    mantissa, e, power = words.partition("e")
    mantissa = mantissa.rstrip(".")
    if not e:
        return mantissa
    return f"{value:,.0f}" if int(power) > 0 else f"{mantissa} × 10{str(int(power)).translate(SUPERSCRIPTS)}"


def percent(share: float) -> str:
    """A share in percent to two digits: 0.02 is 2 %; but 0.997 is 99.7 %, and 0.9999 is not all, either: 99.9 %."""
    return f"{min(100 * share, 99.9):.1f} %" if 0.99 < share < 1 else f"{digits(100 * share, 2)} %"


def _on_accuracy_scale(name: str) -> bool:
    """Whether the last words of a name say a share of correct answers, or a difference of such."""
    last = name.rpartition(".")[2].lower()
    return any(ACCURACIES.fullmatch(word) for word in re.split(r"[^a-z0-9]+", last))
