"""Runs the blocks of one page, in order, in the working directory; reads them from stdin and writes their outputs, as JSON.

The Python blocks of a page share their names, as on a prompt. A block that begins with a comment such as
`# quick_start_pipeline.py` is saved under that name, too.
"""

from __future__ import annotations

import io
import json
import linecache
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

FILE_COMMENT = re.compile(r"# (\S+\.(?:py|toml|yaml))\n")


def main() -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    outputs = []
    sys.path.insert(0, str(Path.cwd()))  # as for a script that lies there
    for block in json.load(sys.stdin):
        try:
            outputs.append(run(block, names))
        except BaseException:
            print(f"{block['place']} failed:", file=sys.stderr)
            raise
    json.dump(outputs, sys.stdout)


def run(block: dict[str, str], names: dict[str, Any]) -> str:
    text = block["text"]
    named = FILE_COMMENT.match(text)
    if named:
        saved = Path(named[1])
        saved.parent.mkdir(parents=True, exist_ok=True)
        saved.write_text(text, encoding="utf-8")
    match block["language"]:
        case "python":
            return run_python(text, named[1] if named else block["place"], names)
        case "sh":
            return run_shell(text)
        case _:
            return ""


def run_python(text: str, file_name: str, names: dict[str, Any]) -> str:
    linecache.cache[file_name] = (len(text), None, text.splitlines(keepends=True), file_name)
    captured = io.StringIO()
    with redirect_stdout(captured):
        exec(compile(text, file_name, "exec", dont_inherit=True), names)
    return captured.getvalue()


def run_shell(text: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-eu", "-c", text], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
