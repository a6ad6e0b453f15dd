"""The command line: ``tallymark VERB``. Every verb imports what it needs when it runs, so that help answers at once."""

from tallymark.cli.app import main

__all__ = ["main"]
