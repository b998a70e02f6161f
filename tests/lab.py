"""A real JupyterLab with a home of its own, and its notebooks as a person in Chromium meets them."""

import contextlib
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
from tiny_notebooks import CHECKOUT, environment

WAIT = 120_000  # ms for what a kernel does; this machine may be busy
KERNEL = "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel"
RUN = "jupyterapp.commands.execute('notebook:run-all-cells')"


@contextlib.contextmanager
def jupyterlab(home: Path):
    """The address of a server over `home`, whose kernels import this checkout; it ends with the block."""
    own = {name: str(home / name.lower()) for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")}
    own |= {"JUPYTER_RUNTIME_DIR": str(home / "runtime"), "PYTHONPATH": str(CHECKOUT)}
    settings = ["--no-browser", "--ip=127.0.0.1", "--port=0", "--IdentityProvider.token=", "--expose-app-in-browser"]
    settings += ["--allow-root", f"--ServerApp.root_dir={home}", "--LabApp.news_url="]
    settings += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    log = home / "lab.log"
    with log.open("w") as file:
        command = [sys.executable, "-m", "jupyterlab", *settings]
        server = subprocess.Popen(command, env=environment(home, **own), stdout=file, stderr=file, cwd=home)
    try:
        yield _address(log, server)
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


def _address(log: Path, server) -> str:
    """The address of a server, once it answers there; what it said instead goes into the error."""
    until = time.monotonic() + 90
    while time.monotonic() < until and server.poll() is None:
        match = re.search(r"http://127\.0\.0\.1:(\d+)/lab", log.read_text())
        if match:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{match[1]}/api") as answer:
                if answer.status == 200:
                    return f"http://127.0.0.1:{match[1]}"
        time.sleep(0.3)
    raise AssertionError(log.read_text()[-3000:])


def home_for(folder: Path) -> Path:
    """`folder` as a home with the settings of the notebooks, and no notebook."""
    (folder / "notebooks").mkdir(parents=True)
    for name in ("budgets.yaml", "search.json"):
        shutil.copy(CHECKOUT / "notebooks" / name, folder / "notebooks")
    return folder


def notebook(home: Path, *cells: str, edit, more=()) -> str:
    """Write task 4 into `home`: the cells of these ids, then one for each code in `more`; returns its path there.

    edit: a function from the text of the parameters' cell to another.
    """
    path = Path("notebooks", "task4_training.ipynb")
    nb = nbformat.read(CHECKOUT / path, as_version=4)
    nb.cells = [cell for cell in nb.cells if cell.id in cells] + [nbformat.v4.new_code_cell(code) for code in more]
    for cell in nb.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = edit(cell.source)
    nbformat.write(nb, home / path)
    return path.as_posix()


class Lab:
    """One notebook open in JupyterLab."""

    def __init__(self, browser, address: str, path: str):
        self.context = browser.new_context(viewport={"width": 1280, "height": 3000})
        self.page = self.context.new_page()
        self.page.goto(f"{address}/lab/tree/{path}?reset")
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=WAIT)
        self.page.wait_for_function(f"window.{KERNEL}?.status == 'idle'", timeout=WAIT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.page.evaluate("jupyterapp.commands.execute('kernelmenu:shutdown')")
        self.context.close()

    def run(self) -> None:
        """Run all cells, and do not wait for them."""
        self.page.evaluate(f"{RUN}; null")

    def wait(self, text: str) -> None:
        """Until an output says this; what they say instead goes into the error."""
        until = time.monotonic() + WAIT / 1000
        while text not in "\n".join(outputs := self.outputs()):
            assert time.monotonic() < until, f"{text!r} is not in {outputs}"
            time.sleep(0.1)

    def outputs(self) -> list[str]:
        """The text of every output that there is now."""
        return self.page.eval_on_selector_all(".jp-OutputArea-output", "all => all.map(o => o.innerText.trim())")
