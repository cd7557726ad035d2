#!/usr/bin/env python3
"""What the daemon does with connections that mean no good: scripts/connections.py target/release/orch

Starts it in a directory of its own, on the loopback address, with few file descriptors, and prints a line per attack: is it
still answering meanwhile, how many of the connections it kept, and how much memory it has before, during and after.
"""

import http.client
import os
import pathlib
import resource
import socket
import subprocess
import sys
import tempfile
import time

DESCRIPTORS = 1024
CONFIG = """[server]
listen = "127.0.0.1:{port}"
[db]
path = "state/orch.db"
[agents]
default = "scripted"
[agents.programs.scripted]
kind = "scripted"
[[project]]
key = "T"
repo = "repo"
default_branch = "main"
pipeline = "lite"
commands.test = "true"
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Daemon:
    def __init__(self, orch, root):
        self.port = free_port()
        repo = root / "repo"
        repo.mkdir()
        git = ["git", "-C", str(repo), "-c", "user.name=a", "-c", "user.email=a@b.invalid"]
        subprocess.run(git[:3] + ["init", "-q", "-b", "main"], check=True)
        subprocess.run(git + ["commit", "-q", "--allow-empty", "-m", "Begin"], check=True)
        (root / "orch.toml").write_text(CONFIG.format(port=self.port))
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        log = open(root / "serve.log", "wb")
        self.process = subprocess.Popen([orch, "serve"], cwd=root, stdout=log, stderr=log, preexec_fn=limit)
        deadline = time.time() + 30
        while self.livez() is None:
            if self.process.poll() is not None or deadline < time.time():
                sys.exit((root / "serve.log").read_text())
            time.sleep(0.05)
        self.token = (root / "state" / "token").read_text().strip()

    def livez(self):
        """Seconds until the answer; None: there is none."""
        began = time.time()
        try:
            client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            client.request("GET", "/livez")
            ok = client.getresponse().status == 200
            client.close()
            return time.time() - began if ok else None
        except (OSError, http.client.HTTPException):
            return None

    def rss(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1000

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        return s


def open_ones(sockets):
    """Of these connections, how many the other side has not closed."""
    kept = 0
    for s in sockets:
        s.setblocking(False)
        try:
            kept += s.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            kept += 1
        except OSError:
            pass
    return kept


def show(daemon, what, before, kept="-"):
    looks = [daemon.livez() for _ in range(5)]
    worst = "no answer" if None in looks else f"{max(looks) * 1000:.0f} ms"
    print(f"| {what} | {kept} | {worst} | {daemon.descriptors()} | {before:.0f} | {daemon.rss():.0f} |", flush=True)


def main(orch):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    many = min(10_000, hard - 200)
    with tempfile.TemporaryDirectory() as dir:
        daemon = Daemon(os.path.abspath(orch), pathlib.Path(dir))
        try:
            print("| what | kept open | /livez, worst of 5 | descriptors | MB before | MB after |")
            print("|---|---|---|---|---|---|")
            show(daemon, "nothing yet", daemon.rss())

            before = daemon.rss()
            slow = [daemon.connect() for _ in range(300)]
            for s in slow:
                s.send(b"GET /livez HTTP/1.1\r\nx-slow: ")
            for _ in range(15):
                time.sleep(1)
                for s in slow:
                    try:
                        s.send(b"a")
                    except OSError:
                        pass
            show(daemon, "300 headers, a byte a second, after 15 s", before, open_ones(slow))
            for s in slow:
                s.close()

            before = daemon.rss()
            idle = []
            for _ in range(many):
                try:
                    idle.append(daemon.connect())
                except OSError:
                    break
            show(daemon, f"{len(idle):,} idle connections", before, open_ones(idle))
            time.sleep(12)
            show(daemon, "the same, 12 s later", before, open_ones(idle))
            for s in idle:
                s.close()
            time.sleep(1)
            show(daemon, "the same, closed", before)

            for what, token in [("a body of 1 GiB", None), ("a body of 1 GiB with the token", daemon.token)]:
                before = daemon.rss()
                s = daemon.connect()
                auth = f"authorization: Bearer {token}\r\n" if token else ""
                s.send(f"POST /api/v1/tasks HTTP/1.1\r\nhost: localhost\r\n{auth}content-length: {1 << 30}\r\n\r\n".encode())
                piece, sent = b"x" * 65536, 0
                try:
                    while sent < 1 << 30:
                        sent += s.send(piece)
                except OSError:
                    pass
                show(daemon, f"{what}: {sent / 1e6:.1f} MB were taken", before)
                s.close()

            before = daemon.rss()
            s = daemon.connect()
            try:
                s.send(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx-large: ")
                for _ in range(16):
                    s.sendall(b"a" * 65536)
                answer = s.recv(100).split(b"\r\n")[0].decode()
            except OSError:
                answer = "closed"
            show(daemon, f"a header of 1 MiB: {answer}", before)
        finally:
            daemon.process.terminate()
            daemon.process.wait()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
