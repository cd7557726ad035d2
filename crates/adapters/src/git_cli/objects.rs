//! Objects that orch writes itself, as git keeps single ones: `objects/<2 digits>/<the others>`, a zlib stream of
//! `<kind> <bytes>\0<content>`, named by the hash of what is in the stream (gitrepository-layout(5), "Git Objects" of the
//! book Pro Git). Starting a git for each of them cost more than all else between two agents. Decides when one is on disk
//! and never writes one whose name is not that of its content.

use super::dirs::blocking;
use super::run::io;
use super::tree::hex;
use crate::owner;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use orch_ports::Fault;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Files that are synced at the same time: syncs that wait together are one for the disk.
const AT_ONCE: usize = 8;

/// An object that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loose {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) bytes: Vec<u8>,
}

impl Loose {
    /// An object under its name; `long` is the object format of SHA-256.
    pub(super) fn new(kind: &str, bytes: Vec<u8>, long: bool) -> Self {
        Self { id: id_of(kind, &bytes, long), kind: kind.to_owned(), bytes }
    }

    /// What was read under this name, if that is its name.
    pub(super) fn read(id: String, kind: String, bytes: Vec<u8>) -> Option<Self> {
        (id_of(&kind, &bytes, id.len() == 64) == id).then_some(Self { id, kind, bytes })
    }

    fn write(&self, objects: &Path, synced: bool) -> std::io::Result<()> {
        let dir = objects.join(&self.id[..2]);
        let path = dir.join(&self.id[2..]);
        if fs::metadata(&path).is_ok_and(|m| m.is_file() && 0 < m.len()) {
            return if synced { freshen(&path) } else { Ok(()) };
        }
        fs::create_dir_all(&dir)?;
        if !synced {
            return self.put(&path, false);
        }
        // What a crash leaves under such a name git's housekeeping removes.
        let temp = dir.join(format!("tmp_obj_{}", owner::mark()));
        self.put(&temp, true).and_then(|()| fs::rename(&temp, &path)).inspect_err(|_| {
            let _ = fs::remove_file(&temp);
        })
    }

    fn put(&self, file: &Path, synced: bool) -> std::io::Result<()> {
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o444).open(file)?;
        let mut stream = ZlibEncoder::new(file, Compression::fast());
        stream.write_all(head(&self.kind, &self.bytes).as_bytes())?;
        stream.write_all(&self.bytes)?;
        let file = stream.finish()?;
        if synced { file.sync_all() } else { Ok(()) }
    }
}

/// An object that is there already is one of today from now on, so that no housekeeping takes it for what nobody has
/// wanted for weeks; and it is on disk, whoever wrote it. It may be another user's: then git has freshened it in vain, too.
fn freshen(path: &Path) -> std::io::Result<()> {
    let file = fs::File::open(path)?;
    let _ = file.set_modified(SystemTime::now());
    file.sync_all()
}

fn head(kind: &str, bytes: &[u8]) -> String {
    format!("{kind} {}\0", bytes.len())
}

/// The name of an object; `long` is the object format of SHA-256.
pub(super) fn id_of(kind: &str, bytes: &[u8], long: bool) -> String {
    let head = head(kind, bytes);
    if long {
        hex(&Sha256::new().chain_update(head).chain_update(bytes).finalize())
    } else {
        hex(&Sha1::new().chain_update(head).chain_update(bytes).finalize())
    }
}

/// Writes objects into an object directory; those that are there as files stay. If `synced`, each is there whole or not at
/// all, and its file is on disk then; the directories that name it are the caller's to keep. Otherwise nobody else may know
/// the directory yet.
pub(super) async fn write(objects: PathBuf, list: Vec<Loose>, synced: bool) -> Result<(), Fault> {
    blocking(move || {
        let all = |some: &[Loose]| some.iter().try_for_each(|one| one.write(&objects, synced));
        let done = if synced && 1 < list.len() {
            std::thread::scope(|scope| {
                let share = list.len().div_ceil(AT_ONCE);
                let at_work: Vec<_> = list.chunks(share).map(|some| scope.spawn(move || all(some))).collect();
                at_work.into_iter().try_for_each(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|_| Err(std::io::Error::other("a thread that writes objects broke down")))
                })
            })
        } else {
            all(&list)
        };
        done.map_err(|e| io(&objects, "write objects into", &e))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::super::run::GitRun;
    use super::*;

    #[tokio::test]
    async fn git_reads_what_was_written_under_the_name_git_gives_it() {
        let tmp = tempfile::tempdir().unwrap();
        let git = GitRun::new(tmp.path()).unwrap();
        for format in ["sha1", "sha256"] {
            let dir = tmp.path().join(format);
            let init = git.call(None, "init").args(["-q", "--bare", &format!("--object-format={format}")]);
            init.arg(&dir).ok().await.unwrap();
            let texts = [Vec::new(), b"text\n".to_vec(), vec![0; 70_000], b"blob 3\0abc".to_vec()];
            let list: Vec<Loose> = texts.iter().map(|t| Loose::new("blob", t.clone(), format == "sha256")).collect();
            write(dir.join("objects"), list.clone(), true).await.unwrap();
            write(dir.join("objects"), list.clone(), false).await.unwrap();
            for (one, text) in list.iter().zip(texts) {
                let named =
                    git.call(Some(&dir), "hash-object").arg("--stdin").stdin(text.clone()).line().await.unwrap();
                assert_eq!(named, one.id, "{format}");
                assert_eq!(git.call(Some(&dir), "cat-file").args(["blob", &one.id]).ok().await.unwrap(), text);
            }
            let check = git.call(Some(&dir), "fsck").args(["--strict", "--no-dangling"]).run().await.unwrap();
            assert_eq!(check.status, Some(0), "{}", String::from_utf8_lossy(&check.stderr));
            let left =
                fs::read_dir(dir.join("objects")).unwrap().flatten().flat_map(|d| fs::read_dir(d.path()).unwrap());
            assert!(left.flatten().all(|f| !f.file_name().to_string_lossy().starts_with("tmp_obj")));
        }
    }

    #[tokio::test]
    async fn an_empty_file_in_the_place_of_an_object_is_replaced_and_another_content_has_another_name() {
        let tmp = tempfile::tempdir().unwrap();
        let one = Loose::new("blob", b"text".to_vec(), false);
        let place = tmp.path().join(&one.id[..2]).join(&one.id[2..]);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, b"").unwrap();
        write(tmp.path().to_owned(), vec![one.clone()], true).await.unwrap();
        assert!(0 < fs::metadata(&place).unwrap().len());
        assert_eq!(Loose::read(one.id.clone(), one.kind.clone(), one.bytes.clone()), Some(one.clone()));
        assert_eq!(Loose::read(one.id, one.kind, b"texT".to_vec()), None);
    }

    #[tokio::test]
    async fn where_nothing_can_be_written_that_is_said() {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join("objects");
        fs::write(&file, b"").unwrap();
        let list = ["a", "b", "c"].map(|t| Loose::new("blob", t.into(), false)).to_vec();
        let fault = write(file.clone(), list, true).await.unwrap_err();
        assert!(fault.text.contains(&file.display().to_string()), "{fault}");
    }
}
