"""One notebook in its own kernel: papermill runs it, our own rules say how it ended.

papermill's status is not used: after an interrupt it calls cells completed that never ran. A run is
complete when every code cell was executed, none raised, and results were handed over; a notebook that
asks for no page of ours has none to hand over.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
import papermill
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from papermill.exceptions import PapermillExecutionError

from helpers import base
from helpers.page.page import BUNDLE
from helpers.report.build.outputs import ENGINE

logging.getLogger("papermill").addHandler(logging.NullHandler())  # the reason is told by us

GRACE = 8.0  # seconds that an interrupted kernel has to end by itself
# Lets any number of prints wait in the kernel, as `client` does here: zmq drops what goes beyond a thousand, also the
# message that ends a cell.
UNLIMITED = (
    "(lambda thread: thread.schedule(lambda: setattr(thread.socket, 'sndhwm', 0)))(get_ipython().kernel.iopub_thread)"
)
LONGEST = 95  # bytes of a path beside which a socket can lie: macOS allows 103, with its own ending


class PinnedKernel(AsyncKernelManager):
    """A kernel of this very interpreter, whatever kernels are registered on the machine.

    Over IPC, where two kernels cannot choose the same port and no other user can connect; TCP on the loopback, signed
    with a key, on Windows and where the path of the scratch folder is too long for a socket.
    """

    run = None  # the KernelRun that started it

    def __init__(self, **options):
        super().__init__(**options)
        self.connection_file = str(self.run.scratch / "kernel.json")
        short = len(os.fsencode(self.connection_file)) < LONGEST
        self.transport = "ipc" if short and os.name != "nt" else "tcp"

    @property
    def kernel_spec(self):
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict([f"--IPKernelApp.exec_lines={UNLIMITED}"]))

    def client(self, **options):
        client = super().client(**options)
        client.context.rcvhwm = 0
        return client

    async def start_kernel(self, **options):
        if self.run.stopped.is_set():
            raise RuntimeError("stopped before its kernel started")
        streams = {"stdout": self.run.log, "stderr": self.run.log}
        await super().start_kernel(**{**options, **streams, "env": self.run.variables()})
        self.run.process = self.provisioner.process


@dataclass(kw_only=True)
class KernelRun:
    """A notebook's run. `execute` blocks; another thread may `interrupt`, `kill`, read `cell`."""

    notebook: Path
    scratch: Path  # an empty folder, with a short name for the sockets
    log: object  # the open file that takes what the kernel prints
    environment: dict  # variables for the kernel beside our own
    timeout: float | None  # seconds for one cell
    stopped: threading.Event  # set when the build is interrupted
    is_plain: bool = False  # whether it is complete without results
    process: object = None
    cell: int = 0  # the cell that runs, from 1
    cell_started: float = 0.0
    overdue: bool = False  # killed for its time
    finished: bool = False

    def execute(self, parameters: dict):
        """Run the notebook; returns (executed notebook, status, reason), the reason "" when complete."""
        source, output = self.scratch / "in.ipynb", self.scratch / "out.ipynb"  # no braces in these
        source.write_bytes(self.notebook.read_bytes())
        problem = None
        try:
            papermill.execute_notebook(
                str(source),
                str(output),
                parameters,
                engine_name=ENGINE,
                progress_bar=False,
                kernel_name="python3",
                language="python",
                execution_timeout=self.timeout,
                kernel_manager_class=type("Kernel", (PinnedKernel,), {"run": self}),
                resources={"metadata": {"path": str(base.NOTEBOOKS)}},
                iopub_timeout=60,
                interrupt_on_timeout=True,
                on_cell_start=self._note_cell,
            )
        except PapermillExecutionError:
            pass  # the error stands in its cell
        except Exception as error:  # a dead kernel comes in several guises
            problem = " ".join(str(error).split()) or type(error).__name__
            problem += " (was memory short?)" if "died" in problem else ""
        self.finished = True
        nb = cleaned(nbformat.read(output if output.exists() else source, as_version=4))
        return nb, *self._judge(nb, problem)

    def variables(self) -> dict:
        """The kernel's environment: it finds these helpers wherever the notebook lies."""
        paths = filter(None, [str(base.CHECKOUT), os.environ.get("PYTHONPATH")])
        wait = {"OMP_WAIT_POLICY": "PASSIVE"}  # threads that spin stand still when a trial's worker wants their cores
        return {**wait, **os.environ, **self.environment, "PYTHONPATH": os.pathsep.join(paths)}

    def _note_cell(self, cell, cell_index):
        self.cell, self.cell_started = cell_index + 1, time.monotonic()

    def _judge(self, nb, problem: str | None) -> tuple[str, str]:
        """(status, reason) by what stands in the executed notebook."""
        code = [c for c in nb.cells if c.cell_type == "code" and c.source.strip()]
        code = [c for c in code if "skip-execution" not in c.metadata.get("tags", [])]
        outputs = [output for cell in code for output in cell.outputs]
        error = next((o for o in outputs if o.output_type == "error"), None)
        done = sum(cell.execution_count is not None for cell in code)
        where = f"code cell {min(done + (error is None), len(code))}"  # as the page counts them
        if self.stopped.is_set():
            return "interrupted", f"{where} of {len(code)}"
        interrupted = error and self.timeout and error.ename == "KeyboardInterrupt"
        if self.overdue or interrupted:
            return "timed out", f"{where} took more than {self.timeout:.0f} s"
        if error:
            return "failed", f"{where}: {error.ename}: {error.evalue}".split("\n")[0][:300]
        if problem or done < len(code):
            return "failed", f"{where}: {problem or 'the run ended there'}"
        if any(BUNDLE in output.get("data", {}) for output in outputs):
            return "complete", ""
        if self.is_plain:
            return "complete, no results", ""
        return "failed", "handed over no results: end with page.finish()"

    def check_time(self) -> None:
        """Kill the kernel if its cell does not heed the interrupt that the timeout sent."""
        late = time.monotonic() - self.cell_started - GRACE
        if self.timeout and self.cell and late > self.timeout:
            self.overdue = True
            self.kill()

    def interrupt(self) -> None:
        """Ask the kernel to stop, as Ctrl-C does."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End the kernel and all processes that it started."""
        self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))

    def _signal(self, number) -> None:
        with contextlib.suppress(AttributeError, OSError):  # not started yet, or gone
            if sys.platform == "win32":
                self.process.terminate()
            else:  # the kernel leads a process group of its own
                os.killpg(self.process.pid, number)


def cleaned(nb):
    """The notebook without what papermill leaves: its metadata (paths), banners, a random cell id."""
    nb.metadata.pop("papermill", None)
    nb.cells = [c for c in nb.cells if "papermill-error-cell-tag" not in c.metadata.get("tags", [])]
    for cell in nb.cells:
        cell.metadata.pop("papermill", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = "injected-parameters"
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
    return nb
