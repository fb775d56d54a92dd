"""The command line tool as a module: `python -m dlt_orchestrate`."""

from dlt_orchestrate.cli import main

if __name__ == "__main__":
    main()
