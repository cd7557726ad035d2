#!/bin/sh
# Is the revision that was asked for live, and is its page whole?
set -eu
: "${DEMO_SITE_DIR:?}" "${ORCH_ENVIRONMENT:?}" "${ORCH_REVISION:?}"
site=$DEMO_SITE_DIR/$ORCH_ENVIRONMENT/current
live=$(cat "$site/revision" 2>/dev/null) || { echo "check.sh: nothing is live in $ORCH_ENVIRONMENT" >&2; exit 1; }
if [ "$live" != "$ORCH_REVISION" ]; then
  echo "check.sh: $ORCH_ENVIRONMENT runs $live, not $ORCH_REVISION" >&2
  exit 1
fi
grep -q "$ORCH_REVISION" "$site/index.html" || { echo "check.sh: the page does not name its revision" >&2; exit 1; }
grep -q '</html>' "$site/index.html" || { echo "check.sh: the page is cut off" >&2; exit 1; }
echo "healthy: $ORCH_ENVIRONMENT runs $live"
