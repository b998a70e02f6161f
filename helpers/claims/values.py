"""Printed values, and arithmetic among them: what can be checked without any training."""

import ast
import itertools
import math
import operator
import re
from decimal import Decimal


class Misfit(ValueError):
    """Two shapes of a check that do not go together: what is printed contradicts itself."""


PRINTED = re.compile(r"nan|-?\d+(\.\d+)?(-\d+(\.\d+)?)?( %)?")
CHECK = re.compile(r"(?P<left>.+?) (?P<sign>=|<=|>=|<|>|of) (?P<right>.+)")


def parse(text: str) -> tuple[float, float, float]:
    """(lowest, highest, half a unit of the last digit) of "0.860", "-0.5", "90.05 %" or "20-25"; nan for "nan".

    Raises ValueError for anything else, and for a range that falls.
    """
    if not isinstance(text, str) or not PRINTED.fullmatch(text):
        raise ValueError(f"value must be like '0.860', '90.05 %', '20-25' or 'nan', in quotes, not {text!r}")
    scale = Decimal("0.01" if "%" in text else "1")
    parts = [Decimal(part) * scale for part in re.findall(r"nan|(?<!\d)-?\d[\d.]*", text)]
    exponents = [part.as_tuple().exponent for part in parts if part.is_finite()]
    if len(parts) == 2 and parts[1] < parts[0]:
        raise ValueError(f"a range goes from its lower end to its higher, not {text}")
    return float(parts[0]), float(parts[-1]), float(Decimal(10) ** min(exponents, default=0) / 2)


def linear(shape: tuple, inputs: int, outputs: int) -> tuple:
    """The shape after a linear layer; raises Misfit where it does not take this input."""
    if shape[-1] != inputs:
        raise Misfit(f"a layer of {inputs} inputs does not take {shape}")
    return (*shape[:-1], outputs)


def normalised(shape: tuple, size: int) -> tuple:
    """The shape after a batch normalisation; raises Misfit where it has not so many channels."""
    if shape[0] != size:
        raise Misfit(f"a normalisation of {size} channels does not take {shape}")
    return shape


def turn(shape: tuple) -> tuple:
    """The shape of a transposed matrix."""
    return shape[::-1]


def middle(text: str) -> float:
    """The middle of a printed value: of "20-25" 22.5."""
    low, high, _ = parse(text)
    return (low + high) / 2


def figures(value: float, count: int) -> float:
    """`value` rounded to so many significant figures."""
    return float(f"{value:.{count}g}")


def logarithm(value: float) -> float:
    """The natural logarithm; raises ArithmeticError where there is none."""
    if value <= 0:
        raise ArithmeticError(f"{value:.6g} has no logarithm")
    return math.log(value)


FUNCTIONS = {
    "linear": linear, "turn": turn, "normalised": normalised, "figures": figures, "log": logarithm, "abs": abs,
}  # fmt: skip
OPERATORS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow, ast.USub: operator.neg,
}  # fmt: skip
LONG = re.compile(r"\d+\.\d{7,}")  # more digits than anybody reads


def _split(check: str) -> tuple[str, str, str]:
    """(left side, right side, the sign between them) of a check. Raises ValueError on a bad one."""
    parts = CHECK.fullmatch(check)
    if not parts:
        raise ValueError(f"check must be two expressions with =, <, >, <=, >= or of between them, not {check!r}")
    return parts["left"].strip(), parts["right"].strip(), parts["sign"]


def names(check: str) -> list[str]:
    """The ids of claims in a check such as "A1.speed = 60000 * 100 / A1.seconds". Raises ValueError on a bad one."""
    trees = [ast.parse(side, mode="eval") for side in _split(check)[:2]]
    ids = [_name(node) for tree in trees for node in ast.walk(tree) if isinstance(node, (ast.Attribute, ast.Name))]
    inner = {name for name in ids if any(other.startswith(f"{name}.") for other in ids)}
    return [name for name in dict.fromkeys(ids) if name not in inner and name not in FUNCTIONS]


def as_printed(text: str) -> str:
    """What a report prints, its numbers cut to six digits: some print all that Python gives."""
    return LONG.sub(lambda match: f"{float(match[0]):.6g}", text)


def interval(middle: float | None, half: float | None, ends=(-math.inf, math.inf)) -> str:
    """Both ends, with as many decimals as two digits of the half width have: [0.824, 0.920]; none beyond `ends`."""
    if not half or middle is None or not math.isfinite(half):
        return ""
    low, high, decimals = max(middle - half, ends[0]), min(middle + half, ends[1]), places(half)
    while decimals < 6 and any(end and not round(end, decimals) for end in (low, high)):
        decimals += 1  # an end beside 0 does not read as 0
    return f" [{low:,.{decimals}f}, {high:,.{decimals}f}]"


def places(half: float) -> int:
    """The decimals of two digits of a half width."""
    return max(0, 1 - math.floor(math.log10(half)))


def plus_minus(mean: float, half: float) -> str:
    """A mean and the half width of its interval, to two digits of the latter: 0.860 ± 0.018."""
    decimals = places(half) if half and math.isfinite(half) else 4
    return f"{mean:,.{decimals}f} ± {half:,.{decimals}f}"


def consistent(check: str, values: dict[str, str]) -> tuple[bool, str]:
    """(whether a check holds for some numbers that round to the printed ones, both sides in words).

    values: claim id -> value as printed. Each stands for the interval of its last digit; both sides are computed at
    all corners of these intervals, which is exact for expressions that rise or fall with each value. Intervals that
    only touch are not equal. "x of N" holds where x can be a share of N images: some k / N lies in its interval.
    """
    *both, sign = _split(check)
    ends = {}
    for name in names(check):
        low, high, half = parse(values[name])
        ends[name] = (low - half, high + half)
    trees = [ast.parse(side, mode="eval").body for side in both]
    places = [dict(zip(ends, corner)) for corner in itertools.product(*ends.values())]
    try:
        corners = [[_value(tree, numbers) for tree in trees] for numbers in places]
    except (Misfit, ArithmeticError) as error:  # of a logarithm or quotient some corner may have none
        return False, str(error)
    columns = zip(both, zip(*corners))  # a side that is nothing but one printed value is given as it stands
    sides = " and ".join(as_printed(values[side]) if side in values else _words(column) for side, column in columns)
    if any(isinstance(left, tuple) for left, _ in corners):
        return all(left == right for left, right in corners), sides
    if sign == "of":
        shares, count = [left for left, _ in corners], corners[0][1]
        return math.ceil(min(shares) * count - 1e-9) <= max(shares) * count + 1e-9, sides
    gaps = [left - right for left, right in corners]
    tiny = 1e-12 * max(abs(number) for pair in corners for number in pair)
    below, above = min(gaps) < -tiny, max(gaps) > tiny
    holds = {
        "=": (below and above) or not (below or above), "<": below, ">": above, "<=": min(gaps) <= tiny,
        ">=": max(gaps) >= -tiny,
    }  # fmt: skip
    return holds[sign], sides


def _name(node) -> str:
    return node.id if isinstance(node, ast.Name) else f"{_name(node.value)}.{node.attr}"


def _value(node, numbers: dict[str, float]):
    """The value of a parsed expression of numbers, claim ids, + - * / **, tuples and FUNCTIONS; nothing else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return node.value
    if isinstance(node, (ast.Name, ast.Attribute)):
        return numbers[_name(node)]
    if isinstance(node, ast.Tuple):
        return tuple(_value(part, numbers) for part in node.elts)
    if isinstance(node, ast.UnaryOp):
        return OPERATORS[type(node.op)](_value(node.operand, numbers))
    if isinstance(node, ast.BinOp):
        return OPERATORS[type(node.op)](_value(node.left, numbers), _value(node.right, numbers))
    if isinstance(node, ast.Call):
        return FUNCTIONS[_name(node.func)](*(_value(part, numbers) for part in node.args))
    raise ValueError(f"a check holds numbers, ids, + - * / ** and {', '.join(FUNCTIONS)}, not {ast.unparse(node)}")


def _words(values: list) -> str:
    """A number, a shape, or the range of several numbers."""
    if isinstance(values[0], tuple):
        return " × ".join(map(str, values[0]))
    low, high = (f"{end:.6g}" for end in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
