"""Results as objects: a quantity over its seeds that prints itself in a sentence and knows where it comes from.

    ours = page.results(trials)
    page.say(f"The kept epoch is {ours.best_epoch} of {ours.epochs}: accuracy {ours.validation_accuracy}.")
    page.publish("gain", rows.final.test_accuracy - rows.plain.test_accuracy)     # seed by seed

A number that a sentence takes from a Result carries invisible marks, so that `page.say` can tell it from a plain one.
"""

import operator
import re
import statistics
from dataclasses import dataclass, field, replace

from helpers.base import CourseworkError, plain
from helpers.page import markup

OPEN, SEPARATOR, CLOSE = "\ue000", "\ue001", "\ue002"  # of private use: no text holds them
MISSING = "\ue003"  # stands for a quantity without a value: its sentence is left out
MARKED = re.compile(f"{OPEN}([^{SEPARATOR}]*){SEPARATOR}([^{CLOSE}]*){CLOSE}")
DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+(?:[eE][-+]?\d+)?")
SHORTENED = "†"


@dataclass(frozen=True, kw_only=True)
class Result:
    """One number per seed, None where a seed has none; arithmetic and comparison go seed by seed."""

    name: str  # its last word decides how it is written: accuracy, loss, seconds, epoch ...
    values: tuple
    unit: str = ""
    about: dict = field(default_factory=dict)  # seeds, records, statuses, share, budget

    @property
    def finite(self) -> list:
        """The values of the seeds that have one."""
        return [value for value in self.values if value is not None]

    @property
    def n(self) -> int:
        return len(self.finite)

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.finite) if self.finite else None

    @property
    def std(self) -> float | None:
        return statistics.stdev(self.finite) if self.n > 1 else None

    @property
    def share(self) -> float:
        return self.about.get("share", 1.0)

    def __bool__(self) -> bool:
        """Whether there is a number at all; `all(result.values)` asks for the seeds."""
        return self.n > 0

    def __format__(self, form: str) -> str:
        """The mean, with ± its standard deviation for several seeds; yes, no or "2 of 5" for what is true or false.

        form: a specification such as .3f, % for percent, or n for the number of seeds. `page.say` leaves a sentence
        out whose quantity has no value.
        """
        if form == "n":
            return self._marked(str(self.n))
        if not self:
            return MISSING
        if all(isinstance(value, bool) for value in self.finite):
            count = sum(self.finite)
            words = f"{count} of {self.n}" if self.n > 1 else "yes" if count else "no"
            return self._marked(words)
        return self._marked(markup.quantity(self.name, self.mean, self.std, self.unit, form))

    def __str__(self) -> str:
        return format(self, "")

    def _marked(self, text: str) -> str:
        return f"{OPEN}{self.share:g}{SEPARATOR}{text}{CLOSE}"

    def _with(self, other, function, name=None):
        """`function` of both, seed by seed; what is trained less decides the share."""
        if not isinstance(other, Result):
            values = (None if a is None else function(a, other) for a in self.values)
            return replace(self, name=name or self.name, values=tuple(values))
        pairs = self._pairs(other)
        values = tuple(None if None in pair else function(*pair) for pair in pairs.values())
        records = list(dict.fromkeys([*self.about.get("records", []), *other.about.get("records", [])]))
        budgets = {self.about.get("budget"), other.about.get("budget")}
        about = self.about | {"share": min(self.share, other.share), "records": records, "seeds": list(pairs)}
        about |= {"statuses": [], "budget": budgets.pop() if len(budgets) == 1 else None}
        return replace(self, name=name or self.name, values=values, about=about)

    def _pairs(self, other) -> dict:
        left, right = (dict(zip(r.about.get("seeds") or range(len(r.values)), r.values)) for r in (self, other))
        return {seed: (left[seed], right[seed]) for seed in left if seed in right}

    def __add__(self, other):
        return self._with(other, operator.add)

    def __sub__(self, other):
        return self._with(other, operator.sub, f"{self.name}_difference")

    def __mul__(self, other):
        return self._with(other, operator.mul)

    def __truediv__(self, other):
        return self._with(other, operator.truediv, "ratio")

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self):
        return self * -1

    def __gt__(self, other):
        return self._with(other, operator.gt)

    def __lt__(self, other):
        return self._with(other, operator.lt)


class Row:
    """The results of one row of trials, as attributes: row.test_accuracy. Reading one publishes it."""

    def __init__(self, frame, about: dict, publish, prefix: str = ""):
        self._frame, self._about, self._publish, self._prefix = frame, about, publish, prefix

    def __getattr__(self, name: str) -> Result:
        if name.startswith("_") or name not in self._frame:
            names = ", ".join(column for column in self._frame if self._frame[column].dtype.kind in "iufb")
            raise AttributeError(f"no result {name}; there are {names}")
        values = tuple(plain(self._frame[name].tolist()))
        result = Result(name=name, values=values, unit=markup.unit_of(name), about=self._about)
        self._publish(f"{self._prefix}{name}", result)
        return result

    __getitem__ = __getattr__


class Rows:
    """The rows of a study, as attributes or by name: rows.adam.test_accuracy, rows["rate 0.1"].test_loss."""

    def __init__(self, rows: dict[str, Row]):
        self._rows = rows

    def __getitem__(self, name: str) -> Row:
        if name not in self._rows:
            raise CourseworkError(f"no row {name!r}; there are {', '.join(self._rows)}")
        return self._rows[name]

    def __getattr__(self, name: str) -> Row:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]


def sentence(text: str, source: str | None, where: str) -> tuple[str, list[float]]:
    """`text` without its marks, numbers of shortened trainings with †; and the shares of these trainings.

    source: the notebook's code so far, None where there is none. A decimal number that neither a Result nor the code
    itself wrote is refused: a measured number must come from published results.
    """
    shares = [share for share in (float(share) for share, _ in MARKED.findall(text)) if share < 1]
    for number in DECIMAL.findall(MARKED.sub("", text)):
        if source is not None and number not in source:
            hint = "say it with a result, as in {ours.test_accuracy}"
            raise CourseworkError(f"{where}: {number} in a sentence is a plain number; {hint}")
    return MARKED.sub(lambda match: match[2] + (SHORTENED if float(match[1]) < 1 else ""), text), shares


def shortened(shares: list[float], lengths: dict[str, str]) -> str:
    """What follows a text with marked numbers: how short their trainings were, in the words of `lengths` by share."""
    words = [lengths.get(f"{share:g}") or f"{markup.percent(share)} of the training" for share in sorted(shares)]
    if not words:
        return ""
    return f" ({SHORTENED}: shortened{', the least' * (len(set(words)) > 1)} to {words[0]})"
