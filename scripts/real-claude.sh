#!/bin/sh
# Tries the real Claude Code under the real daemon, against a model server of the project's own: from analysis to done, a
# question, a crash, and a service that fails in the middle. Offline but for the program itself; needs no account.
#
#   scripts/real-claude.sh [full|question|crash|overloaded|auth|proxy|budget|killed|plan|pause ...]
#
# The program: ORCH_REAL_CLAUDE=/path/to/claude, or `npm pack @anthropic-ai/claude-code-linux-x64@2.1.332`, unpacked.
set -eu
claude=${ORCH_REAL_CLAUDE:-$(command -v claude || true)}
if [ ! -x "$claude" ]; then
    echo "skipped: needs Claude Code (npm pack @anthropic-ai/claude-code-linux-x64@2.1.332, unpack it, and set ORCH_REAL_CLAUDE to package/claude)"
    exit 0
fi
root=$(cd "$(dirname "$0")/.." && pwd)
bin=${ORCH_BIN_DIR:-$root/target/debug}
[ -x "$bin/orch" ] && [ -x "$bin/orch-fake-model" ] || (cd "$root" && cargo build -q -p orch -p orch-driver)
work=$(mktemp -d)
pids=""
trap 'for pid in $pids; do kill "$pid" 2>/dev/null || true; done; wait 2>/dev/null || true; [ -n "${KEEP:-}" ] || rm -rf "$work"' EXIT
export HOME="$work/home" XDG_STATE_HOME="$work/state" XDG_CONFIG_HOME="$work/config" GIT_CONFIG_NOSYSTEM=1
mkdir -p "$HOME"
git config --global user.name tester && git config --global user.email tester@example.invalid
git config --global init.defaultBranch main
port=$((20000 + $$ % 20000))

story() { # name, pipeline, options of the fake model
    name=$1 pipeline=$2
    shift 2
    port=$((port + 2))
    dir="$work/$name"
    mkdir -p "$dir" && cd "$dir"
    git init -q . && printf 'echo ok\n' >test.sh && git add -A && git commit -qm begin
    printf '%s\n' "${key_line:-ANTHROPIC_API_KEY=sk-ant-fake-0123456789}" >"$work/$name.env" && chmod 600 "$work/$name.env"
    "$bin/orch-fake-model" --port $((port + 1)) --play "$bin/orch scripted-agent" --develop "echo changed >>page.txt" "$@" >"$work/$name.model" 2>&1 &
    pids="$pids $!"
    "$bin/orch" init --no-run >/dev/null
    sed -i -e "s/8500/$port/" -e 's/pipeline = "lite"/pipeline = "'"$pipeline"'"/' orch.toml
    awk -v claude="$claude" -v env="$work/$name.env" -v url="http://127.0.0.1:$((port + 1))" '
        /^\[agents\]/ {print; inagents=1; next}
        /^default = "(claude|codex)"/ && inagents {print "default = \"claude\""; inagents=0; next}
        /^\[agents.programs/ {print "[agents.programs.claude]\nkind = \"claude\"\nprogram = \"" claude "\"\nmodel = \"claude-sonnet-5\"\nenv_file = \"" env "\"\nbase_url = \"" url "\""; skip=1; next}
        /^deadline_s/ {skip=0}
        !skip {print}' orch.toml >orch.toml.new && mv orch.toml.new orch.toml
    [ -z "${more:-}" ] || printf '%s\n' "$more" >>orch.toml
    "$bin/orch" serve >"$work/$name.serve" 2>&1 &
    serve=$!
    pids="$pids $serve"
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        "$bin/orch" queue >/dev/null 2>&1 && break
        sleep 0.5
    done
    key=$(sed -n 's/^key = "\(.*\)"/\1/p' orch.toml)
    "$bin/orch" task new --project "$key" --title "Add a page" --start >/dev/null
    item="$key-1"
}

until_why() { # pattern, seconds
    n=0
    while [ $n -lt $(($2 * 2)) ]; do
        why=$("$bin/orch" why "$item" 2>&1 || true)
        printf '%s' "$why" | grep -Eqi "$1" && return 0
        n=$((n + 1))
        sleep 0.5
    done
    echo "NOT REACHED in $name: $1"
    printf '%s\n' "$why"
    tail -n 5 "$work/$name.model"
    tail -n 5 "$work/$name.serve"
    return 1
}

# The pid of a process of this story whose command line, or environment, has this.
process() { # file of /proc, pattern
    for p in /proc/[0-9]*; do
        { tr '\0' '\n' <"$p/$1"; } 2>/dev/null | grep -q -- "$2" && echo "${p#/proc/}" && return 0
    done
    return 1
}

# Returns when the real program is at work and has asked its model.
at_work() {
    n=0
    while [ $n -lt 120 ]; do
        pid=$(process environ "^CLAUDE_CONFIG_DIR=$work/" || true)
        [ -n "$pid" ] && grep -qs '"asked"' "$work"/state/orch/*/runs/*/usage.jsonl && return 0
        n=$((n + 1))
        sleep 0.25
    done
    echo "NOT REACHED in $name: the program asks no model" && return 1
}

told() {
    echo "== $name: $1"
    "$bin/orch" evidence "$item" --json 2>/dev/null |
        sed 's/},{/},\n{/g' | grep -o '"\(class\|model\|session\|cost\|what\|turns\)": *[^,}]*' | paste -sd' ' | sed 's/"turns"[^ ]* *[0-9]*/&\n/g' | grep claude || true
}

for one in ${*:-full question crash}; do
    case $one in
    full)
        story full full
        until_why 'approve' 90 && "$bin/orch" approve "$item" >/dev/null
        until_why ' is done, ' 180
        told 'from analysis to done' 12
        "$bin/orch" logs "$item" | head -20
        ;;
    question)
        story question lite --ask developer
        until_why 'Red or blue' 60
        "$bin/orch" answer "$item" "Blue" >/dev/null
        until_why ' is done, ' 120
        told 'asked, answered, done; the session goes on'
        ;;
    crash)
        story crash lite --slow-s 3
        n=0
        # The very program of this run, by its session directory.
        while [ $n -lt 60 ]; do
            pid=$(for p in /proc/[0-9]*; do
                [ "$(readlink "$p/exe" 2>/dev/null)" = "$(readlink -f "$claude")" ] &&
                    tr '\0' '\n' <"$p/environ" 2>/dev/null | grep -q "^CLAUDE_CONFIG_DIR=$work/" && echo "${p#/proc/}" && break
            done || true)
            [ -n "$pid" ] && [ -s "$work/crash.model" ] && [ "$(wc -l <"$work/crash.model")" -gt 1 ] && break
            n=$((n + 1))
            sleep 0.5
        done
        kill -9 "$pid"
        until_why ' is done, ' 180
        told 'killed, resumed on its files, done'
        ;;
    overloaded)
        story overloaded lite --fail 529 --from 2 --times 6
        until_why ' is done, ' 240
        told '529 in the middle, the session goes on'
        ;;
    auth)
        story auth lite --fail 401
        until_why 'not asked before' 120
        told 'the key is refused: the circuit of the program is open'
        ;;
    proxy)
        story proxy lite --slow-s 2
        at_work
        for p in /proc/[0-9]*; do
            for what in environ cmdline; do
                if grep -qs 'sk-ant-fake' "$p/$what"; then
                    echo "the key is in $p/$what: $(tr '\0' ' ' <"$p/cmdline")" && exit 1
                fi
            done
        done
        until_why ' is done, ' 180
        ! grep -rqs 'sk-ant-fake' "$work/state" || { echo "the key is in a file of the instance" && exit 1; }
        told 'done; the key was in no environment, no command line and no file of the instance'
        ;;
    budget)
        more='[budget]
task_usd = 0.012' story budget lite
        until_why 'budget' 120
        told 'cut where the reservation was used up'
        ;;
    killed)
        story killed lite --slow-s 3
        at_work
        kill -9 "$(process cmdline agent-driver)"
        until_why ' is done, ' 240
        told 'the driver was killed with its proxy: what had not ended is an upper bound'
        ;;
    plan)
        key_line=CLAUDE_CODE_OAUTH_TOKEN=sk-ant-oat01-fake-0123456789 story plan lite
        until_why ' is done, ' 120
        told 'a subscription: included'
        ;;
    pause)
        story pause lite --slow-s 1
        at_work
        kill -9 "$serve"
        "$bin/orch" pause
        sleep 1
        before=$(wc -l <"$work/$name.model")
        sleep 4
        after=$(wc -l <"$work/$name.model")
        # One that had left before may still be answered.
        [ "$after" -le $((before + 1)) ] || { echo "the model was asked while paused: $before, $after" && exit 1; }
        "$bin/orch" serve >>"$work/$name.serve" 2>&1 &
        pids="$pids $!"
        until_why 'paused by' 60
        "$bin/orch" resume >/dev/null
        until_why ' is done, ' 180
        told 'paused with a dead daemon, kept by the next one, resumed, done'
        ;;
    *) echo "no story $one" && exit 2 ;;
    esac
done
echo "all stories told"
