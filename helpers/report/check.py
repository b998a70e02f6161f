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

from helpers.report.sealed import MARK, PAGE, UNSEEN, Unreadable, examine, plain

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
