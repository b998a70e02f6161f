"""Where trials run: worker processes of this machine, this process itself, or a Dask cluster.

All three are the same thing to `trials`: `submit` gives a concurrent.futures.Future, `messages` what
the running trainings said since, `capacity` how many threads may train at once, `close` ends it all.
"""

import contextlib
import ctypes
import math
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, CancelledError, Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from helpers.base import CHECKOUT, CourseworkError

MESSAGE_INTERVAL = 0.1  # seconds between messages of one training; faster epochs are not all told
IDLE = 60  # seconds after which a worker without work ends
LOST = (BrokenExecutor, CancelledError)  # what a future raises when its worker is gone


@dataclass
class Context:
    """What a trial function gets beside its config."""

    state_path: Path | None = None  # where a long trial may save its whole state; survives a kill
    device: str = "auto"
    listener: object = None  # called with each message

    def epoch(self, values: dict) -> None:
        """Tell the notebook about an epoch: {"epoch", "epochs", "examples" so far, column: value}."""
        if self.listener:
            self.listener(values)


def settings(jobs: int | None = None) -> tuple[str, int | None]:
    """(engine, jobs) as ENGINE and JOBS (or `jobs`) ask: "local" or a Dask scheduler's address.

    jobs: threads that train at once; 0 trains in this process, None leaves it to the engine.
    Raises CourseworkError for other values.
    """
    address = os.environ.get("ENGINE") or "local"
    threads = os.environ.get("JOBS") if jobs is None else str(jobs)
    if threads and not re.fullmatch(r"\d{1,4}", threads):
        raise CourseworkError(f"JOBS={threads}: give a whole number, 0 to train in the notebook itself")
    if not re.fullmatch(r"local|(tcp|tls)://\S+:\d+", address):
        raise CourseworkError(f"ENGINE={address}: give local, or a Dask scheduler's address tcp://host:port")
    return address, int(threads) if threads else None


def start(jobs: int | None = None, *modules: str):
    """The engine that `settings` names; worker processes start when work arrives.

    modules: where the trial functions live. Workers of an earlier run go on if everything that they have loaded
    or inherited is as it was. Raises CourseworkError for bad settings and where no Dask scheduler answers.
    """
    global _kept
    address, threads = settings(jobs)
    if address != "local":
        return Dask(address, threads)
    if threads == 0:
        return Here()
    capacity = threads or usable_cores()
    outlook = [capacity, dict(os.environ), list(sys.path), os.getcwd(), _source_files(modules)]
    engine, _kept = _kept, None
    if engine and engine.outlook != outlook:
        engine.close(abandon=True)
        engine = None
    return engine or Local(capacity, outlook)


def _source_files(modules) -> dict:
    files = [getattr(sys.modules.get(module), "__file__", None) for module in modules]
    files += (CHECKOUT / "helpers").rglob("*.py")
    return {str(file): (os.stat(file).st_mtime_ns, os.stat(file).st_size) for file in files if file}


def usable_cores() -> int:
    """The number of cores that this process may use, as its affinity and its container's quota say."""
    import joblib

    return joblib.cpu_count()


@contextlib.contextmanager
def threads_limited(threads: int):
    """Let NumPy and PyTorch use `threads` threads in the block; results depend on their number."""
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else None
    with threadpool_limits(limits=threads), _thread_variables(threads):  # the latter if torch loads in the block
        if torch:
            torch.set_num_threads(threads)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, for its next batch; on Linux with glibc, elsewhere nothing.

    glibc hands every array above some 100 kB back to the system and gets it anew, a thousand page faults a batch: a
    quarter of the time of A's and of B's network. It stays set until the process ends.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        trim_threshold, mmap_max = -1, -4  # the numbers of malloc.h
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, -1)  # never


class Here:
    """Trains in this process, for debugging; Ctrl-C interrupts the training itself."""

    capacity = 1

    def __init__(self):
        self._messages = []

    def submit(self, function, *arguments, name, threads) -> Future:
        keep_freed_memory()
        future = Future()
        future.set_result(function(*arguments, lambda values: self._messages.append((name, values))))
        return future

    def messages(self) -> list:
        """(name, values) of each epoch told since the last call."""
        messages, self._messages = self._messages, []
        return messages

    def close(self, abandon: bool):
        pass


_kept = None  # workers without work


class Local:
    """Worker processes of this machine, one executor each: a lost worker costs only its own trial."""

    def __init__(self, capacity: int, outlook: list):
        """outlook: all that the workers inherit and load; they serve a later run only while it is the same."""
        self.capacity, self.outlook = capacity, outlook
        self._slots = [_Slot() for _ in range(self.capacity)]

    def submit(self, function, *arguments, name, threads) -> Future:
        """Run function(*arguments, listener) in an idle worker; there must be one."""
        slot = next(slot for slot in self._slots if slot.idle())
        return slot.submit((function, arguments, name), threads)

    def messages(self) -> list:
        return [message for slot in self._slots for message in slot.messages()]

    def close(self, abandon: bool):
        """Keep the workers for the next run, which then need not load PyTorch again; or end them."""
        global _kept
        if not abandon and _kept is None:
            _kept = self
            return
        for slot in self._slots:
            slot.hang_up()
        for slot in self._slots:
            slot.end()


class _Slot:
    """One worker process and the pipe to it. The worker ends itself when the pipe closes, which also
    happens when this process dies, by whatever signal."""

    def __init__(self):
        self._pool = self._pipe = self._future = None

    def idle(self) -> bool:
        return self._future is None or self._future.done()

    def submit(self, call, threads) -> Future:
        with contextlib.suppress(BrokenExecutor):  # the worker was killed, or was idle for long
            if self._pool:
                self._future = self._pool.submit(_call, *call)
                return self._future
        self.end()
        self._pipe, far_end = multiprocessing.Pipe()
        self._pool = ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(far_end,)
        )
        with _thread_variables(threads), _interrupts_blocked(), far_end:
            self._future = self._pool.submit(_call, *call)  # starts the process
        return self._future

    def messages(self):
        with contextlib.suppress(EOFError, OSError):  # the worker is gone; its future tells
            while self._pipe and self._pipe.poll():
                yield self._pipe.recv()

    def hang_up(self):
        if self._pipe:
            self._pipe.close()

    def end(self):
        self.hang_up()
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._pipe = self._future = None


@contextlib.contextmanager
def _thread_variables(threads: int):
    """Libraries loaded in the block, and processes started in it, size their thread pools for `threads`.

    Threads wait passively: two that spin stand almost still where another process wants their cores.
    """
    variables = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    variables["OMP_WAIT_POLICY"] = "PASSIVE"
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextlib.contextmanager
def _interrupts_blocked():
    """Processes started in the block never see Ctrl-C; here it takes effect at the block's end. Not on Windows."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


_pipe = None  # in a worker: to the notebook
_idle_since = math.inf  # in a worker, with work


def _begin(pipe):
    global _pipe
    _pipe = pipe
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_in_time, daemon=True).start()


def _end_in_time():
    """End this worker when the other end of the pipe closes (nothing is ever sent), or after IDLE seconds."""
    while time.monotonic() - _idle_since < IDLE and not _pipe.poll(1.0):
        pass
    os._exit(0)


def _call(function, arguments, name):
    global _idle_since
    _idle_since, last = math.inf, -math.inf

    def listener(values):
        nonlocal last
        if time.monotonic() - last >= MESSAGE_INTERVAL:
            last = time.monotonic()
            _pipe.send((name, values))

    try:
        return function(*arguments, listener)
    finally:
        _idle_since = time.monotonic()


class Dask:
    """A Dask cluster through distributed's executor; it moves the trials of lost workers by itself."""

    def __init__(self, address: str, jobs: int | None):
        try:
            from distributed import Client

            self._client = Client(address, timeout="5s", set_as_default=False)
        except (ImportError, OSError) as error:
            raise CourseworkError(f"ENGINE={address}: {error or 'no Dask scheduler answers there'}") from error
        self.capacity = jobs or 256  # all at once: an adaptive cluster grows with what waits
        self._executor = self._client.get_executor(pure=False)

    def submit(self, function, *arguments, name, threads) -> Future:
        return self._executor.submit(function, *arguments)

    def messages(self) -> list:
        return []

    def close(self, abandon: bool):
        self._executor.shutdown(wait=not abandon)
        self._client.close()
