#!/bin/sh
# Puts the checked-out revision live: a directory per revision, and a link `current` that is replaced in one step.
set -eu
cd "$(dirname "$0")"
: "${DEMO_SITE_DIR:?set it to the directory the sites are served from}" "${ORCH_REVISION:?}"
case ${ORCH_ENVIRONMENT:?} in
  staging | production) ;;
  *) echo "deploy.sh: unknown environment $ORCH_ENVIRONMENT" >&2; exit 2 ;;
esac
if head=$(git rev-parse HEAD 2>/dev/null) && [ "$head" != "$ORCH_REVISION" ]; then
  echo "deploy.sh: $head is checked out, $ORCH_REVISION was asked for" >&2
  exit 1
fi

home=$DEMO_SITE_DIR/$ORCH_ENVIRONMENT
release=$home/releases/$ORCH_REVISION
mkdir -p "$home/releases"
rm -rf "$release.partial"
sh build.sh "$release.partial" "$ORCH_REVISION" "$ORCH_ENVIRONMENT"
if [ -d "$release" ]; then
  rm -rf "$release.partial"
else
  mv "$release.partial" "$release"
fi
rm -f "$home/current.new"
ln -s "releases/$ORCH_REVISION" "$home/current.new"
mv -T "$home/current.new" "$home/current"
echo "$ORCH_ENVIRONMENT runs $ORCH_REVISION"
