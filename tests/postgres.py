#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL with pgvector for tests, in a folder that is removed with it.

  postgres.py start FOLDER   makes it on the first call; prints its URL
  postgres.py stop FOLDER    at once, as if the machine had failed
  postgres.py database FOLDER NAME [OF]   makes another database, a copy of OF; prints its URL

The programs are those of the PyPI package pgserver, in the Python that runs this, or in
$POSTGRES_BIN. Exits with 77, and says why, where there are none. It listens on a free port
of 127.0.0.1 alone. PostgreSQL does not run as root: then it runs as "nobody".
"""
import importlib.util
import os
import pathlib
import pwd
import socket
import subprocess
import sys


def programs():
    given = os.environ.get("POSTGRES_BIN")
    if given:
        return pathlib.Path(given)
    package = importlib.util.find_spec("pgserver")
    if package is None:
        print("SKIP: there is no PostgreSQL with pgvector; pip install pgserver, or set "
              "$POSTGRES_BIN to a folder that has initdb and postgres")
        sys.exit(77)
    return pathlib.Path(package.origin).parent / "pginstall" / "bin"


def as_nobody():
    """Keyword arguments of subprocess that lay root down."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def run(folder, *command):
    try:
        done = subprocess.run([str(programs() / command[0]), *command[1:]], cwd=folder,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, **as_nobody())
    except PermissionError as error:
        print(f"SKIP: {error}; root runs PostgreSQL as nobody, who may not read that folder")
        sys.exit(77)
    if done.returncode != 0:
        sys.exit(f"{command[0]}: {done.stdout}")


def make(folder):
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
    run(folder, "initdb", "-D", str(folder / "data"), "-U", "assay", "-A", "trust", "-E", "UTF8",
        "--locale=C", "--no-sync")
    port = socket.create_server(("127.0.0.1", 0)).getsockname()[1]
    with open(folder / "data" / "postgresql.conf", "a") as conf:
        conf.write(f"listen_addresses = '127.0.0.1'\nport = {port}\n"
                   "unix_socket_directories = ''\nfsync = off\nshared_buffers = 64MB\n")
    (folder / "url").write_text(f"postgresql://assay@127.0.0.1:{port}/postgres")


def start(folder):
    if not (folder / "url").exists():
        make(folder)
    run(folder, "pg_ctl", "-D", str(folder / "data"), "-l", str(folder / "log"), "-w", "start")
    print((folder / "url").read_text())


def main():
    what, folder = sys.argv[1], pathlib.Path(sys.argv[2]).absolute()
    if what == "start":
        start(folder)
    elif what == "database":
        url = (folder / "url").read_text()
        copied = f" TEMPLATE {sys.argv[4]}" if len(sys.argv) > 4 else ""
        run(folder, "psql", "-q", url, "-c", f"CREATE DATABASE {sys.argv[3]}{copied}")
        print(url.rsplit("/", 1)[0] + "/" + sys.argv[3])
    else:
        run(folder, "pg_ctl", "-D", str(folder / "data"), "-m", "immediate", "-w", "stop")


main()
