# SPDX-License-Identifier: Apache-2.0
"""Engines in processes of their own, spoken to over pipes (the lines stand in
peers/engine.py). An engine that is not asked is stopped by a signal: thread
pools that spin while they wait, at their best when they run, then take nothing
from the one that is timed."""
import atexit
import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time

RUNNING = set()
PATIENCE = 900  # seconds for one answer


@atexit.register
def end_all():
    """None stays behind stopped when the bench ends early."""
    for process in RUNNING:
        process.kill()


class EngineError(Exception):
    pass


class Server:
    """One process."""

    def __init__(self, command, environment=None, cores=None):
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, bufsize=0,
            env=dict(os.environ, **(environment or {})),
            preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None)
        self.rest = b""
        RUNNING.add(self.process)

    def ask(self, line):
        try:
            self.process.stdin.write(line.encode() + b"\n")
        except OSError:
            self.fail()

    def answer(self):
        end = time.monotonic() + PATIENCE
        while b"\n" not in self.rest:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            more = os.read(self.process.stdout.fileno(), 1 << 20) if ready else b""
            if not more:
                self.fail()
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def fail(self):
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines() or ["no answer"]
        raise EngineError(lines[-1][:300])

    def peak(self):
        """Bytes of memory it ever held (VmHWM)."""
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def close(self):
        self.signal(signal.SIGCONT)
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()
        RUNNING.discard(self.process)


class Group:
    """An engine as one process of several threads, or as several processes of
    one thread on a core each, which share the passages of a question by length."""

    def __init__(self, commands, environment=None, work="."):
        cores = sorted(os.sched_getaffinity(0))
        many = len(commands) > 1
        self.servers, self.work, self.parts = [], work, {}
        for i, command in enumerate(commands):
            self.servers.append(Server(command, environment,
                                       {cores[i % len(cores)]} if many else None))

    def load(self, name, path):
        with open(path, encoding="utf-8") as lines:
            jobs = [json.loads(line) for line in lines]
        self.parts[name] = [shares(job["passages"], len(self.servers)) for job in jobs]
        for i, server in enumerate(self.servers):
            own = path
            if len(self.servers) > 1:
                own = f"{self.work}/{name}-{i}of{len(self.servers)}.jsonl"
                with open(own, "w", encoding="utf-8") as file:
                    for job, parts in zip(jobs, self.parts[name]):
                        file.write(json.dumps({"query": job["query"], "passages": [
                            job["passages"][k] for k in parts[i]]}) + "\n")
            server.ask(f"load {name} {own}")
        for server in self.servers:
            server.answer()

    def run(self, name, batch):
        """(seconds, CPU seconds), from asking to the last answer."""
        start = time.perf_counter()
        for server in self.servers:
            server.ask(f"run {name} {batch}")
        cpu = sum(float(server.answer()) for server in self.servers)
        self.last = name
        return time.perf_counter() - start, cpu

    def one(self, line):
        self.servers[0].ask(line)
        return self.servers[0].answer()

    def scores(self):
        """Of the last run: a list for each question, in the passages' order."""
        for server in self.servers:
            server.ask("scores")
        answers = [json.loads(server.answer()) for server in self.servers]
        found = []
        for number, parts in enumerate(self.parts[self.last]):
            scores = [0.0] * sum(map(len, parts))
            for part, answer in zip(parts, answers):
                for k, score in zip(part, answer[number]):
                    scores[k] = score
            found.append(scores)
        return found

    def peak(self):
        return sum(server.peak() for server in self.servers)

    def pause(self):
        for server in self.servers:
            server.signal(signal.SIGSTOP)

    def resume(self):
        for server in self.servers:
            server.signal(signal.SIGCONT)

    def close(self):
        for server in self.servers:
            server.close()


def shares(passages, count):
    """Indices of the passages in `count` parts of about equal length, ascending:
    one part is all passages in their order."""
    parts, sizes = [[] for _ in range(count)], [0] * count
    for i in sorted(range(len(passages)), key=lambda i: -len(passages[i])):
        least = sizes.index(min(sizes))
        parts[least].append(i)
        sizes[least] += len(passages[i])
    return [sorted(part) for part in parts]
