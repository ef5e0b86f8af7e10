"""The machine and the checkout that a run used: for the appendix of the book. Everything works without git."""

import contextlib
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path


def hardware() -> dict[str, str]:
    """`processor`, `cores` for this process, `memory` (GiB), `system`, `torch`, `device`, `threads`; else "unknown"."""
    import torch

    return {
        "processor": processor(),
        "cores": str(_allowed() or "unknown"),
        "memory": memory(),
        "system": platform.platform(terse=True),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": str(torch.get_num_threads()),
    }


def cores() -> int:
    """Cores that this process may use; OMP_NUM_THREADS counts, as for every library here."""
    allowed, capped = _allowed() or 1, os.environ.get("OMP_NUM_THREADS", "")
    return min(allowed, int(capped)) if capped.isdigit() and int(capped) else allowed


def _allowed() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """PyTorch on one thread of the CPU, and back: sums then do not depend on the number of cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def processor(cpuinfo: str | Path = "/proc/cpuinfo") -> str:
    """The name of the processor, as Linux's `cpuinfo` says it, or Python; "unknown" where nothing does."""
    path = Path(cpuinfo)
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    named = re.search(r"^model name[ \t]*:[ \t]*(\S.*?)[ \t]*$", text, re.MULTILINE)
    return named[1] if named else platform.processor() or platform.machine() or "unknown"


def memory() -> str:
    """Physical memory in GiB, "unknown" where the system does not say."""
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return "unknown"


def checkout(folder: str | Path) -> str:
    """The commit of a folder by `git describe --always --dirty --tags` (its own, not one around it), or why none."""
    if not (Path(folder) / ".git").exists():
        return "no git checkout"
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--tags"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "git not found"
    return done.stdout.strip() or "no commit"
