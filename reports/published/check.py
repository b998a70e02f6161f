"""Check exported pages: were they changed since export, and do their numbers follow from their own predictions?

    python3 check.py PAGE.html ...          one verdict a page, exit code 1 if any page is not as exported
    python3 check.py HAND-IN.zip ... --csv  one line for each hand-in

Standard library only, Python 3.9 or newer, no network; the copy beside the pages works alone. It finds accidents and
edits. It cannot find a forger who rebuilds a page with its hashes, except where the numbers contradict the predictions
inside. Given several hand-ins it flags what two of them have alike: the export of a page, predictions (also equal where
two people trained the same settings on the same kind of machine) and records of trainings (a copy: they hold the time).
"""

import argparse
import csv
import hashlib
import io
import os
import re
import sys
import zipfile

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

TASKS = 5  # pages of a complete hand-in: task1_..., task2_... and so on, and what its index lists
# More than this is named, not read: bytes of a hand-in, of all pages in it, and files in it.
FILE, UNPACKED, FILES = 30_000_000, 60_000_000, 10_000


def pages_in(path, data):
    """Yield (name, bytes, why they are not to be read) of a page itself, or of each in a zip but marking sheets."""
    if len(data) > FILE or data.count(b"PK\1\2") > FILES:  # the latter begins the entry of each file in a zip
        raise ValueError(f"more than {FILE:,} bytes or {FILES:,} files; hand in the pages alone")
    if path.lower().endswith(".zip") and not zipfile.is_zipfile(io.BytesIO(data)):
        raise ValueError("not a zip archive, or only a part of one")
    if not data.startswith(b"PK"):
        yield path, data, "an archive is glued to it" if zipfile.is_zipfile(io.BytesIO(data)) else ""
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        left = UNPACKED
        for item in archive.infolist():
            if (
                re.search(r"(?i)(^|/)(?!\._|marking-sheet)[^/]*\.html?$", item.filename)
                and "__MACOSX/" not in item.filename
            ):
                content, why = unpacked(archive, item)
                yield f"{path}: {item.filename}", content, why
                left -= len(content)
                if left < 0:
                    raise ValueError(f"more than {UNPACKED:,} bytes of pages")


def unpacked(archive, item):
    """(bytes of a member of an archive, why they are not to be read)."""
    if re.search(r"^[/\\]|^\w:|(^|[/\\])\.\.([/\\]|$)", item.filename):
        return b"", "its path leads out of the archive"
    if item.external_attr >> 28 == 0o12 or item.compress_type not in (0, 8):  # stored, deflated
        return b"", "is a link, or packed in a way that is not read"
    try:
        return archive.open(item).read(PAGE + 1), ""  # its size as noted may be wrong
    except Exception as error:  # encrypted, damaged, overlapping ...
        return b"", f"cannot be read: {error}"


def examine_file(path):
    """{name: examined page, or {"problem": words}, or {"foreign": words}} of one file; the file's hash."""
    pages, file_hash = {}, ""
    try:
        if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
            raise ValueError("not a regular file")  # a pipe would never end
        with open(path, "rb") as file:
            data = file.read(FILE + 1)
        file_hash = hashlib.sha256(data).hexdigest()
        for name, content, why in pages_in(path, data):
            try:
                why = "is in it twice" if name in pages else why
                pages[name] = {"problem": why} if why else examine(content)
            except Unreadable as error:
                ours = name == path or MARK.encode() in content
                pages[name] = {"problem" if ours else "foreign": str(error)}
        if not any(page.keys() - {"foreign"} for page in pages.values()):
            pages[path] = {"problem": "holds no page of this project"}
    except Exception as error:  # a damaged archive can fail anywhere: zlib, struct, zipfile ...
        pages[path] = {"problem": f"cannot be read: {getattr(error, 'strerror', None) or error or 'too large'}"}
    return pages, file_hash


def compare_with_index(pages):
    """Note on each page whether the indices of its own folder list another hash; what they list is not foreign."""
    listed = {}
    for name, page in pages.items():
        folder = re.match(r"(?s)(?:.*(?:[/\\]|: ))?", name)[0]
        for file, seal in page.get("run", {}).get("pages", {}).items():
            listed.setdefault(folder + file, set()).add(seal)
    for name in pages.keys() & listed.keys():
        page = pages[name]
        if "foreign" in page:
            page["problem"] = page.pop("foreign") + "; the index lists one"
        elif page.get("seal") not in listed[name] and "problem" not in page:
            page["refuted"].append("REFUTED: this is not the page that the index lists, but another export")


def compare_hand_ins(hand_ins):
    """Note on each page which other files hold the same export of it, the same predictions or records."""
    holders = {}
    for path, (pages, _) in hand_ins.items():
        for page in pages.values():
            for trace in page.get("traces", ()):
                holders.setdefault((page["run"]["notebook"], *trace), {})[path] = page
    for (_, what, _), pages in sorted(holders.items()):
        for path, page in pages.items():
            page["same"].update((other, what) for other in pages if other != path)


def spoilt(pages):
    """Whether anything is not as exported."""
    return any(page.get("problem") or page.get("changed") or page.get("refuted") for page in pages.values())


def unseen(page):
    """Whether a page was changed, and only where nobody reads."""
    return bool(page["changed"]) and all(words.startswith(UNSEEN) for words in page["changed"])


def verdict(name, page):
    """The lines that are printed for one page."""
    if "problem" in page:
        return [f"{name}: {page['problem']}"]
    if "foreign" in page:
        return [f"{name}: left out, {page['foreign']}"]
    run = page["run"]
    head = "REFUTED" if page["refuted"] else "untouched since export"
    if page["changed"]:
        head = "CHANGED since export, in HTML comments alone" if unseen(page) else "CHANGED since export"
    about = f"{run['status']}, {run['budget'] or 'no'} budget{', stand-in data' if run['standin'] else ''}"
    lines = [f"changed: {words}" for words in page["changed"][:20]]
    if len(page["changed"]) > 20:
        lines.append("... and more")
    if page["refuted"]:
        lines += page["refuted"]
    elif page["line"]:
        lines.append(page["line"])
    lines += [f"FLAG: same {what} as {other}" for other, what in sorted(page["same"])]
    return [f"{name}: {head} ({about})", *(f"  {line}" for line in lines)]


def row(path, pages, file_hash):
    """One hand-in as a dict of columns, from all its pages but the index."""
    examined = [page for page in pages.values() if "run" in page]
    runs = [page["run"] for page in examined if page["run"]["status"] != "index"]
    built, listed = {run["notebook"] for run in runs}, {file[:-5] for page in examined for file in page["run"]["pages"]}
    lacking = []
    if path not in pages:  # an archive that could be read, not one page
        tasks = [f"task{n}" for n in range(1, TASKS + 1)]
        lacking = [task for task in tasks if not any(f"{task}_" in name for name in built)]
    lacking += sorted(name for name in listed - built if name[:5] not in lacking)
    complete = {run["status"].replace(", no results", "") for run in runs} == {"complete"} and not lacking
    accuracies = [page["accuracy"] for page in examined if page["accuracy"] is not None]
    last = f"{accuracies[-1]:.4f}" if accuracies else ""  # of task 5
    standin = "yes" if any(run["standin"] for run in runs) else "no"
    same, changed = {}, []
    for page in examined:
        if page["changed"]:
            changed.append(page["run"]["notebook"] + (" (comments)" if unseen(page) else ""))
        for hand_in in page["same"]:
            same.setdefault(hand_in, []).append(page["run"]["notebook"] or "index")
    notes = [verdict(name, page)[0] for name, page in pages.items() if "run" not in page]
    several = {name: "+".join(sorted({run[name] for run in runs} - {""})) for name in ("author", "budget", "commit")}
    cells = {
        "file": path, "author": several["author"],
        "complete": "yes" if complete and not any("problem" in page for page in pages.values()) else "no",
        "missing": "+".join(lacking), "budget": several["budget"], "commit": several["commit"], "sha256": file_hash,
        "stand_in": standin, "untouched": "no" if spoilt(pages) else "yes", "recomputed_accuracy": last,
        "changed": "+".join(changed),
        "same_as": "; ".join(f"{other} ({what} of {'+'.join(names)})" for (other, what), names in sorted(same.items())),
        "problem": "; ".join(notes + [words for page in examined for words in page["refuted"]]),
    }  # fmt: skip
    return {name: cell(text) for name, text in cells.items()}


def cell(text):
    """A text for a spreadsheet: on one line, and no formula where it begins as one does."""
    return f"'{plain(text)}" if text.startswith(("=", "+", "-", "@")) else plain(text)


def main(argv=None):
    """Check the files named on the command line; 0 if all are as exported, else 1."""
    parser = argparse.ArgumentParser(prog="check", description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", metavar="PAGE.html|HAND-IN.zip")
    parser.add_argument("--csv", action="store_true", help="one line of comma-separated values for each file")
    options = parser.parse_args(argv)
    sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may not know a name's letters
    hand_ins = {path: examine_file(path) for path in options.files}
    compare_with_index({name: page for pages, _ in hand_ins.values() for name, page in pages.items()})
    compare_hand_ins(hand_ins)
    try:
        if options.csv:
            rows = [row(path, *examined) for path, examined in hand_ins.items()]
            csv.writer(sys.stdout, lineterminator="\n").writerows([rows[0], *(each.values() for each in rows)])
        else:
            for name, page in (item for pages, _ in hand_ins.values() for item in pages.items()):
                print("\n".join(map(plain, verdict(name, page))))
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has read enough; what is still held goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(any(spoilt(pages) for pages, _ in hand_ins.values()))


if __name__ == "__main__":
    sys.exit(main())
