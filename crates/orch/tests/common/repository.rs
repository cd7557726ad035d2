//! The repository of these tests: a default branch of its own name, names that are not ASCII and hold spaces, a binary
//! file, attributes, a merge; and the configuration a user makes of what `orch init` wrote.

use super::{CODE, CODE_TEXT, Setup, World};
use std::fmt::Write as _;
use std::fs;

impl World {
    pub(super) fn build_repository(&self) {
        let upstream = self.root.join("upstream");
        fs::create_dir(&upstream).unwrap();
        let git = |args: &[&str]| self.git(&upstream, args);
        git(&["init", "--quiet", "--initial-branch=trunk"]);
        let put = |path: &str, bytes: &[u8]| {
            let file = upstream.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        };
        put(CODE, CODE_TEXT.as_bytes());
        put("README.md", "# Лавка\n".as_bytes());
        put(".gitattributes", b"* text=auto eol=lf\n*.bin binary -diff\n*.sh text\n");
        put("данные/образ 1.bin", &[0, 159, 146, 150, 13, 10, 0, 255]);
        put(".gitignore", b"*.tmp\n");
        put(
            "test.sh",
            format!("set -eu\ntest -z \"${{DECOY_TOKEN:-}}\"\ngrep -q '^версия: ' '{CODE}'\necho tests passed\n")
                .as_bytes(),
        );
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--message=Начало"]);
        git(&["switch", "--quiet", "--create", "ветка"]);
        put("docs/заметка №1.md", b"one\n");
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--message=Side"]);
        git(&["switch", "--quiet", "trunk"]);
        put("README.md", "# Лавка\n\nТекст.\n".as_bytes());
        git(&["commit", "--quiet", "--all", "--message=Main"]);
        git(&["merge", "--quiet", "--no-ff", "--message=Слияние ветки", "ветка"]);
        self.git(&self.root, &["clone", "--quiet", &upstream.display().to_string(), &self.repo.display().to_string()]);
    }

    /// Makes of what `init` wrote what the test needs, line by line, as a user would in an editor.
    pub(super) fn configure(&self, setup: &Setup) {
        let written = fs::read_to_string(self.config_file()).unwrap();
        let program = format!(
            "[agents.programs.mine]\nkind = \"command\"\ncommand = [\"./agent.sh\"]\nenv = {{ MINE = \"yes\" }}\n{}\n",
            setup.program
        );
        let mut text = String::new();
        for line in written.lines() {
            match line {
                l if l.starts_with("listen = ") => writeln!(text, "listen = \"127.0.0.1:{}\"", self.port).unwrap(),
                l if l.starts_with("default = ") => text.push_str("default = \"mine\"\n"),
                // The clone's `origin` is a directory in which the branch is checked out: git takes no push to that.
                l if l.starts_with("repo = ") => {
                    writeln!(text, "repo = \"{}\"", setup.remote.as_deref().unwrap_or(".")).unwrap();
                }
                "forge = \"git\"" if setup.remote.is_none() => text.push_str("forge = \"local\"\n"),
                l if l.starts_with("pipeline = ") => writeln!(text, "pipeline = \"{}\"", setup.pipeline).unwrap(),
                "[[project]]" => writeln!(text, "[merge]\ndefer_delay_s = 1\n\n{program}\n[[project]]").unwrap(),
                "# ci = \"make ci\"" => text.push_str("ci = \"sh test.sh\"\n"),
                l => writeln!(text, "{l}").unwrap(),
            }
        }
        text.push_str(&setup.project);
        fs::write(self.config_file(), text).unwrap();
    }
}
