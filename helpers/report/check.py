"""Check exported pages: were they changed since export, and do their numbers follow from their own predictions?

    python3 check.py PAGE.html ...          one verdict a page, exit code 1 if any page is not as exported
    python3 check.py HAND-IN.zip ... --csv  one line for each hand-in

Standard library only, Python 3.9 or newer, no network: this file works alone. It finds accidents and edits. It cannot
find a forger who rebuilds a page with its hashes, except where the numbers contradict the predictions inside.
"""

import argparse
import base64
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
COLUMNS = ("file", "complete", "budget", "stand_in", "untouched", "test_accuracy", "commit", "problem")


class Unreadable(Exception):
    """Not one of our pages, or too damaged to say more: one line that says why."""


def digest(text):
    """SHA-256 of a text as 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def sections(text):
    """The page cut at its section marks: a list of (kind, label, content), nothing left out but the marks' wording."""
    pieces = re.split(r"<!--§ (\w+): (.*?)-->", text)
    return [("frame", "the head of the page", pieces[0]), *zip(pieces[1::3], pieces[2::3], pieces[3::3])]


def describe(content):
    """What the manifest keeps of a section: its hash, and six digits of the hash of each line."""
    return [digest(content), "".join(digest(line)[:6] for line in content.split("\n"))]


def shown(value):
    """A number as the table of results prints it: 0.8934, 12, or a dash for none."""
    if value is None:
        return "–"
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.5g}"


def embedded(text, name):
    """The JSON that the page carries under this id. Raises Unreadable if it is absent or damaged."""
    found = re.search(rf'<script id="{name}" type="application/json">(.*?)</script>', text, re.DOTALL)
    if not found:
        raise Unreadable(f"carries no {name}: not a page of this project, or only a part of one")
    try:
        value = json.loads(found[1])
    except ValueError:
        raise Unreadable(f"its {name} is damaged: the page was changed since export") from None
    if not isinstance(value, dict):
        raise Unreadable(f"its {name} is damaged: the page was changed since export")
    return value


def decode(data):
    """Bytes of a page as text, whatever the line endings that a mail program gave it."""
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise Unreadable("is not text in UTF-8: not a page of this project") from None
    if not text.strip():
        raise Unreadable("is empty")
    return text


def unpack(packed, count):
    """Labels of `count` images from base64 text: two a byte, the first in the high half, or one a byte."""
    data = base64.b64decode(packed, validate=True)
    if len(data) == count:
        return data
    if len(data) != (count + 1) // 2:
        raise ValueError("wrong length")
    return bytes(part for byte in data for part in (byte >> 4, byte & 15))[:count]


def recompute(bundle):
    """The headline accuracy, from the packed predictions: (one line of words, value or None, does it agree).

    A page without predictions gives an empty line.
    """
    packed = bundle.get("predictions")
    if not packed:
        return "", None, True
    try:
        count, key = packed["n"], packed["key"]
        labels = unpack(packed["labels"], count)
        runs = [unpack(run, count) for run in packed["predicted"]]
        values = [sum(a == b for a, b in zip(run, labels)) / count for run in runs]
        mean = sum(values) / len(values)
        result = bundle["results"][key]
        printed = [value for value in result["values"] if value is not None]
        slack = 0.4 / count  # less than one image
        agrees = abs(result["value"] - mean) < slack and len(printed) == len(values)
        agrees = agrees and all(abs(a - b) < slack for a, b in zip(printed, values))
    except (KeyError, ValueError, TypeError, ZeroDivisionError):
        return "the packed predictions are damaged: no accuracy can be recomputed", None, False
    idx = b"\0\0\x08\1" + count.to_bytes(4, "big") + labels
    official = hashlib.sha256(idx).hexdigest() == OFFICIAL_LABELS
    against = f"{count:,} {'official Fashion-MNIST ' if official else ''}test labels"
    if agrees:
        return f"{key} {mean:.4f} follows from its packed predictions ({len(runs)} x {against})", mean, True
    words = f"{key} is given as {shown(result['value'])}, but its packed predictions give {mean:.4f} ({against})"
    return f"REFUTED: {words}", mean, False


def table_against_results(text, bundle):
    """Sentences for each number in the printed table of results that is not the one in the results themselves."""
    rows = re.findall(r'<tr data-key="([^"]*)">.*?<td[^>]*>([^<]*)</td>', text)
    for key, printed in rows:
        value = bundle.get("results", {}).get(html.unescape(key), {}).get("value")
        if shown(value) != html.unescape(printed):
            yield f"REFUTED: the table of results prints {printed} for {key}, the results say {shown(value)}"


def now_reads(lines):
    """Some changed lines in plain words."""
    if any("<img" in line for line in lines):
        return "its picture, or the description of it, was changed"
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", " ".join(lines))).split())
    return f"now reads: {text[:160]}" if text else "its markup was changed"


def differences(text, manifest):
    """Sentences that say which sections are not as exported, and what they say now."""
    now, before = sections(text), manifest.get("sections", [])
    hashes = [describe(content)[0] for _, _, content in now]
    matcher = difflib.SequenceMatcher(None, [section[2] for section in before], hashes, autojunk=False)
    for what, a, b, c, d in matcher.get_opcodes():
        if what == "equal":
            continue
        for k in range(max(b - a, d - c)):
            if a + k >= b:
                yield f"something was added after {now[c + k - 1][1]}: {now_reads([now[c + k][2]])}"
            elif c + k >= d:
                yield f"{before[a + k][1]} was removed"
            elif before[a + k][0] != "manifest":
                yield from _lines_changed(before[a + k], now[c + k][2].split("\n"))


def _lines_changed(section, lines):
    old = re.findall("......", section[3])
    new = [digest(line)[:6] for line in lines]
    for what, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "delete":
            yield f"{section[1]}: {b - a} line(s) were removed"
        elif what != "equal":
            yield f"{section[1]}, line {c + 1}: {now_reads(lines[c:d])}"


def examine(data):
    """Everything that can be said of a page's bytes: a dict with untouched, words, run, bundle, accuracy.

    Raises Unreadable when it is not one of our pages.
    """
    text = decode(data)
    manifest, run, bundle = (embedded(text, name) for name in ("manifest", "run", "results"))
    seal = str(manifest.get("file"))
    words = []
    if digest(text.replace(seal, BLANK)) != seal:
        try:
            words = list(differences(text, manifest))
        except (TypeError, IndexError, AttributeError):
            words = []  # a manifest of another shape: the hash has decided already
        words = words or ["the manifest, or a mark between two sections"]
    try:
        line, accuracy, agrees = recompute(bundle)
        contradictions = list(table_against_results(text, bundle)) + ([] if agrees else [line])
    except (AttributeError, TypeError):
        line, accuracy, contradictions = "", None, ["the results are damaged: nothing can be recomputed"]
    return {
        "untouched": not words and not contradictions, "words": words, "contradictions": contradictions,
        "line": line if not contradictions else "", "run": run, "bundle": bundle, "accuracy": accuracy,
    }  # fmt: skip


def verdict(name, page):
    """The lines that are printed for one page."""
    run = page["run"]
    about = [str(run.get("status", "status unknown")), f"{run.get('budget') or 'no'} budget"]
    about += ["stand-in data"] * stand_in(run)
    if page["untouched"]:
        return [f"{name}: untouched since export ({', '.join(about)})"] + [f"  {page['line']}"] * bool(page["line"])
    changed = [f"  changed: {words}" for words in page["words"][:20]]
    changed += [f"  ... and {len(page['words']) - 20} more"] * (len(page["words"]) > 20)
    head = "CHANGED since export" if changed else "CONTRADICTS ITSELF"
    return [f"{name}: {head} ({', '.join(about)})", *changed, *(f"  {words}" for words in page["contradictions"])]


def stand_in(run):
    """Whether the page stands on stand-in data."""
    data = run.get("data") or {}
    return any(item.get("standin") for item in (data if isinstance(data, list) else [data]))


def pages_in(path):
    """(name, bytes) of each page in a file: itself, or every .html in a zip."""
    try:
        if not zipfile.is_zipfile(path):
            with open(path, "rb") as file:
                return [(path, file.read())]
        with zipfile.ZipFile(path) as archive:
            inside = [item for item in archive.infolist() if item.filename.lower().endswith((".html", ".htm"))]
            if any(item.file_size > LARGEST for item in inside):
                raise Unreadable("holds a page that is far too large")
            return [(f"{path}: {item.filename}", archive.read(item)) for item in inside]
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
        raise Unreadable(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except Exception as error:  # zlib.error and its kin: a damaged archive can fail anywhere
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(f"cannot be read: {error}") from None


def commit_of(provenance):
    """The commit that the page names, in twelve digits, marked where the tree had changes."""
    flat = {**provenance, **{k: v for part in provenance.values() if isinstance(part, dict) for k, v in part.items()}}
    commit = str(flat.get("commit") or "")
    return commit[:12] + "-dirty" * bool(commit and flat.get("dirty"))


def row(path):
    """One hand-in as a dict of COLUMNS, from all its pages but the index."""
    answer = dict.fromkeys(COLUMNS, "")
    answer["file"], problems, pages = path, [], []
    try:
        for name, data in pages_in(path):
            try:
                pages.append(examine(data))
            except Unreadable as why:
                problems.append(f"{name.rpartition(': ')[2]}: {why}")
    except Unreadable as why:
        problems.append(str(why))
    tasks = [page for page in pages if page["run"].get("status") != "index"]
    if tasks:
        runs = [page["run"] for page in tasks]
        best = [page["accuracy"] for page in tasks if page["accuracy"] is not None]
        answer["complete"] = "yes" if all(run.get("status") == "complete" for run in runs) else "no"
        answer["budget"] = "+".join(sorted({str(run.get("budget")) for run in runs}))
        answer["stand_in"] = "yes" if any(map(stand_in, runs)) else "no"
        answer["test_accuracy"] = f"{best[-1]:.4f}" if best else ""
        answer["commit"] = "+".join(sorted({commit_of(run.get("provenance") or {}) for run in runs}))
        problems += [words for page in pages for words in page["contradictions"]]
    elif not problems:
        problems.append("holds no page")
    answer["untouched"] = "yes" if pages and not problems and all(page["untouched"] for page in pages) else "no"
    answer["problem"] = "; ".join(problems)
    return answer


def main(argv=None):
    """Check the files named on the command line; 0 if all are as exported, else 1."""
    parser = argparse.ArgumentParser(prog="check", description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", metavar="PAGE.html|HAND-IN.zip")
    parser.add_argument("--csv", action="store_true", help="one line of comma-separated values for each file")
    options = parser.parse_args(argv)
    if options.csv:
        rows = [row(path) for path in options.files]
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return int(any(each["untouched"] == "no" for each in rows))
    failed = False
    for path in options.files:
        try:
            found = pages_in(path)
            if not found:
                raise Unreadable("holds no page")
        except Unreadable as why:
            print(f"{path}: {why}")
            failed = True
            continue
        for name, data in found:
            try:
                page = examine(data)
                lines, untouched = verdict(name, page), page["untouched"]
            except Unreadable as why:
                lines, untouched = [f"{name}: {why}"], False
            print("\n".join(lines))
            failed |= not untouched
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
