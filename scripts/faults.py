"""Kills commands by the hundred, damages files, and writes what came of it and of fuzzing: `make fuzz faults`.

python scripts/faults.py --out docs/reliability.md [--kills 240]
"""

import argparse
import json
import platform
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

TESTS = Path(__file__).resolve().parents[1] / "tests"
FUZZ = TESTS.parent / "docs" / "results" / "fuzz.json"
PROCESSES = 2
HELD = (
    "tests/faults/test_damage.py",
    "tests/faults/test_strangers.py",
    "tests/unit/data/test_scale.py",
    "tests/unit/data/test_hub.py",
    "tests/distributed",
    "tests/unit/train/test_health.py",
    "tests/unit/test_folders.py",
)

PAGE = """# Nothing lost

Written by `python scripts/faults.py --out {out} --kills {kills}` on {machine}.

## Commands killed on the way

A command runs in a process of its own and gets a signal at a random moment: SIGKILL three times in five, else SIGTERM
or Ctrl-C; up to three times in a row. It is then called once more with `--resume`, and what it leaves is compared with
what the same command leaves undisturbed: every file, bit by bit, but for times; no `partial-`, `old-` or `lock` file
may be left. (After SIGTERM and Ctrl-C a run has saved a step that is none of the usual ones; of its checkpoints the
last counts.)

{table}

{cases} cases, {total} kills, {differences} differences.

## Input from strangers

Written by `python -m faults.fuzz --seed {fuzz[seed]} --minutes 30 --out ../docs/results/fuzz.json` in `tests/`:
hostile texts, tables, manifests, shards, settings, studies and model folders, and rows of any settings. Each is taken,
and then what must hold of it is asserted, or refused in one line; else it has failed.

{fuzzed}

{fuzz[inputs]:,} inputs in {fuzz[minutes]:.0f} minutes, {fuzz[failed]} failures. What earlier ones found, some forty
defects, is kept as tests.

## What else holds, test by test

{tests}

What checkpoints and the verification of data cost stands in the benchmarks, under *What safety costs*.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--kills", type=int, default=240)
    settings = parser.parse_args()
    found = kill(settings.kills)
    kills: Counter[str] = Counter()
    for each in found:
        kills.update(each["kills"])
    failed = [case for each in found for case in each["failed"]]
    rows = [f"| {verb} | {count} | {sum(case['verb'] == verb for case in failed)} |" for verb, count in kills.items()]
    tests, passed = held()
    fuzz = json.loads(FUZZ.read_text(encoding="utf-8"))
    fuzzed = [
        f"| {name} | {each['inputs']:,} | {each['accepted']:,} | {each['refused']:,} | {each['failed']} |"
        for name, each in fuzz["targets"].items()
    ]
    page = PAGE.format(
        out=settings.out,
        kills=settings.kills,
        machine=f"{platform.machine()}, Python {platform.python_version()}",
        table="\n".join(["| Verb | Kills | Differences |", "|---|---:|---:|", *rows]),
        cases=sum(each["cases"] for each in found),
        total=sum(kills.values()),
        differences=len(failed),
        fuzz=fuzz,
        fuzzed="\n".join(["| Input | Tried | Taken | Refused | Failed |", "|---|---:|---:|---:|---:|", *fuzzed]),
        tests="\n".join(tests),
    )
    Path(settings.out).write_text(page, encoding="utf-8")
    print(page)
    if failed or not passed:
        print(json.dumps(failed, indent=1))
        sys.exit(1)


def kill(kills: int) -> list[dict]:
    """What several processes found, each with its share of the kills; studies come on top, as they take long."""
    shares = [["--kills", str(kills // PROCESSES), "--seed", str(n)] for n in range(PROCESSES)]
    shares += [["--kills", "10", "--verbs", "study"]]
    running = [
        subprocess.Popen([sys.executable, "-m", "faults.crashes", *share], cwd=TESTS, stdout=subprocess.PIPE, text=True)
        for share in shares
    ]
    return [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]


def held() -> tuple[list[str], bool]:
    """A line for every test of what is not killed, and whether all passed."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        subprocess.run([sys.executable, "-m", "pytest", "-q", "-m", "", "--junitxml", str(report), *HELD], check=False)
        cases = list(ElementTree.parse(report).iter("testcase"))
    lines, passed = [], True
    for case in cases:
        bad = case.find("failure") is not None or case.find("error") is not None
        skipped = case.find("skipped") is not None
        passed &= not bad
        words = case.attrib["name"].removeprefix("test_").replace("_", " ")
        lines.append(f"- {'failed: ' if bad else 'not tried here: ' if skipped else ''}{words}")
    return lines, passed and bool(cases)


if __name__ == "__main__":
    main()
