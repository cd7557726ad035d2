#!/bin/sh
# Renders the site: sh build.sh DIR [REVISION] [ENVIRONMENT]
set -eu
cd "$(dirname "$0")"
out=${1:?usage: build.sh DIR [REVISION] [ENVIRONMENT]}
revision=${2:-unknown}
environment=${3:-local}

# Both go into the page as they are: nothing but plain names may.
for word in "$revision" "$environment"; do
  case $word in
    '' | *[!A-Za-z0-9._-]*) echo "build.sh: not a plain name: $word" >&2; exit 2 ;;
  esac
done

mkdir -p "$out"
sed -e "s/@REVISION@/$revision/g" -e "s/@ENVIRONMENT@/$environment/g" site/index.html.in > "$out/index.html"
printf '%s\n' "$revision" > "$out/revision"
