//! The programs of the world, as shell scripts: agents, tests, deploy hooks. Each writes a line to the effect log when
//! it begins and when it ends, by itself and at once, so that the log says what was really done to the world whatever
//! orch believes. They know nothing of orch but its contract.

/// The agent of every role. What a task wants stands in its ticket as `kind=...`.
pub(crate) const AGENT: &str = r#"#!/bin/sh
set -eu
item=$ORCH_WORK_ITEM
log() { echo "$1 agent $item $ORCH_ROLE $ORCH_RUN_ID - - ${2:--}" >> "$EFFECTS"; }
log start
sleep 0.$(( ($$ % 3) * 7 + 5 ))
docs=$ORCH_ARTEFACT_DIR
mkdir -p "$docs"
kind=$(grep -o 'kind=[a-z]*' "$ORCH_PROMPT_FILE" | head -n 1)
long='This is as long as a document has to be to count as one: forty characters and some more.'

developer() {
  # Where main and this branch disagree, both sides stay.
  for file in $(grep -rl '^<<<<<<< ' src || true); do
    sed -e '/^<<<<<<< /d' -e '/^=======$/d' -e '/^>>>>>>> /d' "$file" > "$TMPDIR/both"
    cat "$TMPDIR/both" > "$file"
  done
  case $kind in
    kind=shared) file=src/shared.txt ;;
    *) file=src/$item.txt ;;
  esac
  touch "$file"
  grep -qx "mark $item" "$file" || echo "mark $item" >> "$file"
  for fault in flawed broken; do
    [ "$kind" = "kind=$fault" ] || continue
    sed "/^$fault /d" "$file" > "$TMPDIR/edit"
    # The first round has the fault, the repair takes it out.
    [ "$ORCH_ROUND" != 0 ] || echo "$fault $item" >> "$TMPDIR/edit"
    cat "$TMPDIR/edit" > "$file"
  done
}

if [ "$ORCH_ROLE" = developer ]; then
  case $kind in
    kind=hopeless) log end red; exit 1 ;;
    kind=asking)
      if ! grep -q '^## Answers you were given' "$ORCH_PROMPT_FILE"; then
        echo '{"question": "Which line do you want?"}' > "$ORCH_RESULT_FILE"
        log end
        exit 0
      fi ;;
  esac
fi
case $ORCH_ROLE in
  analyst)
    for name in 01-brd 02-trz 03-acceptance-criteria; do printf '# %s\n\n%s\n' "$item" "$long" > "$docs/$name.md"; done
    printf 'tests:\n  - id: TC-01\n    type: unit\n    description: the mark of %s is there\n    module: src\n    expected: one line\n' "$item" > "$docs/04-test-plan.yaml" ;;
  architect)
    mkdir -p "$docs/06-adr"
    printf '# ADR-001\n## Context\n%s\n## Decision\nA line.\n## Alternatives\nNone.\n## Consequences\nA line more.\n' "$long" > "$docs/06-adr/ADR-001-line.md" ;;
  developer) developer ;;
  reviewer)
    if grep -qs "^flawed $item" "src/$item.txt"; then
      printf -- '---\nverdict: REQUEST_CHANGES\nfindings:\n  - id: R1\n    severity: P1\n    file: src/%s.txt\n    text: the line is flawed\n---\n\nNot like this.\n' "$item" > "$docs/12-review.md"
    else
      printf -- '---\nverdict: APPROVED\n---\n\nGood.\n' > "$docs/12-review.md"
    fi ;;
  tester) printf -- '---\nresult: PASS\n---\n\nSeen.\n' > "$docs/13-test-report.md" ;;
esac
sleep 0.05
log end
"#;

/// Tests, CI and hooks of the projects: `project.sh WHAT SITE`.
pub(crate) const PROJECT: &str = r#"#!/bin/sh
set -eu
what=$1 site=$2
head=$(git rev-parse HEAD) tree=$(git rev-parse 'HEAD^{tree}')
log() { echo "$1 $what $ORCH_WORK_ITEM ${ORCH_ENVIRONMENT:--} $ORCH_RUN_DIR $head $tree ${2:--}" >> "$EFFECTS"; }
log start
result=ok
case $what in
  ci|test)
    sleep 0.06
    if grep -rqE '^(broken |<<<<<<< |=======$|>>>>>>> )' src; then result=red; fi ;;
  deploy|rollback)
    revision=$ORCH_REVISION
    [ "$what" = deploy ] || revision=$ORCH_PREVIOUS_REVISION
    place=$site/$ORCH_ENVIRONMENT
    mkdir -p "$place/releases/$revision"
    echo "$revision" > "$place/releases/$revision/index.html"
    echo "$revision" > "$place/releases/$revision/revision"
    sleep 0.$(( $$ % 3 + 1 ))
    ln -sfn "releases/$revision" "$place/next"
    mv -T "$place/next" "$place/current" ;;
  check)
    [ "$(cat "$site/$ORCH_ENVIRONMENT/current/revision")" = "$ORCH_REVISION" ] || result=red ;;
esac
log end $result
[ $result = ok ]
"#;
