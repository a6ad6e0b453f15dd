"""``python -m tallymark``: the command line where the ``tallymark`` script is not on the path."""

from tallymark.cli import main

if __name__ == "__main__":
    main()
