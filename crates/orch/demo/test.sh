#!/bin/sh
# Builds the site into a temporary directory and checks it. Exit 0 only if every check holds.
set -eu
cd "$(dirname "$0")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

fail() { echo "FAIL: $*" >&2; exit 1; }

sh build.sh "$tmp/site" abc123 staging || fail "the site does not build"
page=$tmp/site/index.html
grep -q '<h1>' "$page" || fail "the page has no heading"
grep -q '</html>' "$page" || fail "the page is cut off"
grep -q 'staging, revision abc123' "$page" || fail "the page does not name environment and revision"
if grep -q '@[A-Z]*@' "$page"; then fail "a placeholder was left in the page"; fi
[ "$(cat "$tmp/site/revision")" = abc123 ] || fail "the revision file is wrong"
if sh build.sh "$tmp/evil" '"><script>' 2>/dev/null; then fail "markup was taken for a revision"; fi

echo "ok: every check passed"
