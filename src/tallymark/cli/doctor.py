"""``doctor``: whether this machine can do the work, and what to do where it cannot."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from tallymark.cli.output import JsonOption, print_json

OLDEST_PYTHON = (3, 11)
# The demo and a study of some thousand pictures with a few runs; the packages themselves are there already.
NEEDED_GB = 2.0
_REINSTALL = "install both from the same index together: pip install --force-reinstall torch torchvision"
_VERSIONS = ("tallymark", "torch", "torchvision", "lightning", "torchmetrics", "numpy", "scipy", "SimpleITK")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what was looked at.
        ok: whether the work can be done with it; what is only slow (no GPU) is ok.
        found: what was found.
        remedy: what to do; empty if there is nothing to do.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""


def run_checks(folder: Path = Path()) -> list[Check]:
    """Look at this machine and this environment.

    Args:
        folder: where studies and runs are going to be kept: its disk and permissions are looked at.

    Returns:
        The checks in the order in which their remedies are to be applied. A check that itself breaks down is not ok
        and says how.

    Example:
        >>> check = run_checks()[0]
        >>> check.name, check.ok
        ('Python', True)
    """
    return [
        _python(),
        _needing_torch("torch and torchvision", _torch_pair),
        _needing_torch("GPU", _gpu),
        _cores(),
        _disk(folder),
        _writable(folder),
        _versions(),
    ]


def doctor(
    folder: Annotated[Path, typer.Argument(help="Where studies and runs are kept.", metavar="FOLDER")] = Path(),
    json: JsonOption = False,
) -> None:
    """Look at this machine: Python, torch, GPU, disk, permissions. Ends with code 1 if something must be mended.

    Example: `tallymark doctor`
    """
    checks = run_checks(folder)
    healthy = all(check.ok for check in checks)
    if json:
        print_json({"ok": healthy, "checks": [asdict(check) for check in checks]})
    else:
        _print(checks)
    if not healthy:
        raise typer.Exit(1)


def _print(checks: list[Check]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("", "check", "found", "what to do"):
        table.add_column(title, overflow="fold")
    for check in checks:
        table.add_row("ok" if check.ok else "MEND", check.name, check.found, check.remedy)
    Console(markup=False).print(table)


def _needing_torch(name: str, check: Callable[[], Check]) -> Check:
    # A broken installation breaks in any way it likes (OSError, AttributeError, ...), and to say so is the purpose.
    try:
        return check()
    except Exception as error:
        first_line = (str(error).splitlines() or [""])[0]
        return Check(name, False, f"{type(error).__name__}: {first_line}", _REINSTALL)


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= OLDEST_PYTHON
    return Check("Python", ok, found, "" if ok else f"install Python {'.'.join(map(str, OLDEST_PYTHON))} or newer")


def _torch_pair() -> Check:
    """Import alone does not tell: a pair of different builds fails at the first compiled operator."""
    import torch
    import torchvision

    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0], [5.0, 5.0, 6.0, 6.0]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist()
    ok = kept == [0, 2]
    found = f"{torch.__version__} and {torchvision.__version__}"
    return Check("torch and torchvision", ok, found, "" if ok else _REINSTALL)


def _gpu() -> Check:
    import torch

    if not torch.cuda.is_available():
        remedy = "training works on the CPU with --profile small; --profile paper wants a GPU"
        if shutil.which("nvidia-smi"):
            remedy = (
                f"an NVIDIA driver is here but torch (CUDA {torch.version.cuda or 'none'}) cannot use it: update it"
            )
        return Check("GPU", True, "none that torch can use", remedy)
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    gigabytes = torch.cuda.get_device_properties(0).total_memory / 2**30
    bf16 = "with bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "without bf16: trains in float32"
    return Check("GPU", True, f"{', '.join(names)}; {gigabytes:.0f} GiB, CUDA {torch.version.cuda}, {bf16}")


def _cores() -> Check:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Check(
        "CPU cores", True, str(count), "" if count > 1 else "the demo takes more than five minutes on one core"
    )


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(_nearest_existing(folder)).free / 1e9
    ok = free >= NEEDED_GB
    remedy = "" if ok else f"{NEEDED_GB:.0f} GB are needed for a study and its runs: free some, or use another disk"
    return Check("free disk", ok, f"{free:.1f} GB", remedy)


def _writable(folder: Path) -> Check:
    place = _nearest_existing(folder).resolve()
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"tallymark")
    except OSError as error:
        remedy = "choose another folder, or ask for permission to write here"
        return Check("write access", False, f"{place}: {error.strerror}", remedy)
    return Check("write access", True, str(place))


def _versions() -> Check:
    missing = []
    found = []
    for name in _VERSIONS:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    # Training needs no SimpleITK; a machine without network may lack it.
    ok = not [name for name in missing if name != "SimpleITK"]
    remedy = "" if not missing else f"not installed: {', '.join(missing)}; pip install tallymark"
    return Check("versions", ok, ", ".join(found), remedy)


def _nearest_existing(folder: Path) -> Path:
    folder = folder.absolute()
    return next(place for place in [folder, *folder.parents] if place.is_dir())
