"""Prints the version of Python that an app asks for, and the file that does.

usage: wanted.py BUILD_DIR

Ends with status 1 and a message for the app's developer where a file is not
what it should be, and prints nothing where none asks for a version.
"""
import json
import os
import re
import sys

VERSION = re.compile(r"\d+\.\d+(\.\d+)?")


def lines(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        text = (line.split("#")[0].strip() for line in f)
        return [line for line in text if line]


def check(version, file, example):
    if not VERSION.fullmatch(version):
        sys.exit(f'"{version}" in {file} is not a version of Python; write one like {example}')
    print(version, file)
    sys.exit()


os.chdir(sys.argv[1])
here = f"{sys.version_info.major}.{sys.version_info.minor}"
if os.path.isfile("runtime.txt"):
    said = " ".join(lines("runtime.txt"))
    check(re.sub(r"^python-", "", said) if said.startswith("python-") else said, "runtime.txt", f"python-{here}")
if os.path.isfile(".python-version"):
    found = lines(".python-version")
    if len(found) != 1:
        sys.exit(f".python-version has to hold one version of Python, such as {here}; it holds {len(found)}")
    check(re.sub(r"^(cpython|python)[-@]?", "", found[0]), ".python-version", here)
if os.path.isfile("Pipfile.lock"):
    try:
        with open("Pipfile.lock", encoding="utf-8") as f:
            requires = json.load(f).get("_meta", {}).get("requires", {})
    except (ValueError, AttributeError) as error:
        sys.exit(f"Pipfile.lock is no lock file: {error}")
    for key in "python_full_version", "python_version":
        if key in requires and requires[key] != "*":
            check(str(requires[key]), "Pipfile.lock", here)
