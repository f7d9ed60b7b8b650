"""table.py - writes the table of README's section Faults, from the results of the
last run: what each test noted in build/faults.  Says which of WANTED has none,
because it was skipped, or not run.
"""

import json
import re
import sys

from harness import RESULTS, TOP

README = TOP / "README.md"
BEGIN, END = "<!-- faults -->\n", "<!-- /faults -->\n"
HEAD = ("| fault | times | acknowledged | lost | twice | what happens |\n"
        "| --- | --: | --: | --: | --: | --- |\n")
SECTION = """## Faults

Each line is a test that does this to a running minuted while clients write down
the id of every record that was acknowledged, and then compares their notes with
the tables. `make test-faults` does it all again and writes this table.

How long calls take is of one after the other, beside the load if there is one:
medians of what windows of 100 calls have. While PostgreSQL is away a call takes
longer, up to twice as long and not 1.1 times as was the aim: its start is kept
before the provider is asked (P4), so it waits for two fsyncs of the spool, one
after the other, instead of one commit. The disk's part of each is much the same
(0.16 ms, of a commit 0.13 ms, where this was measured).

"""
WANTED = [f"F-{number:02}" for number in (*range(1, 21), *range(24, 29))] + ["kill loop"]
TOUR = "## A tour of the code\n"


def number(value):
    return "–" if value is None else f"{value:,}"


def rows():
    found = []
    for path in RESULTS.glob("*.json"):
        value = json.loads(path.read_text())
        found.append((value["row"], value))
    return [value for _, value in sorted(found, key=lambda each: each[0].lower())]


def line(value):
    what = value["what"]
    if value["row"] == "kill loop":
        what = "**" + what + "**"
    return "| {} | {} | {} | {} | {} | {} |\n".format(
        what, number(value["injections"]), number(value["acknowledged"]),
        number(value["lost"]), number(value["duplicated"]), value["happens"])


def table():
    return HEAD + "".join(map(line, rows()))


def missing():
    there = [value["row"] for value in rows()]
    return [row for row in WANTED if not any(each.startswith(row) for each in there)]


def main():
    if without := missing():
        print("no result of " + ", ".join(without), file=sys.stderr)
    text = README.read_text()
    if BEGIN not in text:
        text = text.replace(TOUR, SECTION + BEGIN + END + "\n" + TOUR)
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    fresh = BEGIN + table() + END
    README.write_text(re.sub(pattern, lambda _: fresh, text, count=1, flags=re.S))


if __name__ == "__main__":
    main()
