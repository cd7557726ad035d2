//! What git says, for people and for retries: in one line, without credentials, and what kind of fault it is. Decides by git's
//! own words, in English (`LC_ALL=C`).

use orch_core::plain::shown_line;
use orch_core::verdict::FaultKind;

/// What git said, in one line, without credentials, short enough for a journal. A call that git does not understand is
/// answered with the whole usage of the command: of that, only the reason before it stays, or else its first line.
pub(crate) fn told(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let said = |line: &&str| !line.is_empty() && !line.starts_with("hint:");
    let mut lines: Vec<&str> = text.split(['\n', '\r']).map(str::trim).filter(said).collect();
    if let Some(usage) = lines.iter().position(|line| line.starts_with("usage: ")) {
        lines.truncate(usage.max(1));
    }
    let joined = mask(&lines.join("; "));
    let clean = shown_line(&joined);
    match clean.char_indices().nth(1500) {
        Some((cut, _)) => format!("{}…", &clean[..cut]),
        None => clean,
    }
}

/// Replaces what stands between `://` and `@`.
pub(crate) fn mask(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let authority = after.find(['/', ' ', '\'', '"', '\n']).unwrap_or(after.len());
        rest = match after[..authority].rfind('@') {
            Some(end) => {
                out.push_str("***");
                &after[end..]
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

/// Kind of a failure, by git's own words (`LC_ALL=C`). Order matters: git adds "could not read from remote repository"
/// to nearly everything, so the particular words come first.
pub(crate) fn classify(stderr: &[u8]) -> FaultKind {
    const DENIED: &[&str] = &[
        "authentication failed",
        "could not read username",
        "could not read password",
        "permission denied (",
        "host key verification failed",
        "terminal prompts disabled",
        "returned error: 401",
        "returned error: 403",
        "access denied",
        "not authorized",
    ];
    const GONE: &[&str] = &[
        "repository not found",
        "does not appear to be a git repository",
        "not a git repository",
        "returned error: 404",
        "' not found",
        "bad object",
        "not a valid object",
        "not a valid commit",
        "unknown revision",
        "not our ref",
        "not something we can merge",
        "not a tree object",
    ];
    const TRANSIENT: &[&str] = &[
        "could not resolve host",
        "could not resolve hostname",
        "failed to connect",
        "couldn't connect",
        "connection refused",
        "connection reset",
        "connection timed out",
        "connection closed",
        "timed out",
        "unable to connect",
        "unreachable",
        "hung up unexpectedly",
        "early eof",
        "rpc failed",
        "returned error: 408",
        "returned error: 429",
        "returned error: 5",
        "empty reply",
        "unexpected disconnect",
        "temporary failure",
        "temporarily unavailable",
        ".lock': file exists",
        "cannot lock ref",
        // A git of the process before may still be at work where it died.
        "could not lock config file",
        "no space left",
        "cannot allocate memory",
        "too many open files",
        "resource temporarily unavailable",
        "input/output error",
        "disk quota exceeded",
        "cannot fork",
        "unable to fork",
        // A process that git had started was killed, and the machine kills again as long as it has no memory.
        "died of signal",
        "died with error",
        "invalid index-pack output",
        "expected flush after",
        "index-pack failed",
        "pack-objects died",
    ];
    // Git's words for a full disk where it does not add the system's. With the system's, those decide.
    const WRITE: &[&str] = &[
        "failed to write new configuration file",
        "could not write config file",
        "unable to write new index file",
        "unable to write file",
        "unable to create temporary file",
        "file write error",
        "write failure",
        "write error",
    ];
    const STAYS: &[&str] = &["permission denied", "read-only file system", "not a directory", "is a directory"];
    let text = String::from_utf8_lossy(stderr).to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|w| text.contains(w));
    if says(DENIED) {
        FaultKind::Denied
    } else if says(TRANSIENT) || says(WRITE) && !says(STAYS) {
        FaultKind::Transient
    } else if says(GONE) {
        FaultKind::Gone
    } else {
        FaultKind::Permanent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_apart_by_gits_own_words() {
        let cases: &[(&str, FaultKind)] = &[
            ("fatal: unable to access 'http://h/': Failed to connect to h port 1", FaultKind::Transient),
            ("fatal: unable to access 'http://h/': The requested URL returned error: 503", FaultKind::Transient),
            ("error: RPC failed; curl 56\nfatal: the remote end hung up unexpectedly", FaultKind::Transient),
            ("fatal: Authentication failed for 'http://h/'", FaultKind::Denied),
            ("fatal: could not read Username for 'http://h': terminal prompts disabled", FaultKind::Denied),
            ("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", FaultKind::Denied),
            ("fatal: '/x' does not appear to be a git repository\nfatal: Could not read from", FaultKind::Gone),
            ("fatal: repository 'http://h/x/' not found", FaultKind::Gone),
            ("fatal: refusing to merge unrelated histories", FaultKind::Permanent),
            ("error: failed to write new configuration file /x/.git/config.lock", FaultKind::Transient),
            ("error: could not lock config file /x/.git/config: File exists", FaultKind::Transient),
            ("fatal: cannot fork() for remote-https: Resource temporarily unavailable", FaultKind::Transient),
            ("error: unable to write file /x/y: Permission denied", FaultKind::Permanent),
            ("error: pack-objects died of signal 9\nfatal: could not fetch", FaultKind::Transient),
            ("fatal: git-pack-objects died with error.", FaultKind::Transient),
            ("fatal: fetch-pack: invalid index-pack output", FaultKind::Transient),
            ("Killed\nfatal: expected flush after ref listing", FaultKind::Transient),
        ];
        for (text, kind) in cases {
            assert_eq!(classify(text.as_bytes()), *kind, "{text}");
        }
    }

    #[test]
    fn a_call_git_does_not_know_is_answered_with_the_reason_and_not_with_the_whole_usage() {
        let said = told(
            b"error: unknown option `merge-base=1'\nusage: git merge-tree [--write-tree] <a> <b>\n   or: git x\n\n    -z\n",
        );
        assert_eq!(said, "error: unknown option `merge-base=1'");
        assert_eq!(told(b"usage: git x\n    -z  records end with NUL\n"), "usage: git x");
    }

    #[test]
    fn a_token_in_an_address_is_never_told() {
        let said =
            told(b"hint: x\nfatal: unable to access 'https://bot:s3cret@h/o/r.git/': no\nfatal: see https://h/a@b");
        assert_eq!(said, "fatal: unable to access 'https://***@h/o/r.git/': no; fatal: see https://h/a@b");
    }
}
