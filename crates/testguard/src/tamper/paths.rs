//! Paths whose change a person has to approve: what judges a change, and what tells an agent how to work, must not be
//! rewritten by the change itself. Patterns are those of a `.gitignore`, matched without regard to case, because a file
//! `Claude.md` is read as `CLAUDE.md` on many machines. It may never miss a path because it is written another way.

/// Protected unless a project says otherwise.
pub const PROTECTED: &[&str] = &[
    // What runs in CI, and where.
    "**/.github/workflows/**",
    "**/.github/actions/**",
    "**/.gitea/workflows/**",
    "**/.gitea/actions/**",
    "**/.forgejo/workflows/**",
    "**/.forgejo/actions/**",
    "**/.gitlab/ci/**",
    ".gitlab-ci.yml",
    ".gitlab-ci.yaml",
    "**/.circleci/**",
    "**/.buildkite/**",
    "**/.woodpecker*/**",
    ".woodpecker.yml",
    ".woodpecker.yaml",
    ".drone.yml",
    ".drone.yaml",
    "/.ci/**",
    "azure-pipelines.yml",
    "azure-pipelines.yaml",
    "/.azure-pipelines/**",
    "bitbucket-pipelines.yml",
    ".travis.yml",
    "appveyor.yml",
    ".cirrus.yml",
    "Jenkinsfile",
    "Jenkinsfile.*",
    "/.tekton/**",
    "buildspec.yml",
    "buildspec.yaml",
    ".pre-commit-config.yaml",
    ".pre-commit-config.yml",
    "**/.husky/**",
    "lefthook.yml",
    "lefthook.yaml",
    // What agents are told, and what their programs run by themselves.
    "AGENTS.md",
    "AGENTS.override.md",
    "AGENT.md",
    "CLAUDE.md",
    "CLAUDE.local.md",
    "GEMINI.md",
    "**/.claude/**",
    "**/.codex/**",
    "**/.gemini/**",
    "**/.cursor/**",
    ".cursorrules",
    ".windsurfrules",
    ".clinerules",
    "**/.clinerules/**",
    "**/.roo/**",
    "**/.kiro/**",
    "**/.opencode/**",
    "opencode.json",
    "opencode.jsonc",
    ".mcp.json",
    "**/.github/copilot-instructions.md",
    "**/.github/instructions/**",
    "**/.github/prompts/**",
    "**/.github/chatmodes/**",
    "**/.github/agents/**",
    "**/.openclaw/**",
    "**/.orch/**",
    "orch.toml",
    // What scanners are told to overlook.
    ".gitleaks.toml",
    ".gitleaksignore",
    "gitleaks.toml",
    ".betterleaks*",
    ".secrets.baseline",
    ".trufflehog*",
    ".gitguardian.yaml",
    ".gitguardian.yml",
    ".ggshield.yaml",
    ".trivyignore*",
    ".semgrepignore",
    "osv-scanner.toml",
    "**/.cargo/audit.toml",
    // Who has to approve.
    "CODEOWNERS",
    // What git shows of a change, and what else it fetches: `* -diff` hides a file, a submodule brings in code unseen.
    ".gitattributes",
    ".gitmodules",
];

/// The pattern that protects a path, if one does. The last one that matches decides; one that begins with `!` frees.
///
/// `*` and `?` stand for anything but `/`, `**` for any number of directories. A pattern without a `/`, except at its
/// end, matches at any depth; with one it is read from the root. What matches a directory matches everything in it.
/// A repository that defines its own list should begin with `PROTECTED`.
pub fn protected<'p>(path: &str, patterns: &[&'p str]) -> Option<&'p str> {
    let parts: Vec<String> = parts(path);
    let found = patterns.iter().rev().find(|pattern| matches(pattern.strip_prefix('!').unwrap_or(pattern), &parts))?;
    (!found.starts_with('!')).then_some(found)
}

/// The pattern that protects a path or what may be found below it: a link or a submodule brings in a whole directory
/// that no list of changes shows.
pub fn protected_below<'p>(path: &str, patterns: &[&'p str]) -> Option<&'p str> {
    let parts: Vec<String> = parts(path);
    let inside = [&parts[..], &["*".to_owned()]].concat();
    let fits = |pattern: &&&str| match pattern.strip_prefix('!') {
        Some(freed) => matches(freed, &inside),
        None => matches(pattern, &parts) || matches(pattern, &inside) || leads_to(pattern, &parts),
    };
    let found = patterns.iter().rev().find(fits)?;
    (!found.starts_with('!')).then_some(found)
}

/// Does a pattern free this path, or all that is below it, by name?
pub fn freed(path: &str, patterns: &[&str]) -> bool {
    let parts: Vec<String> = parts(path);
    let inside = [&parts[..], &["*".to_owned()]].concat();
    let fits = |pattern: &&&str| {
        let bare = pattern.strip_prefix('!').unwrap_or(pattern);
        matches(bare, &parts) || matches(bare, &inside)
    };
    patterns.iter().rev().find(fits).is_some_and(|pattern| pattern.starts_with('!'))
}

/// Is this path the beginning of what a pattern protects? What `**` alone makes of it does not count: any directory
/// may hold a `CLAUDE.md`, and that file has a name of its own wherever it really is.
fn leads_to(pattern: &str, path: &[String]) -> bool {
    let whole = pattern.trim();
    let wanted: Vec<String> = parts(whole);
    if whole.starts_with('#') || path.is_empty() {
        return false;
    }
    (1..wanted.len()).any(|n| wanted[..n].iter().any(|w| w != "**") && reach(&wanted[..n], path)[path.len()])
}

/// Directories and name in small letters; `.`, empty parts and backslashes as separators are no way around a pattern.
fn parts(path: &str) -> Vec<String> {
    path.split(['/', '\\']).filter(|p| !p.is_empty() && *p != ".").map(str::to_lowercase).collect()
}

fn matches(pattern: &str, path: &[String]) -> bool {
    let whole = pattern.trim();
    if whole.is_empty() || whole.starts_with('#') {
        return false;
    }
    let anchored = whole.trim_end_matches('/').contains('/');
    let mut wanted: Vec<String> = parts(whole);
    if !anchored {
        wanted.insert(0, "**".to_owned());
    }
    // `dir/**` means what is in the directory; `dir` and `dir/` the directory with everything in it.
    let below = wanted.last().is_some_and(|last| last == "**");
    let reached = reach(if below { &wanted[..wanted.len() - 1] } else { &wanted }, path);
    let inside = reached[..path.len()].contains(&true);
    inside || (reached[path.len()] && !below && !whole.ends_with('/'))
}

/// Which beginnings of the path, by their number of parts, the whole pattern fits. A table instead of recursion, so that
/// no pattern takes long.
fn reach(wanted: &[String], path: &[String]) -> Vec<bool> {
    let mut row: Vec<bool> = (0..=path.len()).map(|n| n == 0).collect();
    for want in wanted {
        let mut next = vec![false; path.len() + 1];
        if want == "**" {
            let first = row.iter().position(|reached| *reached).unwrap_or(path.len() + 1);
            next[first.min(path.len() + 1)..].fill(true);
        } else {
            for (at, part) in path.iter().enumerate().filter(|(at, _)| row[*at]) {
                next[at + 1] = glob(want.as_bytes(), part.as_bytes());
            }
        }
        row = next;
    }
    row
}

/// `*` and `?` within one part; goes back to the last `*` only, so it is linear for each of them.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == text[t] || pattern[p] == b'?') {
            (p, t) = (p + 1, t + 1);
        } else if let Some((sp, st)) = star {
            (p, t) = (sp + 1, st + 1);
            star = Some((sp, st + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_judges_and_what_instructs_is_protected() {
        for path in [
            ".github/workflows/ci.yml",
            "packages/a/.github/workflows/x/y.yml",
            ".gitea/workflows/ci.yaml",
            ".forgejo/workflows/ci.yaml",
            ".gitlab-ci.yml",
            ".circleci/config.yml",
            "Jenkinsfile",
            "deploy/Jenkinsfile.prod",
            ".woodpecker/build.yml",
            ".woodpecker-prod/build.yml",
            ".buildkite/pipeline.yml",
            ".ci/run.sh",
            "AGENTS.md",
            "packages/shop/CLAUDE.md",
            "Claude.MD",
            "./CLAUDE.md",
            "docs//claude.md",
            ".claude/settings.json",
            "a/b/.Claude/hooks/x.sh",
            ".codex/config.toml",
            ".cursor/rules/a.mdc",
            ".github/copilot-instructions.md",
            ".openclaw/agents/reviewer.md",
            ".orch/agents/tester.md",
            "orch.toml",
            ".gitleaks.toml",
            ".gitleaksignore",
            ".betterleaks.yaml",
            ".secrets.baseline",
            ".husky/pre-commit",
            ".github/prompts/review.prompt.md",
            ".forgejo/actions/setup/action.yml",
            "web/.trivyignore.yaml",
            "osv-scanner.toml",
            ".cargo/audit.toml",
            "CODEOWNERS",
            ".github/CODEOWNERS",
            "docs/codeowners",
            "src/.gitattributes",
            ".gitmodules",
        ] {
            assert!(protected(path, PROTECTED).is_some(), "{path}");
        }
        for path in [
            "src/main.rs",
            "docs/AGENTS.md.txt",
            "src/agents.rs",
            "github/workflows/ci.yml",
            ".github/ISSUE_TEMPLATE/bug.md",
            "src/ci/run.sh",
            "src/.ci/run.sh",
            "my-orch.toml",
            "orch.toml.example",
            "claude/README.md",
            "",
            "/",
        ] {
            assert_eq!(protected(path, PROTECTED), None, "{path}");
        }
    }

    #[test]
    fn patterns_are_those_of_a_gitignore() {
        for (pattern, path, is) in [
            ("*.lock", "a/b/Cargo.lock", true),
            ("/Cargo.lock", "Cargo.lock", true),
            ("/Cargo.lock", "a/Cargo.lock", false),
            ("a/b", "a/b", true),
            ("a/b", "a/b/c/d", true),
            ("a/b", "x/a/b", false),
            ("ci/", "x/ci/run.sh", true),
            ("ci/", "x/ci", false),
            ("ci", "x/ci", true),
            ("a/**", "a", false),
            ("a/**", "a/b/c", true),
            ("**/b", "b", true),
            ("**/b", "a/x/b", true),
            ("a/**/c", "a/c", true),
            ("a/**/c", "a/x/y/c", true),
            ("a/**/c", "a/x/y/d", false),
            ("a*c", "abbc", true),
            ("a*c", "ab/c", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("**", "anything/at/all", true),
            ("#a", "#a", false),
            ("", "a", false),
        ] {
            assert_eq!(protected(path, &[pattern]).is_some(), is, "{pattern} {path}");
        }
    }

    #[test]
    fn what_leads_elsewhere_is_protected_as_all_that_may_be_below_it() {
        for path in [".claude", "packages/a/.claude", ".github", ".github/workflows", ".ci", ".woodpecker", "CLAUDE.md"]
        {
            assert!(protected_below(path, PROTECTED).is_some(), "{path}");
        }
        for path in [".claude/hooks", "a/.github/workflows/x"] {
            assert!(protected_below(path, PROTECTED).is_some(), "{path}");
        }
        for path in ["docs", "src/ci", "a/.ci", "github", "", "README.md", "vendor/lib"] {
            assert_eq!(protected_below(path, PROTECTED), None, "{path}");
        }
        assert!(freed("vendor/lib", &["vendor/**", "!vendor/lib/**"]) && freed("vendor/lib", &["!vendor/lib"]));
        assert!(!freed("vendor/lib", &["!vendor/other/**"]) && !freed("vendor/lib", &["!vendor/**", "vendor/lib"]));
        assert!(!freed("vendor/lib", PROTECTED) && !freed("vendor/lib", &[]));
        assert_eq!(protected_below("a/x", &["a/**/c"]), Some("a/**/c"));
        assert_eq!(protected_below("a/x", &["a/**/c", "!a/x/**"]), None);
        assert_eq!(protected_below("a", &["a/**", "!a/x/**"]), Some("a/**"));
        assert_eq!(protected_below("b", &["a/**/c", "# b/c"]), None);
    }

    #[test]
    fn the_last_pattern_that_matches_decides_and_is_named() {
        let patterns = ["*.md", "!docs/**", "docs/AGENTS.md"];
        assert_eq!(protected("README.md", &patterns), Some("*.md"));
        assert_eq!(protected("docs/a.md", &patterns), None);
        assert_eq!(protected("docs/agents.md", &patterns), Some("docs/AGENTS.md"));
    }

    #[test]
    fn no_pattern_takes_long() {
        let pattern = format!("{}c", "**/a*/".repeat(200));
        let path = "a/".repeat(400);
        assert!(protected(&path, &[&pattern, &"*a".repeat(500)]).is_none());
    }
}
