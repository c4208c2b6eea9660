#!/usr/bin/env python3
"""Counts the tests in Meson's logs; says why some failed or were skipped."""
# SPDX-License-Identifier: BSD-2-Clause
import json
import sys

passed, failed, skipped = 0, [], []

for path in sys.argv[1:]:
    build = path.split("/")[0]
    try:
        with open(path, encoding="utf-8") as log:
            tests = [json.loads(line) for line in log]
    except OSError as error:
        failed.append((f"{build}: no results", str(error)))
        continue
    if not tests:
        failed.append((f"{build}: no results", "no test ran"))
    for test in tests:
        output = (test.get("stdout", "") + test.get("stderr", "")).strip().splitlines()
        name = f"{build}: {test['name']}"
        if test["result"] in ("OK", "EXPECTEDFAIL"):
            passed += 1
        elif test["result"] == "SKIP":
            skipped.append((name, output[-1] if output else "no reason given"))
        else:
            failed.append((f"{name} ({test['result']})", "\n        ".join(output[-25:])))

for name, why in skipped:
    print(f"skipped  {name}: {why}")
for name, why in failed:
    print(f"FAILED   {name}\n        {why}")
print(f"{passed} passed, {len(failed)} failed" + (f", {len(skipped)} skipped" if skipped else ""))
sys.exit(1 if failed else 0)
