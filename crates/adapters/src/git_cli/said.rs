//! What git says, for people and for retries: in one line, without credentials, and what kind of fault it is. Decides by git's
//! own words, in English (`LC_ALL=C`).

use orch_core::fault_code::FaultCode;
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

/// Words of git, and which fault they tell of.
type Words = (FaultKind, FaultCode, &'static [&'static str]);

/// Git's own words (`LC_ALL=C`), the particular ones first: git adds "could not read from remote repository" to nearly
/// everything.
const KNOWN: &[Words] = &[
    (FaultKind::Gone, FaultCode::NoSuchBranch, &["remote ref does not exist"]),
    (
        FaultKind::Denied,
        FaultCode::NotLetIn,
        &[
            "authentication failed",
            "could not read username",
            "could not read password",
            "permission denied (",
            "host key verification failed",
            "terminal prompts disabled",
            "returned error: 401",
        ],
    ),
    (FaultKind::Denied, FaultCode::Denied, &["returned error: 403", "access denied", "not authorized"]),
    (
        FaultKind::Transient,
        FaultCode::NoRoom,
        &[
            "no space left",
            "cannot allocate memory",
            "too many open files",
            "disk quota exceeded",
            "resource temporarily unavailable",
            "cannot fork",
            "unable to fork",
        ],
    ),
    (
        FaultKind::Transient,
        FaultCode::Unreachable,
        &[
            "could not resolve host",
            "could not resolve hostname",
            "failed to connect",
            "couldn't connect",
            "connection refused",
            "unable to connect",
            "unreachable",
        ],
    ),
    (FaultKind::Transient, FaultCode::TimedOut, &["timed out", "returned error: 408"]),
    (FaultKind::Transient, FaultCode::Limited, &["returned error: 429"]),
    (FaultKind::Transient, FaultCode::Overloaded, &["returned error: 5"]),
    // A git of the process before may still be at work where it died.
    (FaultKind::Transient, FaultCode::Busy, &[".lock': file exists", "cannot lock ref", "could not lock config file"]),
    (
        FaultKind::Transient,
        FaultCode::Killed,
        // A process that git had started was killed, and the machine kills again as long as it has no memory.
        &[
            "died of signal",
            "died with error",
            "invalid index-pack output",
            "expected flush after",
            "index-pack failed",
            "pack-objects died",
        ],
    ),
    (
        FaultKind::Transient,
        FaultCode::Unavailable,
        &[
            "connection reset",
            "connection closed",
            "hung up unexpectedly",
            "early eof",
            "rpc failed",
            "empty reply",
            "unexpected disconnect",
            "temporary failure",
            "temporarily unavailable",
            "input/output error",
        ],
    ),
];

/// Git's words for a full disk where it does not add the system's. With the system's, those decide.
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

/// What is not there, where nothing else is said.
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

/// Ends every push that failed, and names the remote: the words of its address tell of no fault.
const TRAILER: &str = "error: failed to push some refs to ";

/// Which fault a failure is.
pub(crate) fn classify(stderr: &[u8]) -> (FaultKind, FaultCode) {
    let text = String::from_utf8_lossy(stderr).to_ascii_lowercase();
    let said: Vec<&str> = text.lines().filter(|line| !line.starts_with(TRAILER)).collect();
    let says = |words: &[&str]| said.iter().any(|line| words.iter().any(|w| line.contains(w)));
    if let Some((kind, code, _)) = KNOWN.iter().find(|(_, _, words)| says(words)) {
        return (*kind, *code);
    }
    if says(WRITE) && !says(STAYS) {
        return (FaultKind::Transient, FaultCode::NoRoom);
    }
    if says(GONE) { (FaultKind::Gone, FaultCode::NotFound) } else { (FaultKind::Permanent, FaultCode::Failed) }
}

/// Did a git fail because another one holds a lock?
pub(crate) fn met_a_lock(stderr: &[u8]) -> bool {
    String::from_utf8_lossy(stderr).contains(".lock': File exists")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_apart_by_gits_own_words() {
        let cases: &[(&str, FaultKind, FaultCode)] = &[
            (
                "fatal: unable to access 'http://h/': Failed to connect to h port 1",
                FaultKind::Transient,
                FaultCode::Unreachable,
            ),
            (
                "fatal: unable to access 'http://h/': The requested URL returned error: 503",
                FaultKind::Transient,
                FaultCode::Overloaded,
            ),
            (
                "error: RPC failed; curl 56\nfatal: the remote end hung up unexpectedly",
                FaultKind::Transient,
                FaultCode::Unavailable,
            ),
            ("fatal: Authentication failed for 'http://h/'", FaultKind::Denied, FaultCode::NotLetIn),
            (
                "fatal: could not read Username for 'http://h': terminal prompts disabled",
                FaultKind::Denied,
                FaultCode::NotLetIn,
            ),
            (
                "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
                FaultKind::Denied,
                FaultCode::NotLetIn,
            ),
            (
                "fatal: '/x' does not appear to be a git repository\nfatal: Could not read from",
                FaultKind::Gone,
                FaultCode::NotFound,
            ),
            ("fatal: repository 'http://h/x/' not found", FaultKind::Gone, FaultCode::NotFound),
            ("fatal: refusing to merge unrelated histories", FaultKind::Permanent, FaultCode::Failed),
            (
                "error: failed to write new configuration file /x/.git/config.lock",
                FaultKind::Transient,
                FaultCode::NoRoom,
            ),
            ("error: could not lock config file /x/.git/config: File exists", FaultKind::Transient, FaultCode::Busy),
            (
                "fatal: cannot fork() for remote-https: Resource temporarily unavailable",
                FaultKind::Transient,
                FaultCode::NoRoom,
            ),
            ("error: unable to write file /x/y: Permission denied", FaultKind::Permanent, FaultCode::Failed),
            ("error: pack-objects died of signal 9\nfatal: could not fetch", FaultKind::Transient, FaultCode::Killed),
            ("fatal: git-pack-objects died with error.", FaultKind::Transient, FaultCode::Killed),
            ("fatal: fetch-pack: invalid index-pack output", FaultKind::Transient, FaultCode::Killed),
            ("error: unable to delete 'x': remote ref does not exist", FaultKind::Gone, FaultCode::NoSuchBranch),
            (
                "error: unable to delete 'x': remote ref does not exist\nerror: failed to push some refs to '/unreachable'",
                FaultKind::Gone,
                FaultCode::NoSuchBranch,
            ),
            (
                " ! [remote rejected] a -> a (hook declined)\nerror: failed to push some refs to 'ssh://unreachable/access denied'",
                FaultKind::Permanent,
                FaultCode::Failed,
            ),
            ("error: x/index.lock': File exists. No space left on device", FaultKind::Transient, FaultCode::NoRoom),
            ("Killed\nfatal: expected flush after ref listing", FaultKind::Transient, FaultCode::Killed),
        ];
        for (text, kind, code) in cases {
            assert_eq!(classify(text.as_bytes()), (*kind, *code), "{text}");
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
