//! The API token: made at the first start, kept beside the database, readable by this user alone. Whoever can read the
//! file can do what the daemon can do.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Reads the token, or makes one. A file that others can read is refused. An empty one is what a kill or a power cut left
/// before the token was in it, and nobody has it.
pub fn ensure(file: &Path) -> io::Result<String> {
    match fs::symlink_metadata(file) {
        Ok(meta) if meta.is_file() && meta.len() == 0 => make(file),
        Ok(_) => read(file),
        Err(e) if e.kind() == io::ErrorKind::NotFound => make(file),
        Err(e) => Err(e),
    }
}

/// Written beside its place, synced, renamed: there is a whole token or none. The caller owns the database beside it, so
/// no other daemon makes one at the same time.
fn make(file: &Path) -> io::Result<String> {
    let dir = file.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let fresh = file.with_extension("new");
    let token = random()?;
    match fs::remove_file(&fresh) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    new.write_all(format!("{token}\n").as_bytes())?;
    new.sync_all()?;
    fs::rename(&fresh, file)?;
    File::open(dir)?.sync_all()?;
    Ok(token)
}

fn read(file: &Path) -> io::Result<String> {
    use std::os::unix::fs::MetadataExt;
    let mut opened = File::open(file)?;
    if opened.metadata()?.mode() & 0o077 != 0 {
        return Err(io::Error::other("others can read it: run `chmod 600` on it, or remove it to get a new token"));
    }
    let mut text = String::new();
    opened.read_to_string(&mut text)?;
    let token = text.trim();
    if token.len() < 32 {
        return Err(io::Error::other("it holds no token: remove it to get a new one"));
    }
    Ok(token.to_owned())
}

/// 32 bytes from the kernel, as hex.
fn random() -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut text, b| {
        use std::fmt::Write as _;
        let _ = write!(text, "{b:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_is_made_once_and_is_for_this_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let token = ensure(&file).unwrap();
        assert_eq!(token.len(), 64);
        assert_eq!(ensure(&file).unwrap(), token);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(ensure(&file).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn what_a_kill_left_of_a_token_stands_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        // Killed between making the file and writing to it, by an orch that wrote in place; and beside it, by this one.
        fs::write(&file, "").unwrap();
        fs::write(dir.path().join("token.new"), "half").unwrap();
        let token = ensure(&file).unwrap();
        assert_eq!((token.len(), ensure(&file).unwrap()), (64, token.clone()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing half-written stays");
        fs::write(&file, "short").unwrap();
        let refused = ensure(&file).unwrap_err().to_string();
        assert!(refused.contains("holds no token"), "one that holds something is a person's: {refused}");
    }
}
