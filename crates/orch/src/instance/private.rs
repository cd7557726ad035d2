//! Who else can get at the state. Decides what is closed without asking, and what a person has to close: whoever can write to
//! the state directory is orch.

use crate::cli::exit::{Exit, Failure};
use crate::config::Config;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Directories in it that orch makes, and files that git and SQLite make for it with whatever mask orch was started under.
const INSIDE: &[&str] = &["forge", "repos", "runs", "checkouts", "scratch", "repos/worktrees"];
const FILES: &[&str] = &["orch.db", "tracker.db", "forge/forge.db", "token", "instance.json"];

/// Others who can get at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// None can.
    No,
    /// They can look into it.
    Read,
    /// They can change what is in it.
    Write,
}

/// Who can get at a directory. What is not there is nobody's.
pub fn others(dir: &Path) -> Others {
    match fs::metadata(dir).map(|meta| meta.mode()) {
        Ok(mode) if mode & 0o002 != 0 => Others::Write,
        Ok(mode) if mode & 0o077 != 0 => Others::Read,
        Ok(_) | Err(_) => Others::No,
    }
}

/// Takes from others what they could write in the state, and from everybody the files. The directory itself is closed where
/// it is orch's own by its name; one that somebody named with `[db] path` may hold other things, too.
///
/// # Errors
/// Exit 2 for a directory that everybody can write to, exit 3 for one that cannot be closed.
pub fn close(config: &Config) -> Result<(), Failure> {
    let data = config.data_dir();
    if config.state_is_derived() {
        mode(data, 0o700).map_err(|e| cannot(data, &e))?;
    } else if others(data) == Others::Write {
        return Err(Failure::usage(format!(
            "everybody on this machine can write to {}, and so approve, merge and deploy",
            data.display()
        ))
        .hint(format!("run `chmod go-w {}`, or set [db] path to a file in a directory of its own", data.display())));
    }
    let inside = INSIDE.iter().map(|name| (data.join(name), 0o755)).chain([
        (config.repos_dir(), 0o755),
        (config.worktrees_dir(), 0o755),
        (config.runs_dir(), 0o700),
    ]);
    let files = FILES.iter().map(|name| (data.join(name), 0o600)).chain([(config.db.path.clone(), 0o600)]);
    for (path, most) in inside.chain(files) {
        mode(&path, most).map_err(|e| cannot(&path, &e))?;
    }
    Ok(())
}

fn cannot(path: &Path, error: &io::Error) -> Failure {
    let path: PathBuf = path.to_owned();
    Failure::new(Exit::CannotTell, format!("cannot take {} from others: {error}", path.display()))
}

/// No more than this for anybody. What is not there, is a link, or is somebody else's, is left as it is.
fn mode(path: &Path, most: u32) -> io::Result<()> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        // What cannot be a place of ours is said by whoever makes it.
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(e) => return Err(e),
    };
    let now = meta.mode() & 0o7777;
    let open = now & 0o777 & !most;
    if open == 0 || meta.is_symlink() || meta.uid() != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(now & !open))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    fn open_to_all(path: &Path) {
        fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    }

    fn config(home: &Path, text: &str) -> Config {
        let env = BTreeMap::from([("XDG_STATE_HOME".to_owned(), home.join("state").display().to_string())]);
        let program = "[agents.programs.claude]\ncommand = [\"true\"]\n";
        Config::parse(&home.join("orch.toml"), &format!("{text}\n{program}"), &env).unwrap().0
    }

    #[test]
    fn what_was_made_under_an_open_mask_is_closed_at_a_start() {
        let home = tempfile::tempdir().unwrap();
        let config = config(home.path(), "[instance]\nname = \"shop-1a2b\"");
        let data = config.data_dir().to_owned();
        for dir in INSIDE {
            fs::create_dir_all(data.join(dir)).unwrap();
            open_to_all(&data.join(dir));
        }
        for file in FILES {
            fs::write(data.join(file), "").unwrap();
            open_to_all(&data.join(file));
        }
        let outside = home.path().join("outside");
        fs::create_dir(&outside).unwrap();
        open_to_all(&outside);
        fs::remove_dir(data.join("scratch")).unwrap();
        std::os::unix::fs::symlink(&outside, data.join("scratch")).unwrap();
        open_to_all(&data);
        assert_eq!(others(&data), Others::Write);
        close(&config).unwrap();
        assert_eq!(others(&data), Others::No);
        for dir in INSIDE.iter().filter(|dir| **dir != "scratch") {
            assert_eq!(mode_of(&data.join(dir)) & 0o022, 0, "{dir}");
        }
        for file in FILES {
            assert_eq!(mode_of(&data.join(file)), 0o600, "{file}");
        }
        assert_eq!(mode_of(&outside), 0o777, "behind a link nothing is ours");
        close(&config).unwrap();
    }

    #[test]
    fn a_directory_that_somebody_named_is_left_as_it_is_and_refused_where_everybody_can_write() {
        let home = tempfile::tempdir().unwrap();
        let shared = home.path().join("shared");
        fs::create_dir(&shared).unwrap();
        let config = config(home.path(), &format!("[db]\npath = \"{}/orch.db\"", shared.display()));
        fs::set_permissions(&shared, Permissions::from_mode(0o755)).unwrap();
        close(&config).unwrap();
        assert_eq!((mode_of(&shared), others(&shared)), (0o755, Others::Read));
        open_to_all(&shared);
        let refused = close(&config).unwrap_err();
        assert_eq!(refused.exit, Exit::Usage);
        assert!(refused.to_string().contains("chmod go-w"), "{refused}");
        assert_eq!(mode_of(&shared), 0o777);
    }
}
