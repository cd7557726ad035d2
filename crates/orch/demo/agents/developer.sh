#!/bin/sh
# The scripted developer of this repository. It can do one job, the notice on the status page, and it works as people do:
# the first round makes it visible, the next ones read what was found and answer that, one by one, and nothing else.
set -eu

if ! grep -q 'site/notice.txt' "$ORCH_PROMPT_FILE"; then
  echo "this scripted developer can only put site/notice.txt on the page; give the task to another agent program" >&2
  exit 1
fi

# "id<TAB>place<TAB>text" of each finding in the brief: a heading `### R1 [P1] build.sh:12` and the text fenced below it.
findings() {
  awk '
    /^## / { inside = ($0 == "## Findings to answer"); next }
    !inside { next }
    /^### / { id = $2; place = $4; next }
    /^````*finding$/ { getline; print id "\t" place "\t" $0 }
  ' "$ORCH_PROMPT_FILE"
}

# Adds lines (standard input) after the line of a file that holds a text.
add_after() {
  file=$1 mark=$2 new=$(cat)
  MARK=$mark NEW=$new awk '{ print } index($0, ENVIRON["MARK"]) && !done { print ENVIRON["NEW"]; done = 1 }
    END { exit !done }' "$file" > "$TMPDIR/edit"
  cat "$TMPDIR/edit" > "$file"
}

show_the_notice() {
  echo 'Maintenance on Saturday, 22:00 UTC: logins & uploads may be slow.' > site/notice.txt
  echo '  @NOTICE@' | add_after site/index.html.in '<h1>'
  add_after build.sh 'site/index.html.in >' << 'BUILD'

# The notice replaces its line in the page; without one the line goes away.
notice=$(cat "${NOTICE_FILE:-site/notice.txt}")
# TODO: what if somebody writes a < into it?
echo "DEBUG notice is: $notice" >&2
NOTICE=$notice awk '
  !/@NOTICE@/ { print; next }
  ENVIRON["NOTICE"] != "" { print "  <p class=\"notice\">" ENVIRON["NOTICE"] "</p>" }
' "$out/index.html" > "$out/index.html.new"
mv "$out/index.html.new" "$out/index.html"
BUILD
}

escape_the_notice() {
  add_after build.sh '# TODO' << 'BUILD'
# It is text, not markup.
notice=$(printf '%s' "$notice" | sed -e 's/&/\&amp;/g' -e 's/</\&lt;/g' -e 's/>/\&gt;/g')
BUILD
  sed '/# TODO/d' build.sh > "$TMPDIR/edit"
  cat "$TMPDIR/edit" > build.sh
}

remove_debug_output() {
  sed '/echo "DEBUG/d' build.sh > "$TMPDIR/edit"
  cat "$TMPDIR/edit" > build.sh
}

test_the_notice() {
  if grep -q 'an empty notice is shown' test.sh; then return 0; fi
  add_after test.sh 'markup was taken for a revision' << 'TEST'

echo 'a <b> & c' > "$tmp/notice"
NOTICE_FILE=$tmp/notice sh build.sh "$tmp/notice-site"
grep -q '<p class="notice">a &lt;b&gt; &amp; c</p>' "$tmp/notice-site/index.html" || fail "the notice is missing or not escaped"
: > "$tmp/notice"
NOTICE_FILE=$tmp/notice sh build.sh "$tmp/quiet-site"
if grep -q '<p class="notice">' "$tmp/quiet-site/index.html"; then fail "an empty notice is shown"; fi
TEST
}

answers=
answer() { answers="$answers$1: $2. "; echo "$1: $2"; }

if ! grep -q '@NOTICE@' site/index.html.in; then
  show_the_notice
  answer work 'the notice of site/notice.txt is on the page'
fi

tab=$(printf '\t')
findings > "$TMPDIR/findings"
while IFS=$tab read -r id place text; do
  case $text in
    *TODO*) escape_the_notice && answer "$id" "the notice is escaped ($place)" ;;
    *'debug output'*) remove_debug_output && answer "$id" "the debug output is gone ($place)" ;;
    *'no test was'*) test_the_notice && answer "$id" 'test.sh checks the notice, escaped and empty' ;;
    *) answer "$id" "not changed: this scripted developer does not know how to ($place)" ;;
  esac
done < "$TMPDIR/findings"

sh test.sh || { echo 'the tests fail on what was made; it is left as it is for the checks to judge' >&2; answer tests 'they fail here'; }
printf '{"summary": "%s"}\n' "$answers" > "$ORCH_RESULT_FILE"
