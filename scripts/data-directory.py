#!/usr/bin/env python3
"""Makes a fixture of a whole data directory: `scripts/data-directory.py ORCH NAME`.

It runs the binary ORCH with command agents until there are tasks in every phase, kills the daemon in the middle of a
merge, and packs what is there into `crates/orch/tests/data/NAME.tar.gz`: the user's repository, `orch.toml`, and the
data directory. Databases are SQL text, and the place of everything is written `@ROOT@`, so that the test can put it
anywhere. A change of a stored form is made against the fixtures of the versions before it; see CONTRIBUTING.md.

Needs Python 3.9, git and tar. Ends only processes it started.
"""
import atexit, json, os, shutil, signal, socket, sqlite3, subprocess, sys, time, urllib.request, urllib.error
from pathlib import Path

orch, name = str(Path(sys.argv[1]).resolve()), sys.argv[2]
out = Path(__file__).resolve().parent.parent / "crates/orch/tests/data" / f"{name}.tar.gz"
root = Path("/tmp") / f"orch-fixture-{os.getpid()}"
root.mkdir()
repo, data = root / "shop", root / "shop/.orch-state"
(root / "tmp").mkdir()
(root / "site").mkdir()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


port, site = free_port(), free_port()
env = {"PATH": f"{root}/bin:" + os.environ["PATH"], "HOME": str(root), "TMPDIR": str(root / "tmp"), "LANG": "C.UTF-8"}

AGENT = r"""#!/bin/sh
# Plays every role through the contract. A file `hold-<item>-<role>` beside it makes that role wait; `fail-`, `ask-` and
# `limit-` make it end that way once or for as long as the file is there.
set -eu
here=$(dirname "$0")
art=$ORCH_ARTEFACT_DIR
me=$ORCH_WORK_ITEM-$ORCH_ROLE
echo "start $ORCH_ROLE $ORCH_STAGE attempt=$ORCH_ATTEMPT round=$ORCH_ROUND"
[ -e "$here/stubborn-$me" ] && trap '' TERM
while [ -e "$here/hold-$me" ]; do sleep 0.1; done
[ -e "$here/fail-$me" ] && exit 1
if [ -e "$here/limit-$me" ]; then echo '{"retry_after_s": 20}' > "$ORCH_RESULT_FILE"; exit 75; fi
if [ -e "$here/ask-$me" ]; then echo '{"question": "Which colour?"}' > "$ORCH_RESULT_FILE"; exit 0; fi
echo '{"summary": "done as asked", "cost_usd": 0.25, "input_tokens": 1200, "output_tokens": 90}' > "$ORCH_RESULT_FILE"
mkdir -p "$art"
case $ORCH_ROLE in
analyst)
    for paper in 01-brd 02-trz 03-acceptance-criteria; do
        printf '# %s of %s\n\nThe command shows the version to whoever asks for it, and nothing else.\n' "$paper" "$ORCH_WORK_ITEM" > "$art/$paper.md"
    done
    printf 'tests:\n  - id: TC-01\n    type: unit\n    description: ask for the version\n    module: src\n    expected: the number is shown\n  - id: TC-02\n    type: integration\n    description: ask twice\n    module: src\n    expected: the same number both times\n' > "$art/04-test-plan.yaml"
    ;;
architect)
    mkdir -p "$art/06-adr"
    printf '# ADR-001: One line\n\n## Context\n\nA number is wanted.\n\n## Decision\n\nIt is a line of the file.\n\n## Alternatives\n\nA database.\n\n## Consequences\n\nNothing to run.\n' > "$art/06-adr/ADR-001-one-line.md"
    ;;
developer)
    mkdir -p changes
    printf 'round %s\n' "$ORCH_ROUND" >> "changes/$ORCH_WORK_ITEM.txt"
    if [ -e "$here/slow-$ORCH_WORK_ITEM" ]; then touch changes/slow; fi
    if [ -e "$here/protected-$ORCH_WORK_ITEM" ]; then mkdir -p .github/workflows; echo 'on: push' > .github/workflows/ci.yml; fi
    ;;
reviewer) printf -- '---\nverdict: APPROVED\n---\n# Review\n\nRead and fine.\n' > "$art/12-review.md" ;;
tester) printf -- '---\nresult: PASS\n---\n# Test report\n\nTC-01 and TC-02 pass.\n' > "$art/13-test-report.md" ;;
esac
"""

TOML = f"""# The configuration of a fixture.
[server]
listen = "127.0.0.1:{port}"
[db]
path = ".orch-state/orch.db"
[repos]
dir = ".orch-state/repos"
[merge]
defer_delay_s = 1
[post_deploy]
window_s = 6
interval_s = 1
[reconcile]
interval_s = 5
[agents]
default = "mine"
max_concurrency = 12
[agents.programs.mine]
kind = "command"
command = ["./agent.sh"]
[agents.programs.limited]
kind = "command"
command = ["./agent.sh"]
[sites.production]
listen = "127.0.0.1:{site}"
dir = "../site"
"""

for key, pipeline, more in [
    ("LITE", "lite", ""),
    ("FULL", "full", f"""[project.deploy]
staging = "while [ -e '{repo}'/hold-$ORCH_WORK_ITEM-staging ]; do sleep 0.1; done; echo staging $ORCH_REVISION"
production = "echo ok > '{root}/site/index.html'; echo production $ORCH_REVISION"
rollback = "echo back"
check = "true"
health_url = "http://127.0.0.1:{site}/index.html"
approval = true
"""),
    ("SHIP", "lite", f"""[project.deploy]
production = "while [ -e '{repo}'/hold-$ORCH_WORK_ITEM-production ]; do sleep 0.1; done; echo production $ORCH_REVISION"
rollback = "echo back"
"""),
    ("EXT", "lite", '[project.ci]\nrequired = ["external"]\n'),
    ("BAD", "lite", ""),
    ("LIM", "lite", '[project.agents]\ndeveloper = "limited"\n'),
    ("MERGE", "lite", ""),
]:
    test = f"test -e '{repo}/green' || exit 1" if key == "BAD" else f"if [ -e changes/slow ]; then while [ -e '{repo}/hold-tests' ]; do sleep 0.1; done; fi; echo tests passed"
    TOML += f"""
[[project]]
key = "{key}"
repo = "../{key.lower()}"
default_branch = "main"
pipeline = "{pipeline}"
approvers = ["anna"]
starters = ["anna"]
[project.commands]
test = {json.dumps(test)}
ci = "true"
{more}"""
    source = root / key.lower()
    source.mkdir()
    git = lambda *a: subprocess.run(["git", "-c", "user.name=Anna", "-c", "user.email=anna@example.invalid", *a], cwd=source, env=env, check=True, stdout=subprocess.DEVNULL)
    git("init", "--quiet", "--template=", "--initial-branch=main")
    (source / "README.md").write_text(f"# {key}\n")
    (source / "version.txt").write_text("version: 1\n")
    git("add", "--all")
    git("commit", "--quiet", "--message=Begin")

# A git that stays in the middle of a merge while a file is there: the moment between the forge's intent and its act.
(root / "bin").mkdir()
real = shutil.which("git")
(root / "bin/git").write_text(f"""#!/bin/sh
if [ -e '{root}/bin/hold-merge' ]; then
    case " $* " in *" update-ref "*"refs/heads/main"*) case "$PWD $* $GIT_DIR" in *MERGE*) touch '{root}/bin/merging'; while [ -e '{root}/bin/hold-merge' ]; do sleep 0.1; done; exit 1;; esac;; esac
fi
exec {real} "$@"
""")
os.chmod(root / "bin/git", 0o755)
repo.mkdir()
subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], cwd=repo, env=env, check=True)
(repo / "agent.sh").write_text(AGENT)
os.chmod(repo / "agent.sh", 0o755)
(repo / "orch.toml").write_text(TOML)

log = open(root / "serve.log", "ab")
serve = subprocess.Popen([orch, "serve"], cwd=repo, env={**env, "ORCH_LOG": "info"}, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
atexit.register(serve.kill)


def http(method, path, body=None, actor="anna"):
    token = (data / "token").read_text().strip()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method, data=json.dumps(body).encode() if body is not None else None)
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("X-Orch-Actor", f"local:{actor}")
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as e:
        raise RuntimeError(f"{method} {path}: {e.code} {e.read().decode()}")


def until(what, look, longest=90):
    began = time.time()
    while time.time() - began < longest:
        try:
            found = look()
            if found:
                return found
        except (OSError, RuntimeError, FileNotFoundError):
            pass
        time.sleep(0.1)
    raise SystemExit(f"never: {what}\n" + (root / "serve.log").read_text()[-3000:])


until("ready", lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz").status == 200)


def new(project, title, start=True):
    made = http("POST", "/api/v1/tasks", {"project": project, "title": title, "body": "The command shows the version.\n\n- the number is shown\n", "start": start})
    return made["id"]


def phase(item):
    return http("GET", f"/api/v1/tasks/{item}")["phase"]


def at(item, *phases):
    until(f"{item} is {phases}, but {phase(item)}", lambda: phase(item) in phases)


def said(item, role):
    def look():
        return any(f"start {role} " in p.read_text(errors="replace") and f'"{item}"' in (p.parent / "spec.json").read_text() for p in data.glob("runs/*/stdout.log"))
    until(f"{role} of {item} runs", look)


def touch(*names):
    for n in names:
        (repo / n).touch()


expected = {}


def leave(item, phase_word):
    expected[item] = phase_word


# The first of each project: done, so that there is history.
first = [new(k, "Show the version") for k in ("LITE", "SHIP", "MERGE", "LIM")]
full = new("FULL", "Show the version")
at(full, "awaiting_approval")
http("POST", f"/api/v1/tasks/{full}/approve", {"comment": "well analysed"})
for item in first:
    at(item, "done")
at(full, "awaiting_approval", "waiting_for_approval")
until("production is asked", lambda: http("GET", f"/api/v1/tasks/{full}").get("stage") not in ("analysis", None) and phase(full) == "awaiting_approval")
http("POST", f"/api/v1/tasks/{full}/approve", {"comment": "go"})
at(full, "done")
for item in first + [full]:
    leave(item, "done")

# Every later number is known before it starts, so that its files can be.
touch("hold-tests")
cancelled = new("LITE", "A change nobody wants", start=False)
http("POST", f"/api/v1/tasks/{cancelled}/cancel", {})
at(cancelled, "cancelled")
leave(cancelled, "cancelled")
leave(new("LITE", "Not started", start=False), "idle")


def prepared(project, title, *marks):
    item = new(project, title, start=False)
    touch(*[m.replace("@", item) for m in marks])
    http("POST", f"/api/v1/tasks/{item}/start", {})
    return item


working = prepared("LITE", "Somebody works on it", "hold-@-developer")
asks = prepared("LITE", "Which colour", "ask-@-developer")
fails = prepared("LITE", "It breaks", "fail-@-developer")
stubborn = prepared("LITE", "It will not stop", "hold-@-developer", "stubborn-@-developer")
slow = prepared("LITE", "Its tests take long", "slow-@")
guards = prepared("LITE", "It changes what guards the project", "protected-@")
limited = prepared("LIM", "Its account is spent", "limit-@-developer")
bad = prepared("BAD", "Its tests are red")
ext = prepared("EXT", "Its checks are somewhere else")
analysis = prepared("FULL", "Analysis to approve")
review = prepared("FULL", "It is being reviewed", "hold-@-reviewer")
testing = prepared("FULL", "It is being tested", "hold-@-tester")
production = prepared("FULL", "Production to approve")
refused = prepared("FULL", "Production refused")
watched = prepared("FULL", "It is being watched")
for item in (review, testing, production, refused, watched):
    until(f"{item} asks for its analysis", lambda: phase(item) == "awaiting_approval")
    http("POST", f"/api/v1/tasks/{item}/approve", {"comment": ""})
ship = prepared("SHIP", "It is being deployed", "hold-@-production")

at(asks, "needs_input")
at(fails, "blocked")
at(bad, "blocked")
at(guards, "awaiting_approval")
at(analysis, "awaiting_approval")
said(working, "developer")
said(stubborn, "developer")
said(review, "reviewer")
said(testing, "tester")
for item in (production, refused, watched):
    until(f"{item} asks for production", lambda: http("GET", f"/api/v1/tasks/{item}")["stage"] != "analysis" and phase(item) == "awaiting_approval", 120)
http("POST", f"/api/v1/tasks/{refused}/reject", {"comment": "not before Monday"})
at(refused, "blocked")
until("its deploy runs", lambda: phase(ship) == "deploying")
# Last of its project: while its hook runs, no other comes to staging.
staging = prepared("FULL", "It goes to staging", "hold-@-staging")
until("analysis", lambda: phase(staging) == "awaiting_approval")
http("POST", f"/api/v1/tasks/{staging}/approve", {"comment": ""})
until("its staging runs", lambda: phase(staging) == "deploying", 120)

# A merge on its way, and one that waits for its lease.
(root / "bin/hold-merge").touch()
merging = prepared("MERGE", "It is being merged")
until("the merge is begun", lambda: (root / "bin/merging").exists())
waiting = prepared("MERGE", "It waits for the lease")
until("it waits", lambda: phase(waiting) == "waiting_for_lease")
# A watch that has just begun.
http("POST", f"/api/v1/tasks/{watched}/approve", {"comment": ""})
until("it is watched", lambda: phase(watched) == "watching")
http("POST", f"/api/v1/tasks/{stubborn}/cancel", {})
at(stubborn, "stopping", "cancelling")
time.sleep(0.3)
for item in (working, asks, fails, stubborn, slow, guards, limited, bad, ext, analysis, review, testing, staging, production, refused, ship, merging, waiting, watched):
    leave(item, phase(item))
serve.kill()
serve.wait()
# At once, while every supervisor lives: a copy of what a machine has at the moment its daemon dies.
copy = root / "copy"
copy.mkdir()
skip = shutil.ignore_patterns("*.lock", "serve.log")
for entry in ("shop", "site", *[k.lower() for k in ("LITE", "FULL", "SHIP", "EXT", "BAD", "LIM", "MERGE")]):
    # A database and its WAL are taken by SQLite, below.
    shutil.copytree(root / entry, copy / entry, symlinks=True, ignore=shutil.ignore_patterns("*.db", "*.db-wal", "*.db-shm", "orch.db.lock"))
for db in data.rglob("*.db"):
    source = sqlite3.connect(db)
    numbers = [source.execute(f"PRAGMA {n}").fetchone()[0] for n in ("application_id", "user_version")]
    text = "\n".join(line for line in source.iterdump() if "sqlite_sequence" not in line or line.startswith("INSERT"))
    sequence = source.execute("SELECT name FROM sqlite_schema WHERE name = 'sqlite_sequence'").fetchone()
    text = text.replace("BEGIN TRANSACTION;", f"PRAGMA application_id = {numbers[0]};\nPRAGMA user_version = {numbers[1]};\nBEGIN TRANSACTION;", 1)
    (copy / db.relative_to(root)).with_suffix(".db.sql").write_text(text)
    source.close()
(root / "bin/hold-merge").unlink()
for held in list(repo.glob("hold-*")) + list(repo.glob("stubborn-*")):
    held.unlink()
# The runs end by themselves now; nothing of them is in the copy.
shop = copy / "shop"
for mark in list(shop.glob("hold-*")) + list(shop.glob("stubborn-*")) + list(shop.glob("fail-*")) + list(shop.glob("ask-*")) + list(shop.glob("limit-*")):
    mark.unlink()
shutil.rmtree(shop / ".git")
(copy / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")
for path in copy.rglob("*"):
    if path.is_symlink() or not path.is_file():
        continue
    raw = path.read_bytes()
    fixed = raw.replace(str(root).encode(), b"@ROOT@").replace(f":{port}".encode(), b":@PORT@").replace(f":{site}".encode(), b":@SITE@")
    if fixed != raw:
        if b"\0" in raw:
            raise SystemExit(f"{path}: a binary file holds a path")
        mode = path.stat().st_mode
        path.unlink()
        path.write_bytes(fixed)
        os.chmod(path, mode & 0o777)
out.parent.mkdir(parents=True, exist_ok=True)
subprocess.run(["tar", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--use-compress-program=gzip -9n", "-C", str(copy), "-cf", str(out), "."], check=True)
print(out, out.stat().st_size, json.dumps(expected))
time.sleep(12)
shutil.rmtree(root, ignore_errors=True)
