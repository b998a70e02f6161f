"""The archive to hand in: pages, notebooks, helpers, the marking sheet, and what checks them."""

import io
import zipfile
from pathlib import Path

from helpers import base
from helpers.base import CourseworkError, write_atomically
from helpers.report import sheet

FIXED = (1980, 1, 1, 0, 0, 0)  # the date of every file in the archive
# Folder in the archive -> patterns of the files that it takes from the checkout; with them the pages can be made again.
CODE = {"": ("*.md", "Makefile", "*.toml", "*.lock", "environment.yml", "LICENSE"), "helpers": ("**/*.py", "**/*.md")}
CODE |= {"helpers/report/export/template": ("*",), "helpers/claims/template": ("*",)}
CODE |= {"tests/bench": ("*.py",), "tests/faults": ("kinds.py",), "reports/published": ("fault_counts.json",)}


def write_submission(folder: Path) -> Path:
    """Pack pages, their JSON, notebooks, helpers and the marking sheet into submission.zip beside `folder`.

    The same files give the same bytes. Returns the path; raises CourseworkError when there is no index.
    """
    if not (folder / "index.html").exists():
        raise CourseworkError(f"{folder} has no index.html; run `make report BUDGET={folder.name}` first")
    files = {f"report/{path.name}": path for kind in ("*.html", "*.json", "check.py") for path in folder.glob(kind)}
    files["marking-sheet.html"] = sheet.write_marking_sheet(folder)
    for kind in ("*.ipynb", "*.yaml", "*.csv", "*.json"):
        files |= {f"notebooks/{path.name}": path for path in base.NOTEBOOKS.glob(kind)}
    for place, patterns in CODE.items():
        paths = [path for pattern in patterns for path in (base.CHECKOUT / place).glob(pattern) if path.is_file()]
        files |= {path.relative_to(base.CHECKOUT).as_posix(): path for path in paths}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, path in sorted(files.items()):
            entry = zipfile.ZipInfo(name, FIXED)
            entry.external_attr, entry.create_system = 0o644 << 16, 3
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return write_atomically(folder.parent / "submission.zip", packed.getvalue())
