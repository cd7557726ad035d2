//! Can runs be enclosed on this machine? Asked by doing it once, because what forbids it is told by no version: distributions,
//! containers and kernels each have a switch of their own.

use crate::sandbox::{Kind, Places, Sandbox};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What encloses runs here.
    pub kind: Kind,
    /// For people: its version and place, or why there is none.
    pub detail: String,
    /// What a person does about that.
    pub fix: Option<String>,
}

/// Ubuntu's profile, as its release notes for 24.04 give it for other programs.
const PROFILE: &str = "write to /etc/apparmor.d/bwrap: `abi <abi/4.0>, include <tunables/global> profile bwrap /usr/bin/bwrap flags=(unconfined) \
                       { userns, }`, then `apparmor_parser -r /etc/apparmor.d/bwrap`";

/// Looks for bubblewrap on `path` and tries it.
pub fn probe(path: &str) -> Found {
    let none = |detail: String, fix: &str| Found { kind: Kind::Off, detail, fix: Some(fix.to_owned()) };
    let Some(program) = std::env::split_paths(path).map(|dir| dir.join("bwrap")).find(|file| file.is_file()) else {
        return none("bwrap is not found on PATH".into(), "install bubblewrap (`apt-get install bubblewrap`)");
    };
    let version = said(Command::new(&program).arg("--version")).unwrap_or_default();
    let version = version.trim().trim_start_matches("bubblewrap ").to_owned();
    let mut why = String::new();
    // Its last rung is of 0.8; one without it is a sandbox, too.
    for last in [true, false] {
        let kind = Kind::Bwrap { program: program.clone(), last };
        match trial(&kind) {
            Ok(()) => {
                let mut detail = format!("bwrap {version}, {}", program.display());
                let mut fix = None;
                if rustix::process::geteuid().is_root() {
                    detail += "; orch runs as root, and what breaks out of a sandbox would be root, too";
                    fix = Some("run orch as a user of its own".to_owned());
                }
                return Found { kind, detail, fix };
            }
            Err(said) => why = said,
        }
    }
    let text = |file: &str| std::fs::read_to_string(file).unwrap_or_default().trim().to_owned();
    let (cause, fix) = cause(&why, &text);
    none(format!("bwrap {version} cannot enclose anything here: {cause}"), &fix)
}

fn said(command: &mut Command) -> Option<String> {
    let output = command.env_clear().stdin(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn trial(kind: &Kind) -> Result<(), String> {
    let sandbox = Sandbox { kind: kind.clone(), ..Sandbox::default() };
    let places = Places { cwd: PathBuf::from("/tmp"), ..Places::default() };
    let argv = sandbox.bwrap(&places, std::iter::empty(), None);
    let output = Command::new(&argv[0])
        .args(&argv[1..])
        .arg("true")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(e) => Err(e.to_string()),
    }
}

/// What forbids it, and what a person does about that, by the kernel's own switches.
fn cause(said: &str, file: &dyn Fn(&str) -> String) -> (String, String) {
    let is = |path: &str, value: &str| file(path) == value;
    if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        return ("AppArmor forbids user namespaces (Ubuntu 23.10 and later)".into(), PROFILE.to_owned());
    }
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        let fix = "`sysctl -w kernel.unprivileged_userns_clone=1`, and the same in /etc/sysctl.d/";
        return ("the kernel forbids user namespaces to plain users".into(), fix.into());
    }
    if is("/proc/sys/user/max_user_namespaces", "0") {
        return ("no user namespace is allowed".into(), "`sysctl -w user.max_user_namespaces=15000`".into());
    }
    let filtered = file("/proc/self/status").lines().any(|line| line.split_whitespace().eq(["Seccomp:", "2"]));
    if filtered || Path::new("/.dockerenv").exists() {
        let fix = "start the container with `--security-opt seccomp=unconfined --security-opt systempaths=unconfined` (Docker, Podman), or run \
                   orch outside of it";
        return (format!("a container's seccomp filter forbids it: {said}"), fix.into());
    }
    (said.to_owned(), "ask whoever keeps this machine whether user namespaces are allowed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_forbids_user_namespaces_is_said_with_what_to_do() {
        let of = |path: &'static str, value: &'static str| {
            cause("bwrap: No permissions", &|file| if file == path { value.to_owned() } else { String::new() })
        };
        for (path, value, why, fix) in [
            ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor", "apparmor_parser"),
            ("/proc/sys/kernel/unprivileged_userns_clone", "0", "plain users", "sysctl"),
            ("/proc/sys/user/max_user_namespaces", "0", "no user namespace", "sysctl"),
            ("/proc/self/status", "Name:\tx\nSeccomp:\t2\n", "seccomp", "seccomp=unconfined"),
        ] {
            let (said, todo) = of(path, value);
            assert!(said.contains(why) && todo.contains(fix), "{said} {todo}");
        }
    }

    #[test]
    fn a_machine_without_the_program_is_told_what_to_install() {
        let found = probe("/no/such/place");
        assert!(found.kind == Kind::Off && found.fix.unwrap().contains("install bubblewrap"), "{}", found.detail);
    }
}
