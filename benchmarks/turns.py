"""Processes that take turns: each holds one way of doing the same work, and only one works at a time.

What a process's environment decides (malloc's thresholds, threads) can so be compared within one run, turn by turn;
and what one way keeps in memory is not counted to another.
"""

import os
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from unittest.mock import patch

# glibc gives large blocks back to the system after each use, and every layer pays for fresh pages; these thresholds
# keep them.
TUNED_MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**33),
    "MALLOC_TOP_PAD_": str(2**28),
}
MALLOC = {"default": {}, "tuned": TUNED_MALLOC}


class Worker:
    """A process of its own that makes one worker, `make(*arguments)`, and calls it when it is its turn.

    Both must be importable; `environment` is added to the process's before it starts.
    """

    def __init__(self, make: Callable, *arguments, environment: dict[str, str] | None = None):
        context = get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, make, arguments), daemon=True)
        with patch.dict(os.environ, environment or {}):
            self._process.start()
        other.close()
        self.peak_mib = 0.0
        self._made = False  # it makes its worker while others are started

    def call(self, *arguments, keep: bool = False) -> tuple[float, object]:
        """Seconds of one call of the worker, measured where it runs, and its result (None unless `keep`)."""
        if not self._made:
            self._answer()
            self._made = True
        self._pipe.send((arguments, keep))
        return self._answer()

    def close(self) -> None:
        self._pipe.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.terminate()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _answer(self):
        try:
            seconds, result, self.peak_mib, error = self._pipe.recv()
        except EOFError:
            self._process.join(timeout=10)
            raise RuntimeError(f"a worker ended with exit code {self._process.exitcode}; out of memory?") from None
        if error:
            raise RuntimeError(f"in a worker: {error}")
        return seconds, result


class Workers(dict):
    """Workers by key, which end with the block."""

    def start(self, key, make: Callable, *arguments, malloc: str = "default") -> Worker:
        """Start one with a malloc of `MALLOC`; it makes itself while others are started."""
        self[key] = Worker(make, *arguments, environment=MALLOC[malloc])
        return self[key]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for worker in self.values():
            worker.close()


def once(function: Callable, *arguments) -> object:
    """Call a function in a process of its own, whose memory ends with it."""
    with Worker(partial, function, *arguments) as worker:
        return worker.call(keep=True)[1]


def take_turns(calls: dict, *, turns: int, seconds: float) -> dict[object, list]:
    """Call everything once a turn, the order reversed from turn to turn: by key the results, one a turn.

    No turn begins that would end later than `seconds`; but two are taken, however long they last.
    """
    found: dict[object, list] = {key: [] for key in calls}
    start = last = time.perf_counter()
    for turn in range(turns):
        for key in list(calls)[:: 1 if turn % 2 == 0 else -1]:
            found[key].append(calls[key]())
        now = time.perf_counter()
        if turn >= 1 and now - start + (now - last) > seconds:
            break
        last = now
    return found


def _serve(pipe, make, arguments) -> None:
    from common import peak_memory

    try:
        worker = make(*arguments)
        pipe.send((0.0, None, peak_memory(), ""))
        while True:
            arguments, keep = pipe.recv()
            start = time.perf_counter()
            result = worker(*arguments)
            seconds = time.perf_counter() - start
            pipe.send((seconds, result if keep else None, peak_memory(), ""))
    except EOFError:
        pass  # the other end is closed: no more turns
    except Exception as error:  # told to the one who asked, whatever it is
        pipe.send((0.0, None, 0.0, f"{type(error).__name__}: {error}"))
