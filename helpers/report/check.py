"""Check exported pages: were they changed since export, and do their numbers follow from their own predictions?

    python3 check.py PAGE.html ...          one verdict a page, exit code 1 if any page is not as exported
    python3 check.py HAND-IN.zip ... --csv  one line for each hand-in

Standard library only, Python 3.9 or newer, no network: this file works alone. It finds accidents and edits. It cannot
find a forger who rebuilds a page with its hashes, except where the numbers contradict the predictions inside.
"""

import argparse
import base64
import contextlib
import csv
import difflib
import hashlib
import html
import json
import re
import sys
import zipfile

BLANK = "0" * 64  # stands in the file's own slot while it is hashed
# SHA-256 of the official Fashion-MNIST test labels, as the idx file that is published: a header, then 10,000 bytes.
OFFICIAL_LABELS = "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
LARGEST = 50_000_000  # bytes of one page inside a zip; ours are below one million
DAMAGED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)  # of a damaged page


class Unreadable(Exception):
    """Not one of our pages, or too damaged to say more: one line that says why."""


def digest(text):
    """SHA-256 of a text as 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def sections(text):
    """The page cut at its section marks: a list of (kind, label, content), nothing left out but the marks' wording."""
    pieces = re.split(r"<!--§ (\w+): (.*?)-->", text)
    return [("frame", "the head of the page", pieces[0]), *zip(pieces[1::3], pieces[2::3], pieces[3::3])]


def shown(value):
    """A number as the table of results prints it: 0.8934, 12, or a dash for none."""
    if value is None:
        return "–"
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.5g}"


def embedded(text, name):
    """The JSON that the page carries under this id. Raises Unreadable if it is absent or damaged."""
    found = re.search(rf'<script id="{name}" type="application/json">(.*?)</script>', text, re.DOTALL)
    if not found:
        what = f"carries no {name}: not a page of this project, or only a part of one" if text.strip() else "is empty"
        raise Unreadable(what)
    try:
        return dict(json.loads(found[1]).items())
    except DAMAGED:
        raise Unreadable(f"its {name} is damaged: the page was changed since export") from None


def unpack(packed):
    """Labels from "bits:count:base64" text; at four bits each, two a byte, the first in the high half."""
    bits, count, code = packed.split(":")
    data = base64.b64decode(code, validate=True)
    if bits == "4":
        data = bytes(part for byte in data for part in (byte >> 4, byte & 15))
    return data[: int(count)]


def recompute(bundle):
    """The headline accuracy from the packed predictions: (one line of words, value or None, does it agree).

    A page without predictions gives an empty line.
    """
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
    against = f"{len(runs)} x {count:,} {'official Fashion-MNIST ' * (idx == OFFICIAL_LABELS)}test labels"
    line = f"{key} {mean:.4f} follows from its packed predictions ({against})"
    wrong = f"REFUTED: {key} is given as {result['value']}, its packed predictions give {mean:.4f} ({against})"
    return line if agrees else wrong, mean, agrees


def table_against_results(text, bundle):
    """Sentences for each number in the printed table of results that is not the one in the results themselves."""
    for key, printed in re.findall(r'<tr data-key="([^"]*)">.*?<td[^>]*>([^<]*)</td>', text):
        value = bundle["results"][html.unescape(key)]["value"]
        if shown(value) != html.unescape(printed):
            yield f"REFUTED: the table of results prints {printed} for {key}, the results say {shown(value)}"


def now_reads(lines):
    """Some changed lines in plain words."""
    if any("<img" in line for line in lines):
        return "its picture, or the description of it, was changed"
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", " ".join(lines))).split())
    return f"now reads: {text[:160]}" if text else "its markup was changed" if lines else "something was removed here"


def differences(text, manifest):
    """Sentences that say which sections are not as exported, and what they say now."""
    now = {label: content for _, label, content in sections(text)}
    before = {label: (kind, whole, lines) for kind, label, whole, lines in manifest["sections"]}
    yield from (f"{label} was removed" for label in before if label not in now)
    yield from (f"added: {label}; {now_reads([now[label]])}" for label in now if label not in before)
    for label, (kind, whole, lines) in before.items():
        if label in now and kind != "manifest" and digest(now[label]) != whole:
            new = now[label].split("\n")
            hashes = [digest(line)[:6] for line in new]
            matcher = difflib.SequenceMatcher(None, re.findall("......", lines), hashes, autojunk=False)
            parts = [part[3:] for part in matcher.get_opcodes() if part[0] != "equal"]
            yield from (f"{label}, line {first + 1}: {now_reads(new[first:last])}" for first, last in parts)


def examine(data):
    """Everything that can be said of a page's bytes: a dict of changed, refuted, line, accuracy, run, seal.

    Raises Unreadable when it is not one of our pages.
    """
    try:  # a mail program may have given it other line endings: they change nothing
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise Unreadable("is not text in UTF-8: not a page of this project") from None
    manifest, run, bundle = (embedded(text, name) for name in ("manifest", "run", "results"))
    seal, changed = str(manifest.get("file")), []
    if digest(text.replace(seal, BLANK)) != seal:
        changed = ["the manifest, or a mark between two sections"]
        with contextlib.suppress(*DAMAGED):  # a manifest of another shape: the hash has decided already
            changed = list(differences(text.replace(seal, BLANK), manifest)) or changed
    line, accuracy, agrees = recompute(bundle)
    try:
        refuted = [line] * (not agrees) + list(table_against_results(text, bundle))
    except DAMAGED:
        refuted = ["REFUTED: the results are damaged; not all can be recomputed"]
    return {"changed": changed, "refuted": refuted, "line": line, "accuracy": accuracy, "run": run, "seal": seal}


def verdict(name, page):
    """What is printed for one page."""
    run, changed = page["run"], [f"changed: {words}" for words in page["changed"]]
    head = "CHANGED since export" if changed else "REFUTED" if page["refuted"] else "untouched since export"
    about = f"{run.get('status')}, {run.get('budget') or 'no'} budget{', stand-in data' * stand_in(run)}"
    words = changed[:20] + ["... and more"] * (len(changed) > 20) + page["refuted"]
    return "\n  ".join(
        [f"{name}: {head} ({about})", *words, *[page["line"]] * bool(page["line"] and not page["refuted"])]
    )


def compare_with_index(pages):
    """Note on each page that an index among `pages` (dict name -> examined) lists with another hash."""
    listed = {}
    for page in pages.values():
        listed.update(page["run"].get("pages") or {})
    for name, page in pages.items():
        expected = listed.get(re.split(r"[/\\]|: ", name)[-1], page["seal"])
        if expected != page["seal"]:
            page["refuted"].append("REFUTED: this is not the page that the index lists, but another export")


def data_of(run):
    """The data sets that a run noted: a list of dicts."""
    data = run.get("data") or []
    return [item for item in (data if isinstance(data, list) else [data]) if isinstance(item, dict)]


def stand_in(run):
    """Whether the page stands on stand-in data."""
    return any(item.get("standin") for item in data_of(run))


def pages_in(path):
    """(name, bytes) of each page in a file: itself, or every .html in a zip."""
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            return [(path, file.read())]
    with zipfile.ZipFile(path) as archive:
        inside = [item for item in archive.infolist() if re.search(r"\.html?$", item.filename, re.IGNORECASE)]
        if not inside or any(item.file_size > LARGEST for item in inside):
            raise ValueError("a page in it is far too large" if inside else "it holds no page")
        return [(f"{path}: {item.filename}", archive.read(item)) for item in inside]


def examine_file(path):
    """({name: examined page}, {name: what is wrong with it}) of one file, page or zip."""
    pages, problems = {}, {}
    try:
        found = pages_in(path)
    except Exception as error:  # a damaged archive can fail anywhere: zlib, struct, zipfile ...
        found, problems[path] = [], f"cannot be read: {getattr(error, 'strerror', None) or error}"
    for name, data in found:
        try:
            pages[name] = examine(data)
        except Unreadable as why:
            problems[name] = str(why)
    return pages, problems


def spoilt(pages, problems):
    """Whether anything is not as exported."""
    return bool(problems) or any(page["changed"] or page["refuted"] for page in pages.values())


def commit_of(run):
    """The commit that the page names, in twelve digits, marked where the tree had changes."""
    provenance = json.dumps(run.get("provenance"))
    found = re.search(r'"commit": "(\w+)"', provenance)
    return found[1][:12] + "-dirty" * ('"dirty": true' in provenance) if found else ""


def row(path, pages, problems):
    """One hand-in as a dict of columns, from all its pages but the index."""
    runs = [page["run"] for page in pages.values() if page["run"].get("status") != "index"]
    accuracies = [f"{page['accuracy']:.4f}" for page in pages.values() if page["accuracy"] is not None]
    return {
        "file": path,
        "complete": "yes" if not problems and {run.get("status") for run in runs} == {"complete"} else "no",
        "budget": "+".join(sorted({str(run.get("budget")) for run in runs})),
        "stand_in": "yes" if any(map(stand_in, runs)) else "no",
        "untouched": "no" if spoilt(pages, problems) else "yes",
        "test_accuracy": accuracies[-1] if accuracies else "",  # tasks come last in a zip, task 5 at its end
        "commit": "+".join(sorted({commit_of(run) for run in runs})),
        "problem": "; ".join([*problems.values(), *(words for p in pages.values() for words in p["refuted"])]),
    }


def main(argv=None):
    """Check the files named on the command line; 0 if all are as exported, else 1."""
    parser = argparse.ArgumentParser(prog="check", description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", metavar="PAGE.html|HAND-IN.zip")
    parser.add_argument("--csv", action="store_true", help="one line of comma-separated values for each file")
    options = parser.parse_args(argv)
    found = {path: examine_file(path) for path in options.files}
    alone = {path: pages[path] for path, (pages, _) in found.items() if path in pages}
    for pages in [alone, *(pages for pages, _ in found.values())]:
        compare_with_index(pages)
    if options.csv:
        rows = [row(path, *each) for path, each in found.items()]
        writer = csv.DictWriter(sys.stdout, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        for pages, problems in found.values():
            lines = [verdict(name, page) for name, page in pages.items()]
            print("\n".join(lines + [f"{name}: {why}" for name, why in problems.items()]))
    return int(any(spoilt(*each) for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())
