//! Agents as shell scripts that keep the generic contract: a role is a shell function. A test puts functions of its own
//! over those it wants to misbehave.

/// The well-behaved agent.
pub const GOOD: &str = r###"#!/bin/sh
# Plays every role through the contract: environment, files, exit code.
set -eu
here=$(dirname "$0")
art=$ORCH_ARTEFACT_DIR
code='src/приложение с пробелом.txt'
echo "start $ORCH_ROLE $ORCH_STAGE attempt=$ORCH_ATTEMPT round=$ORCH_ROUND pid=$$"
tr '\0' '\n' < /proc/$$/environ > "$TMPDIR/environ.txt"

analyst() {
    mkdir -p "$art"
    for paper in 01-brd 02-trz 03-acceptance-criteria; do
        printf '# %s of %s\n\nКоманда показывает версию программы тому, кто её спросил, и ничего больше.\n' \
            "$paper" "$ORCH_WORK_ITEM" > "$art/$paper.md"
    done
    cat > "$art/04-test-plan.yaml" <<'PLAN'
tests:
  - id: TC-01
    type: unit
    description: ask for the version
    module: src
    expected: the number is shown
  - id: TC-02
    type: integration
    description: ask twice
    module: src
    expected: the same number both times
PLAN
}
architect() {
    mkdir -p "$art/06-adr"
    printf '# ADR-001: One line\n\n## Context\n\nA number is wanted.\n\n## Decision\n\nIt is a line of the file.\n\n%s\n' \
        "## Alternatives

A database.

## Consequences

Nothing to run." > "$art/06-adr/ADR-001-one-line.md"
}
developer() {
    printf 'показана: раунд %s\n' "$ORCH_ROUND" >> "$code"
    mkdir -p 'новая папка'
    printf 'привет\n' > 'новая папка/файл «ё».txt'
}
reviewer() {
    printf -- '---\nverdict: APPROVED\n---\n# Review\n\nRead and fine.\n' > "$art/12-review.md"
}
tester() {
    printf -- '---\nresult: PASS\n---\n# Test report\n\nTC-01 and TC-02 pass.\n' > "$art/13-test-report.md"
}
wait_for() {
    until [ -e "$here/$1" ]; do sleep 0.05; done
}
"###;
