"""bench.py - the figures of minuted on this machine, as ratios to what runs
beside it, in one markdown table.

ONLY="gateway reads" chooses sections; ROUNDS, SECONDS, CONNECTIONS, STREAMS,
STREAM_EVENTS (a second), BENCH_CALLS, BENCH_CHATS, BENCH_MESSAGES and
BENCH_EVENTS change the run.  --readme also writes the table into README.
"""

import importlib
import os
import re
import sys

from stage import TOP, Report, Stage

# In this order: what is loaded for the later ones would slow the earlier.
SECTIONS = ("idle", "gateway", "ingest", "streams", "reads", "logs")


def chosen():
    names = os.environ.get("ONLY", "").replace(",", " ").split() or list(SECTIONS)
    if unknown := set(names) - set(SECTIONS):
        sys.exit(f"ONLY: {', '.join(sorted(unknown))}: the sections are {', '.join(SECTIONS)}")
    return [name for name in SECTIONS if name in names]


def write_readme(lines):
    path = TOP / "README.md"
    text = path.read_text()
    table = "\n".join(lines)
    new = re.sub(r"(<!-- figures[^>]*-->\n).*(<!-- /figures -->)",
                 lambda found: f"{found[1]}{table}\n{found[2]}", text, flags=re.S)
    path.write_text(new)


def main():
    report = Report()
    report.begin()
    stage = Stage(report)
    try:
        for name in chosen():
            importlib.import_module(name).run(stage)
    finally:
        stage.stop()
    if "--readme" in sys.argv[1:]:
        write_readme(report.lines)


if __name__ == "__main__":
    main()
