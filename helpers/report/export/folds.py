"""What a folded cell of code says of itself, in words and not in code."""

import re

NUMBERED = ("figure", "table")  # parts that have a number for readers
BELOW = {"prose": "text", "printout": "printout", "error": "error", "html": "display"}


def fold_words(source: str, tags: list[str], parts: list[dict]) -> str:
    """The words on the fold of a code cell: by its tag, by its own first comment, by what it shows, by what it does.

    parts: what the cell puts out, as parts of the page.
    """
    if "parameters" in tags:
        return "Code: the parameters"
    if "injected-parameters" in tags:
        return "Code: the parameters of this run"
    if "opening" in tags:
        return "Code of the result at the head of the page"
    comment = re.match(r"\s*#+ *(\w.*)", source)
    if comment:
        return f"Code: {comment[1].strip().rstrip('.')}"
    shown = _listed(parts)
    return f"Code of {shown}" if shown else f"Code{_deeds(source)}"


def _listed(parts: list[dict]) -> str:
    """figure 1, figures 2 and 3 and table 4; without any, the text or the printout below."""
    words = []
    for kind in NUMBERED:
        numbers = [str(part["number"]) for part in parts if part["kind"] == kind]
        if numbers:
            words.append(f"{kind}{'s' if len(numbers) > 1 else ''} {enumerated(numbers)}")
    return enumerated(words or [f"the {BELOW[part['kind']]} below" for part in parts][:1])


def _deeds(source: str) -> str:
    """What a cell without outputs does: defines, loads, ends the page."""
    names = re.findall(r"^(?:def|class) +(\w+)", source, re.MULTILINE)
    if names:
        return f": defines {enumerated([name.strip('_').replace('_', ' ') for name in names])}"
    if re.search(r"\.begin\(", source):
        return ": the page begins, its parameters are checked"
    if source.strip() == "page.finish()":
        return ": the page ends, its results are handed over"
    lines = [line for line in source.split("\n") if line.strip()]
    return ": imports" if all(re.match(r"(import|from) ", line) for line in lines) else ""


def enumerated(words: list[str]) -> str:
    """Words as a sentence lists them: a, b and c."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)
