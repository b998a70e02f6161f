"""The last two steps of a page: `seal` writes its JSON and its hashes, `gate` refuses what no page may hold."""

import re
from html.parser import HTMLParser

from helpers.base import CourseworkError, to_json
from helpers.page.bundle import bundle_text
from helpers.report import sealed

# Which hash of the list at the end a section belongs to.
KINDS = {
    "code": "code", "figure": "outputs", "table": "outputs", "printout": "outputs", "error": "outputs",
    "prose": "prose", "results": "results",
}  # fmt: skip


def seal(text: str, bundle: dict, run: dict) -> str:
    """`text` with its JSON, the list of its hashes, and a manifest that ends in the hash of the whole file."""
    spare = {key: _spare(result, bundle.get("budget")) for key, result in bundle.get("results", {}).items()}
    content = bundle_text(bundle | {"results": spare}) if bundle else "{}"
    if len(content) > sealed.JSON:
        raise CourseworkError(f"its results are {len(content):,} characters, at most {sealed.JSON:,}: publish fewer")
    text = _insert(text.replace("\r\n", "\n"), "RESULTS", content.replace("<", "\\u003c"))
    text = _insert(text, "RUN", to_json(run).replace("<", "\\u003c"))
    groups = {name: [] for name in KINDS.values()}
    for kind, _, content in sealed.sections(text):
        if kind in KINDS:
            groups[KINDS[kind]].append(sealed.digest(content))
    rows = ""
    for name, hashes in groups.items():
        if hashes:
            count = "1 section" if len(hashes) == 1 else f"{len(hashes)} sections"
            rows += f'<tr><th scope="row">{name} ({count})</th><td>{sealed.digest("".join(hashes))}</td></tr>\n'
    text = _insert(text, "HASHES", f'{rows}<tr><th scope="row">the whole file</th><td>{sealed.BLANK}</td></tr>')
    parts = [[kind, label, *_hashes(content)] for kind, label, content in sealed.sections(text)]
    parts = [part if part[0] != "manifest" else [*part[:2], "", ""] for part in parts]
    manifest = '{"sections":[\n' + ",\n".join(map(to_json, parts)) + f'],\n"file":"{sealed.BLANK}"}}'
    text = _insert(text, "MANIFEST", manifest.replace("<", "\\u003c"))
    return text.replace(sealed.BLANK, sealed.digest(text))


def _spare(result: dict, budget) -> dict:
    """`result` without what goes without saying: no unit, real data, the page's budget, trainings that ended well."""
    usual = {"unit": ("",), "standin": (False,), "budget": (budget,), "seeds": (None, []), "records": ([],)}
    kept = {name: value for name, value in result.items() if value not in usual.get(name, ())}
    if set(kept.get("statuses", [])) <= {"ok"}:
        kept.pop("statuses", None)
    return kept


def _hashes(content):
    """What the manifest keeps of a section: its hash, and six digits of the hash of each line that people read."""
    return [sealed.digest(content), "".join(code for _, code, _ in sealed.read_lines(content))]


def _insert(text, name, content):
    before, mark, after = text.rpartition(f"@@{name}@@")
    return before + content + after if mark else text


class _Gate(HTMLParser):
    """Collects what a page of ours must not hold."""

    def __init__(self):
        super().__init__()
        self.wrong, self.ids = [], set()

    def handle_starttag(self, tag, attrs):
        attrs = {name: value or "" for name, value in attrs}
        for name in ("src", "srcset", "poster", "data", "action", "formaction", "background"):
            addresses = re.split(r",\s+", attrs.get(name, "data:"))  # of a srcset there are several
            if not all(address.startswith("data:") for address in addresses):
                self.wrong.append(f"<{tag} {name}={attrs[name][:60]!r}> would be fetched; embed it in the notebook")
        hrefs = [attrs.get(name, "") for name in ("href", "xlink:href")]
        fetches = tag not in ("a", "area") and not all(href.startswith(("data:", "#")) for href in hrefs if href)
        moves = tag == "base" or (tag == "meta" and attrs.get("http-equiv", "").lower() == "refresh")
        if fetches or moves or tag in ("iframe", "object", "embed"):
            self.wrong.append(f"<{tag}> would be fetched; leave it out")
        runs = tag == "script" and attrs.get("type") != "application/json"
        runs |= any("".join(href.split()).lower().startswith(("javascript:", "data:text/html")) for href in hrefs)
        if runs or any(name.startswith("on") for name in attrs):
            self.wrong.append(f"<{tag}> runs a script; pages have none")
        if tag == "img" and not attrs.get("alt", "").strip():
            self.wrong.append("an image has no alt text; say what it shows")
        if "url(" in attrs.get("style", "").lower():
            self.wrong.append(f"the style of <{tag}> would fetch something; leave it out")
        if attrs.get("id"):
            if attrs["id"] in self.ids:
                self.wrong.append(f"two elements share the id {attrs['id']!r}; rename one")
            self.ids.add(attrs["id"])


def gate(text: str, name: str) -> str:
    """`text` as it is; raises CourseworkError on what would be fetched or run, images without alt, ids used twice."""
    reader = _Gate()
    reader.feed(text)
    sheets = re.findall(r"<style\b[^>]*>(.*?)(?:</style|\Z)", text, re.DOTALL | re.IGNORECASE)
    if any(re.search(r"@import|url\(", sheet, re.IGNORECASE) for sheet in sheets):
        reader.wrong.append("a style sheet would fetch something; leave it out")
    if reader.wrong:
        raise CourseworkError(f"{name}: {reader.wrong[0]}")
    return text
