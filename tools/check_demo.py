"""Run `sightline demo` as a user would and check what it shows. Usage: python tools/check_demo.py SIGHTLINE_PROGRAM"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

MODES = ("lexical", "dense", "hybrid")
QUESTION = "how do I parse a date from a string"
MIN_DOCUMENTS = 10_000


def expect(condition: bool, message: str) -> None:
    if not condition:
        sys.exit(f"demo: {message}")


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    expect(done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def check_text(text: str) -> None:
    found = re.search(r"([\d,]+) documents", text)
    expect(found is not None, f"does not say how many documents it indexed:\n{text}")
    documents = int(found.group(1).replace(",", "")) if found else 0
    expect(documents >= MIN_DOCUMENTS, f"indexed only {documents} documents")
    for mode in MODES:
        times = re.findall(rf"\b{mode}\s+\d+\.\d+ ms", text)
        expect(len(times) >= 3, f"shows {len(times)} times of {mode} searches, expected a handful")
    expect(QUESTION in text, f"does not ask {QUESTION!r}")


def check_mode(mode: str, answer: dict[str, Any]) -> None:
    hits = answer["hits"]
    expect(len(hits) >= 3, f"{mode}: {len(hits)} hits")
    scores = [hit["score"] for hit in hits]
    expect(scores == sorted(scores, reverse=True), f"{mode}: scores do not descend: {scores}")
    expect([hit["rank"] for hit in hits] == list(range(1, len(hits) + 1)), f"{mode}: ranks are not 1, 2, ...")
    expect(len({hit["id"] for hit in hits}) == len(hits), f"{mode}: a document occurs twice")
    expect(all(hit["id"] and hit["source"] and hit["summary"] for hit in hits), f"{mode}: a hit without source or text")
    expect(answer["milliseconds"] > 0, f"{mode}: no time")
    if mode == "hybrid":
        expect(all(isinstance(hit["dense_score"], float) for hit in hits), "hybrid: a hit without a dense score")
        expect(all(isinstance(hit["lexical_score"], float) for hit in hits), "hybrid: a hit without a lexical score")


def check_data(data: dict[str, Any]) -> None:
    expect(data["documents"] >= MIN_DOCUMENTS, f"indexed only {data['documents']} documents")
    expect([answer["question"] for answer in data["answers"]] == [QUESTION], "did not answer the question it was asked")
    modes = data["answers"][0]["modes"]
    expect(sorted(modes) == sorted(MODES), f"answered in the modes {sorted(modes)}")
    for mode, answer in modes.items():
        check_mode(mode, answer)
    ids = {hit["id"] for answer in modes.values() for hit in answer["hits"]}
    expect(
        any("strptime" in name or "fromisoformat" in name for name in ids), f"no mode found a parser of dates: {ids}"
    )


def main() -> None:
    program = sys.argv[1]
    text = run(program, "demo")
    check_text(text)
    check_data(json.loads(run(program, "demo", QUESTION, "--json")))
    print(text[-1500:])
    print("the demo's output is as it should be")


if __name__ == "__main__":
    main()
