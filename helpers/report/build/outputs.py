"""What a notebook puts out, joined as it comes and kept short: papermill's client, with two habits of its own.

nbclient joins printed pieces at a cell's end with regular expressions that are quadratic in a line's length: one line
of 229 kB took half a minute, in which not even Ctrl-C was heard.
"""

import os

from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines

from helpers import base

MOST = 100_000  # characters kept of a long text's beginning, and of its end; a page shows less
LEFT_OUT = "\n... the middle is left out ...\n"


class _Client(PapermillNotebookClient):
    def output(self, outs, msg, display_id, cell_index):
        """Add what the kernel sends to the cell's outputs; a printed piece goes to the printout that it continues."""
        new = super().output(outs, msg, display_id, cell_index)
        if new is None:
            return None
        if new.output_type != "stream":
            _mend(new)
            return new
        for earlier in reversed(outs[:-1]):
            if earlier.output_type != "stream":
                break
            if earlier.name == new.name:
                outs.pop()
                earlier.text = kept(earlier.text + new.text)
                return earlier
        new.text = kept(new.text)
        return new


def kept(text: str) -> str:
    """`text` without its middle where it is long, and without the names of folders that say whose machine this is."""
    text = text.replace(f"{base.CHECKOUT}{os.sep}", "")
    home = os.path.expanduser("~").rstrip(os.sep)
    text = text.replace(f"{home}{os.sep}", f"~{os.sep}") if home else text
    return text if len(text) <= 2 * MOST + len(LEFT_OUT) else text[:MOST] + LEFT_OUT + text[-MOST:]


def _mend(output) -> None:
    """Keep of the plain text of a value, and of an error's lines, what `kept` says."""
    if output.output_type == "error":
        output.evalue = kept(output.evalue)
        output.traceback = [kept(line) for line in output.traceback]
    elif isinstance(output.data.get("text/plain"), str):
        output.data["text/plain"] = kept(output.data["text/plain"])


class _Engine(NBClientEngine):
    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, execution_timeout, start_timeout, input_path, **options):
        timeouts = {"timeout": execution_timeout, "startup_timeout": start_timeout}
        _Client(nb_man, kernel_name=kernel_name, **timeouts, **options).execute()


ENGINE = "coursework"  # its name, for papermill
papermill_engines.register(ENGINE, _Engine)
