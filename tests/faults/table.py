"""table.py - writes the table of README's section Faults, from the results of the
last run: what each test noted in build/faults.  Leaves it as it is, and fails, when
a row has no result, because its test was skipped or not run, or has one of a run
that was shorter than it has to be; and says which.
"""

import json
import re
import sys

from harness import HERE, RESULTS, TOP

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
longer, one to three times as long and not 1.1 times as was the aim: its start is kept
before the provider is asked (P4), so it waits for two fsyncs of the spool, one
after the other, instead of one commit. The disk's part of each is much the same
(0.16 ms, of a commit 0.13 ms, where this was measured).

"""
WANTED = {f"F-{number:02}" for number in (*range(1, 21), *range(24, 29))} | {"kill loop"}
NOTED = re.compile(r'\bnote\("([^"]+)"')
# times; the quick half's are fewer
LEAST = {"F-07 replay": 200_000, "F-13": 20, "F-13 states": 1000, "kill loop": 1000}
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


def wanted():
    """WANTED, and every other row that a test notes."""
    return WANTED.union(*(NOTED.findall(path.read_text()) for path in HERE.glob("*.py")))


def missing():
    times = {value["row"]: value["injections"] for value in rows()}
    for row in sorted(wanted(), key=str.lower):
        if row not in times:
            yield row
        elif times[row] < LEAST.get(row, 0):
            yield f"{row} ({times[row]:,} of {LEAST[row]:,})"


def main():
    if without := list(missing()):
        print("no result of " + ", ".join(without) + ": README's table is left as it is",
              file=sys.stderr)
        return 1
    text = README.read_text()
    if BEGIN not in text:
        text = text.replace(TOUR, SECTION + BEGIN + END + "\n" + TOUR)
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    fresh = BEGIN + table() + END
    README.write_text(re.sub(pattern, lambda _: fresh, text, count=1, flags=re.S))
    return 0


if __name__ == "__main__":
    sys.exit(main())
