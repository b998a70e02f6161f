"""The bytes of one page: was it changed since export, do its numbers follow from its own predictions?

Standard library only, Python 3.9 or newer: this text is a part of the check.py that lies beside the pages.
"""

import base64
import contextlib
import hashlib
import html
import json
import re

BLANK = "0" * 64  # stands in the file's own slot while it is hashed
MARK = "<!--§ "  # begins a section
COMMENT = re.compile(r"<!--(?!-?>)(?:(?!--!?>|<!--).)*-->", re.DOTALL)  # of HTML: nobody who reads the page sees it
OPENING = re.compile(r"<!--|<(style|script|title|textarea)\b|<[a-z/]", re.IGNORECASE)
IN_TAG = re.compile(r"""[^>"']*(>|"[^"]*"|'[^']*')""")
UNSEEN = "an HTML comment or an empty line was changed, nothing that is read:"
# SHA-256 of the official Fashion-MNIST test labels, as the idx file that is published: a header, then 10,000 bytes.
OFFICIAL_LABELS = "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
PAGE, JSON = 10_000_000, 1_000_000  # bytes of a page, and of its JSON: more is named, not read
DAMAGED = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError)


class Unreadable(Exception):
    """Not one of our pages, or too damaged to say more: one line that says why."""


def plain(text):
    """`text` on one line, without what a terminal would obey, and not endless."""
    shown = (char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[:500])
    return "".join(shown) + (" ..." if len(text) > 500 else "")


def digest(text):
    """SHA-256 of a text as 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def sections(text):
    """The page cut at its section marks: a list of (kind, label, content), nothing left out but the marks' wording."""
    head, *pieces = text.split(MARK)
    marked = [piece.partition("-->") for piece in pieces]
    return [("frame", "the head of the page", head), *((*mark.partition(": ")[::2], rest) for mark, _, rest in marked)]


def without_comments(content):
    """The content but for its HTML comments; what looks like one inside a tag, a style sheet or a title is none."""
    kept, place = [], 0
    while True:
        match = OPENING.search(content, place)
        start = match.start() if match else len(content)
        kept.append(content[place:start])
        if not match:
            return "".join(kept)
        comment = COMMENT.match(content, start)
        place = comment.end() if comment else _end(content, match)
        kept.append("" if comment else content[start:place])


def _end(content, match):
    """Where the element at `match` ends, if it holds no markup, else its tag; at the end of all where nothing does."""
    if match[1]:
        closed = re.compile(rf"</{match[1]}\s*>", re.IGNORECASE).search(content, match.end())
        return closed.end() if closed else len(content)
    place = match.end()
    while match[0] != "<!--":  # one that no comment begins with is text
        part = IN_TAG.match(content, place)
        place = part.end() if part else len(content)
        if not part or part[1] == ">":
            break
    return place


def read_lines(content):
    """(number, first six digits of its SHA-256, line) of each line that is not empty, HTML comments left out."""
    lines = enumerate(without_comments(content).split("\n"), 1)
    return [(n, digest(line)[:6], line) for n, line in lines if line.strip()]


def prints(printed, value):
    """Whether a printed number (0.8934 ± 0.0021, 12,345, 1.1 %, 2.5 × 10⁻⁷) is this value, rounded; a dash is none."""
    if value is None:
        return printed == "–"
    text = printed.partition(" ± ")[0].replace(",", "").translate(str.maketrans("⁻−⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789"))
    number = re.match(r"(-?\d+(?:\.(\d+))?)( × 10(-?\d+))?", text)
    power = int(number[4] or 0) - 2 * printed.endswith(" %")
    error = abs(float(number[1]) * 10.0**power - value)
    return error <= 0.5001 * 10.0 ** (power - len(number[2] or "")) and error <= max(0.00006, 0.006 * abs(value))


def embedded(text, name):
    """The JSON that the page carries under this id. Raises Unreadable if it is absent, damaged or huge."""
    opening = f'<script id="{name}" type="application/json">'
    content, closed, _ = text.rpartition(opening)[2].partition("</script>")  # an earlier one stands in somebody's text
    if opening not in text or not closed:
        why = f"carries no {name}: not a page of this project, or only a part of one"
        raise Unreadable(why if text else "is empty")
    try:
        read = dict(json.loads(content[:JSON], parse_int=lambda digits: int(digits[:99])).items())  # int takes its time
        return {**read, "pages": dict(read["pages"] or {})} if "pages" in read else read  # what an index lists
    except DAMAGED:
        raise Unreadable(f"its {name} is damaged: the page was changed since export") from None


def unpack(packed):
    """Labels from "bits:count:base64" text; at four bits each, two a byte, the first in the high half."""
    bits, count, code = packed.split(":")
    data = base64.b64decode(code, validate=True)
    if bits == "4":
        data = bytes(part for byte in data for part in (byte >> 4, byte & 15))
    return data[: int(count[:9])]


def recompute(bundle):
    """The headline accuracy from the packed predictions: (words, or none without any; value or None; does it agree)."""
    if not bundle.get("predictions"):
        return "", None, True
    try:
        packed = bundle["predictions"]
        labels, runs = unpack(packed["labels"]), [unpack(run) for run in packed["predicted"]]
        count, key, result = len(labels), packed["key"], bundle["results"][packed["key"]]
        values = [sum(a == b for a, b in zip(run, labels)) / count for run in runs]
        mean = sum(values) / len(values)
        pairs = list(zip([result["value"], *result["values"]], [mean, *values]))
        agrees = len(result["values"]) == len(values) and {len(run) for run in runs} == {count}
        agrees &= all(abs(a - b) < 0.4 / count for a, b in pairs)  # less than one image
    except DAMAGED:
        return "REFUTED: the packed predictions are damaged, or of another run", None, False
    idx = hashlib.sha256(b"\0\0\x08\1" + count.to_bytes(4, "big") + labels).hexdigest()
    labels_are = "official Fashion-MNIST test labels" if idx == OFFICIAL_LABELS else "test labels"
    against = f"{len(runs)} x {count:,} {labels_are}"
    line = f"{key} {mean:.4f} follows from its packed predictions ({against})"
    wrong = f"REFUTED: {key} is given as {result['value']}, its packed predictions give {mean:.4f} ({against})"
    return line if agrees else wrong, mean, agrees


def table_against_results(text, bundle):
    """Sentences for each number in the printed table of results that is not the one in the results themselves."""
    for line in text.split('<tr data-key="', 2000)[1:]:
        key, _, cells = html.unescape(line.partition("\n")[0][:9999]).partition('">')
        printed = cells.partition('<td class="num"')[2].partition(">")[2].partition("</td>")[0]
        value = bundle["results"][key]["value"]
        if not prints(printed, value):
            yield f"REFUTED: the table of results prints {printed} for {key}, the results say {value}"


def now_reads(content):
    """Some changed content in plain words."""
    text = " ".join(html.unescape(re.sub(r"<[^<>]*(>|$)", " ", content[:9999])).split())
    return f"now reads: {text[:160]}" if text else "its picture, or the description of it, or its markup was changed"


def differences(text, manifest):
    """Sentences that say which sections are not as exported, and what they say now."""
    now = {label: content for _, label, content in sections(text)}
    before = {label: (kind, exported, lines) for kind, label, exported, lines in manifest["sections"]}
    gone = {before[label][1]: label for label in before if label not in now}
    for label in [label for label in now if label not in before]:
        twin = gone.pop(digest(now[label]), "")  # the same content below another mark
        yield f"{UNSEEN} the mark of {twin[:99]}" if twin else f"added: {label[:99]}; {now_reads(now[label])}"
    yield from (f"{label[:99]} was removed" for label in gone.values())
    for label, (kind, exported, lines) in before.items():
        if label in now and kind != "manifest" and digest(now[label]) != exported:
            lines_now, codes = read_lines(now[label]), {*re.findall("......", lines)}
            new = [f"{label[:99]}, line {n}: {now_reads(line)}" for n, code, line in lines_now if code not in codes]
            same = "".join(code for _, code, _ in lines_now) == lines
            yield from new or [f"{UNSEEN} {label[:99]}" if same else f"{label[:99]}: a line was removed, or moved"]


def traces(bundle, seal):
    """(what, digest) of a page's export, predictions and own records: two people's own work has none in common."""
    digests = {("page", seal)}
    with contextlib.suppress(*DAMAGED):
        predictions = (bundle.get("predictions") or {"predicted": []})["predicted"]
        digests |= {("predictions", digest(run)) for run in predictions}
        digests |= {("records", str(checksum)) for checksum in bundle.get("own", [])}
    return digests


def examine(data):
    """What a page's bytes say: changed, refuted, line, accuracy, run, seal, traces. Raises Unreadable if not ours.

    `same` is empty: `check.compare_hand_ins` notes there who else has the traces.
    """
    if len(data) > PAGE:
        raise Unreadable(f"is larger than {PAGE:,} bytes: no page is")
    text = data.decode("utf-8-sig", "replace").replace("\r\n", "\n")  # line endings of a mail program change nothing
    manifest, run, bundle = (embedded(text, name) for name in ("manifest", "run", "results"))
    provenance = json.dumps(run.get("provenance"))
    commit = re.search(r'"commit": "(\w+)"', provenance)
    facts = {name: str(run.get(name) or "")[:99] for name in ("status", "budget", "notebook", "author")}
    facts["commit"] = commit[1][:12] if commit else ""
    if commit and '"dirty": true' in provenance:
        facts["commit"] += "-dirty"
    facts["standin"] = '"standin": true' in json.dumps(run.get("data"))
    facts["pages"] = {name: str(seal) for name, seal in run.get("pages", {}).items()}
    seal, changed = str(manifest.get("file")), []
    if not re.fullmatch("[0-9a-f]{64}", seal) or digest(text.replace(seal, BLANK)) != seal:
        changed = ["the manifest, or a comment that marks a section"]
        with contextlib.suppress(*DAMAGED):  # a manifest of another shape: the hash has decided already
            if len(text) < PAGE / 4 and text.count("\n") < PAGE / 200:  # as each of our pages: to compare takes time
                changed = list(differences(text.replace(seal, BLANK), manifest)) or changed
    line, accuracy, agrees = recompute(bundle)
    try:
        refuted = [*([] if agrees else [line]), *table_against_results(text, bundle)]
    except DAMAGED:
        refuted = ["REFUTED: the results are damaged; not all can be recomputed"]
    page = {"changed": changed, "refuted": refuted, "line": line, "accuracy": accuracy, "run": facts, "seal": seal}
    return {**page, "traces": traces(bundle, seal), "same": set()}
