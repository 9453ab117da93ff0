"""Lets a virtual environment work wherever the slug is unpacked.

usage: relocate.py VENV BUILD_DIR

Programs find the interpreter beside themselves, which is a copy, for a slug
links to nothing outside of it. Paths of the build folder, which installed
packages and editable ones have, become those of the dyno.
"""
import os
import re
import shutil
import sys
from pathlib import Path

HERE = b"""#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")/python" "$0" "$@"
' '''
"""
venv, build = Path(sys.argv[1]), os.fsencode(sys.argv[2])
# Either a plain line, or what stands in for one that is too long for a kernel.
interpreter = re.escape(os.fsencode(venv)) + rb"/bin/python[0-9.]*"
head = re.compile(rb"\A(#!" + interpreter + rb"[^\n]*\n|#!/bin/sh\n'''exec' ['\"]?" + interpreter + rb"['\"]? [^\n]*\n' '''\n)")


def edit(path, change):
    before = path.read_bytes()
    after = change(before)
    if after != before:
        new = path.with_name(path.name + ".new")  # the cache may have the old one
        new.write_bytes(after)
        shutil.copymode(path, new)
        new.replace(path)


copies = {}  # by the program that they are of
for path in sorted((venv / "bin").iterdir()):
    if path.is_symlink() and os.path.isabs(os.readlink(path)):
        program = path.resolve()
        path.unlink()
        if program in copies:
            path.symlink_to(copies[program])
        else:
            shutil.copy2(program, path)
            copies[program] = path.name
        continue
    if path.is_symlink() or not path.is_file():
        continue
    if path.name.lower().startswith("activate"):
        edit(path, lambda text: text.replace(build, b"/app"))
    else:
        edit(path, lambda text: head.sub(HERE, text))
packages = [p for p in venv.glob("lib/python*/site-packages") if not p.is_symlink()]
for folder in packages:
    up = os.fsencode(os.path.relpath(build, os.fsencode(folder)))
    for path in folder.glob("*.pth"):
        # A line is a path, which may be relative, or a statement.
        edit(path, lambda text: re.sub(rb"(?m)^" + re.escape(build), up, text).replace(build, b"/app"))
    for path in [*folder.glob("__editable__*"), *folder.glob("*.egg-link"), *folder.glob("*.dist-info/direct_url.json")]:
        if path.is_file():
            edit(path, lambda text: text.replace(build, b"/app"))
