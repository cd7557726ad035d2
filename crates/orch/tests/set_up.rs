//! The setup of a project through the real binary: in agents' working directories, and on the default branch for all later runs,
//! with a task that poisons whatever it can reach by the names it is given.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::{Setup, World};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const SETUP: &str = r#"set -eu
[ "$LOGIN" = canary-of-the-login ] && [ -z "${OWN:-}" ]
cache=$HOME/.cache/cc
mkdir -p "$cache" deps.tmp
if [ ! -e "$cache/lib.o" ]; then
    echo "compiled" >> ROOT/compiled
    echo 'int answer(void) { return 42; }' > "$TMPDIR/lib.c"
    cc -c "$TMPDIR/lib.c" -o "$cache/lib.o"
fi
[ -e deps.tmp/module ] || echo good > deps.tmp/module
# As pnpm and uv do: one file under two names.
ln -f "$cache/lib.o" linked.tmp
echo rewritten >> README.md
"#;

const TEST: &str = r#"set -eu
[ -z "${LOGIN:-}" ] && [ "$OWN" = canary-of-commands ]
[ "$(cat deps.tmp/module)" = good ]
[ ! -e "$HOME/.cargo/config.toml" ]
cache=$HOME/.cache/cc
echo 'int answer(void); int main(void) { return answer() != 42; }' > "$TMPDIR/main.c"
cc "$TMPDIR/main.c" "$cache/lib.o" -o "$TMPDIR/main"
"$TMPDIR/main"
POISON
"#;

/// What a branch's tests, and its agent, leave wherever the others' would look.
const POISON: &str = r#"echo evil > deps.tmp/module
mkdir -p "$HOME/.cargo" && echo '[build]' > "$HOME/.cargo/config.toml"
echo 'int answer(void) { return 13; }' > "$TMPDIR/evil.c"
cc -c "$TMPDIR/evil.c" -o "$HOME/.cache/cc/lib.o"
"#;

#[test]
fn a_compilers_cache_poisoned_by_one_task_is_clean_for_the_next() {
    let agent = format!(
        r#"developer() {{
            [ "$(cat deps.tmp/module)" = good ] && [ -e "$HOME/.cache/cc/lib.o" ] && [ -z "${{OWN:-}}${{LOGIN:-}}" ]
            grep -q rewritten README.md && exit 9
            {POISON}
            echo "by $ORCH_WORK_ITEM" > "$ORCH_WORK_ITEM.txt"
        }}"#
    );
    let mut world = World::new(&Setup { agent, ..Setup::default() });
    let root = world.root.display().to_string();
    for (name, text) in [("setup", SETUP), ("test", TEST)] {
        let text = text.replace("ROOT", &root).replace("POISON", POISON);
        fs::write(world.root.join(format!("{name}.sh")), text).unwrap();
    }
    for (name, key) in [("own", "OWN=canary-of-commands"), ("login", "LOGIN=canary-of-the-login")] {
        let file = world.repo.join(format!("{name}.env"));
        fs::write(&file, format!("{key}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    world.edit_config(
        "[project.commands]\n",
        &format!(
            "[project.commands]\nsetup = \"sh {root}/setup.sh\"\nenv_file = \"own.env\"\nsetup_env_file = \"login.env\"\n\
             cache = [\"~\", \"deps.tmp\"]\n"
        ),
    );
    world.edit_config("ci = \"sh test.sh\"", &format!("ci = \"sh {root}/test.sh\""));
    world.orch(&["config", "check"]).ok();
    world.start();
    let mut compiled = Vec::new();
    for title in ["One", "Two"] {
        let id = world.task(title);
        world.wait(&id, &["done"]);
        assert_eq!(world.show(&id)["round"], 0, "{}", world.story(&id));
        compiled.push(fs::read_to_string(world.root.join("compiled")).unwrap().lines().count());
    }
    // While the default branch is judged, by each of its two commands, and for all runs after that.
    assert_eq!(compiled, [3, 3]);
    let landed = world.forge_git(&["log", "--format=", "--name-only", &format!("{}..trunk", world.tip)]);
    assert!(!landed.contains("README") && !landed.contains("deps.tmp") && landed.contains(".txt"), "{landed}");
    world.terminate();
    for run in world.runs() {
        let spec = fs::read_to_string(run.dir.join("spec.json")).unwrap();
        assert!(!spec.contains("canary"), "{}: {spec}", run.name);
    }
}
