#!/bin/sh
# Puts the revision that ran before live again. It must have been live here once.
set -eu
: "${DEMO_SITE_DIR:?}" "${ORCH_ENVIRONMENT:?}"
back=${ORCH_PREVIOUS_REVISION:?there is no previous revision to go back to}
home=$DEMO_SITE_DIR/$ORCH_ENVIRONMENT
[ -f "$home/releases/$back/index.html" ] || { echo "rollback.sh: $back was never live in $ORCH_ENVIRONMENT" >&2; exit 1; }
rm -f "$home/current.new"
ln -s "releases/$back" "$home/current.new"
mv -T "$home/current.new" "$home/current"
echo "$ORCH_ENVIRONMENT is back on $back"
