"""One self-contained page about one or several runs, written for a reader who did not train them."""

from __future__ import annotations

from tallymark.report.content import (
    Example,
    Fact,
    Floor,
    NumberPairs,
    ReportContent,
    RunSummary,
    Score,
)
from tallymark.report.page import render, write_report
from tallymark.report.read import read_report, read_run

__all__ = [
    "Example",
    "Fact",
    "Floor",
    "NumberPairs",
    "ReportContent",
    "RunSummary",
    "Score",
    "read_report",
    "read_run",
    "render",
    "write_report",
]
