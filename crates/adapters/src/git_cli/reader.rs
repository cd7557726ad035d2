//! Gits that stay and answer what objects are: to start one for each question takes ten times as long as its answer. One is
//! believed only where it shows an object that is there. Whatever else it says, and if it says nothing, the question is
//! asked again of a git of its own, whose words are then the answer; so nothing that was young, damaged or gone is judged
//! by what an old process remembers. What small objects hold is kept in memory for a while.

use super::names::is_object_id;
use super::run::GitRun;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdout};

/// Most that stay, of all repositories together; the one that was asked longest ago goes.
const MOST: usize = 8;
/// One that has not answered by then is not asked again.
const PATIENCE: Duration = Duration::from_secs(30);
/// Objects up to this size are kept in memory, bytes.
const SMALL: usize = 64 * 1024;
/// Most bytes of them; beyond it all are read again.
const MOST_BYTES: usize = 8 << 20;
/// Most bytes of an object that are taken.
const LARGEST: usize = 32 * 1024 * 1024;

/// An object that is there.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) id: String,
    /// `blob`, `tree`, `commit`, `tag`.
    pub(super) kind: String,
    pub(super) size: u64,
    /// Empty where only its name was asked for.
    pub(super) bytes: Vec<u8>,
}

/// What is asked of an object.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    /// Its id, kind and size.
    Info,
    /// Its content, too.
    Contents,
}

/// Those that wait for a question, the one that was asked last at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readers(Arc<Mutex<Idle>>);

#[derive(Debug, Default)]
struct Idle {
    all: Vec<Reader>,
    /// What was answered, by repository and question: an object never changes, as its name is made of its content.
    known: HashMap<PathBuf, HashMap<String, Object>>,
    /// How much that is.
    known_bytes: usize,
    /// Grows when a repository is made anew: none that was at work then comes back.
    made_anew: u64,
}

#[derive(Debug)]
struct Reader {
    repo: PathBuf,
    made_anew: u64,
    /// Ends with this.
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Readers {
    fn idle(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The repository is another one from now on.
    pub(super) fn forget(&self, repo: &Path) {
        let mut idle = self.idle();
        idle.made_anew += 1;
        idle.all.retain(|reader| reader.repo != repo);
        idle.known.remove(repo);
    }

    /// What this names, if it is there; `name` is an id, perhaps with `^{kind}` or `:path` behind it.
    pub(super) async fn ask(&self, git: &GitRun, repo: &Path, ask: Ask, name: &str) -> Option<Object> {
        if name.contains(['\n', '\0']) {
            return None;
        }
        let question = ask.question(name);
        let waiting = {
            let mut idle = self.idle();
            let known = question.as_ref().and_then(|question| idle.known.get(repo)?.get(question));
            if let Some(object) = known {
                return Some(object.clone());
            }
            idle.all.iter().rposition(|reader| reader.repo == repo).map(|at| idle.all.remove(at))
        };
        // Whoever stops waiting for the answer takes the process along: it is not put back in the middle of one.
        let mut reader = match waiting {
            Some(reader) => reader,
            None => self.begin(git, repo)?,
        };
        let answer = tokio::time::timeout(PATIENCE, reader.answer(ask, name)).await.ok()?.ok()?;
        let mut idle = self.idle();
        if reader.made_anew == idle.made_anew {
            if let Some(question) = question {
                idle.remember(repo, question, answer.as_ref());
            }
            idle.all.push(reader);
            if MOST < idle.all.len() {
                idle.all.remove(0);
            }
        }
        drop(idle);
        answer
    }

    fn begin(&self, git: &GitRun, repo: &Path) -> Option<Reader> {
        let made_anew = self.idle().made_anew;
        let mut process = git.call(Some(repo), "cat-file").arg("--batch-command").stays().ok()?;
        let output = BufReader::new(process.stdout.take()?);
        Some(Reader { repo: repo.to_owned(), made_anew, process, output })
    }
}

impl Idle {
    fn remember(&mut self, repo: &Path, question: String, answer: Option<&Object>) {
        let Some(object) = answer.filter(|object| object.bytes.len() <= SMALL) else { return };
        if MOST_BYTES < self.known_bytes {
            self.known.clear();
            self.known_bytes = 0;
        }
        self.known_bytes += question.len() + object.bytes.len() + size_of::<Object>();
        self.known.entry(repo.to_owned()).or_default().insert(question, object.clone());
    }
}

impl Ask {
    /// What stays true of a name, whatever else happens to the repository, or takes its place. Whether an object is there
    /// is no such thing.
    fn question(self, name: &str) -> Option<String> {
        let id = name.split_once("^{").map_or(name, |(id, _)| id);
        (matches!(self, Self::Contents) && is_object_id(id)).then(|| name.to_owned())
    }
}

impl Reader {
    /// An error ends it.
    async fn answer(&mut self, ask: Ask, name: &str) -> std::io::Result<Option<Object>> {
        let broken = || std::io::Error::from(std::io::ErrorKind::InvalidData);
        let command = match ask {
            Ask::Info => "info",
            Ask::Contents => "contents",
        };
        let input = self.process.stdin.as_mut().ok_or_else(broken)?;
        input.write_all(format!("{command} {name}\n").as_bytes()).await?;
        input.flush().await?;
        let mut line = String::new();
        if self.output.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.strip_suffix('\n').ok_or_else(broken)?;
        // Whatever is not there is answered with the question and a word behind it.
        if line.starts_with(name) && (line.ends_with(" missing") || line.ends_with(" ambiguous")) {
            return Ok(None);
        }
        let mut words = line.split(' ');
        let (Some(id), Some(kind), Some(size), None) = (words.next(), words.next(), words.next(), words.next()) else {
            return Err(broken());
        };
        let size: u64 = size.parse().map_err(|_| broken())?;
        let mut bytes = Vec::new();
        if matches!(ask, Ask::Contents) {
            let length = usize::try_from(size).ok().filter(|n| *n <= LARGEST).ok_or_else(broken)?;
            bytes.resize(length, 0);
            self.output.read_exact(&mut bytes).await?;
            if self.output.read_u8().await? != b'\n' {
                return Err(broken());
            }
        }
        Ok(Some(Object { id: id.to_owned(), kind: kind.to_owned(), size, bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn repo(git: &GitRun, dir: &Path, text: &[u8]) -> String {
        git.call(None, "init").args(["-q", "--bare"]).arg(dir).ok().await.unwrap();
        git.call(Some(dir), "hash-object").args(["-w", "--stdin"]).stdin(text).line().await.unwrap()
    }

    async fn contents(git: &GitRun, dir: &Path, name: &str) -> Option<Vec<u8>> {
        git.readers.ask(git, dir, Ask::Contents, name).await.map(|o| o.bytes)
    }

    #[tokio::test]
    async fn what_is_there_is_shown_whole_and_what_is_not_leaves_the_next_answer_right() {
        let tmp = tempfile::tempdir().unwrap();
        let (git, dir) = (GitRun::new(tmp.path()).unwrap(), tmp.path().join("a.git"));
        let text = [b"line\n".repeat(50_000), b"\n0123 blob 7\n".to_vec()].concat();
        let id = repo(&git, &dir, &text).await;
        for _ in 0..3 {
            assert_eq!(contents(&git, &dir, &id).await.as_deref(), Some(text.as_slice()));
            let info = git.readers.ask(&git, &dir, Ask::Info, &id).await.unwrap();
            assert_eq!((info.id.as_str(), info.kind.as_str(), info.size), (id.as_str(), "blob", text.len() as u64));
            for odd in
                ["0000", &id[..8], "refs/heads/gone", "a b c", "", "-x", &format!("{id}^{{tree}}"), "a\nb", "a\0b"]
            {
                // A short name is one git may know.
                let answer = contents(&git, &dir, odd).await;
                assert!(answer.is_none() || odd == &id[..8], "{odd:?}");
            }
        }
        // What is made later is seen.
        let later = git.call(Some(&dir), "hash-object").args(["-w", "--stdin"]).stdin(b"later".to_vec());
        let later = later.line().await.unwrap();
        assert_eq!(contents(&git, &dir, &later).await.as_deref(), Some(&b"later"[..]));
    }

    #[tokio::test]
    async fn one_that_was_killed_or_was_left_in_an_answer_is_asked_no_more() {
        let tmp = tempfile::tempdir().unwrap();
        let (git, dir) = (GitRun::new(tmp.path()).unwrap(), tmp.path().join("a.git"));
        let text = b"x".repeat(4 << 20);
        let id = repo(&git, &dir, &text).await;
        assert!(contents(&git, &dir, &id).await.is_some());
        let killed = {
            let mut idle = git.readers.idle();
            let process = &mut idle.all[0].process;
            process.start_kill().unwrap();
            process.id()
        };
        assert_eq!(contents(&git, &dir, &id).await, None);
        assert_eq!(contents(&git, &dir, &id).await.map(|b| b.len()), Some(text.len()), "another one answers");
        assert_ne!(git.readers.idle().all[0].process.id(), killed);
        // Whoever asked goes away in the middle of a long answer.
        let asked = contents(&git, &dir, &id);
        let left = tokio::time::timeout(Duration::ZERO, asked).await;
        assert!(left.is_err());
        assert_eq!(git.readers.idle().all.len(), 0);
        assert_eq!(contents(&git, &dir, &id).await.map(|b| b.len()), Some(text.len()));
    }

    #[tokio::test]
    async fn what_an_object_holds_is_asked_once_and_whether_it_is_there_each_time() {
        let tmp = tempfile::tempdir().unwrap();
        let (git, dir) = (GitRun::new(tmp.path()).unwrap(), tmp.path().join("a.git"));
        let (small, large) = (repo(&git, &dir, b"text").await, repo(&git, &dir, &b"x".repeat(SMALL + 1)).await);
        for id in [&small, &large] {
            assert!(contents(&git, &dir, id).await.is_some());
            std::fs::remove_file(dir.join("objects").join(&id[..2]).join(&id[2..])).unwrap();
        }
        // What a git remembers that stays is no answer to this: another one is started.
        git.readers.idle().all.clear();
        assert_eq!(contents(&git, &dir, &small).await.as_deref(), Some(&b"text"[..]));
        assert_eq!(contents(&git, &dir, &large).await, None);
        assert!(git.readers.ask(&git, &dir, Ask::Info, &small).await.is_none());
        git.readers.forget(&dir);
        assert_eq!(contents(&git, &dir, &small).await, None);
        // However many there are, they take no more room than that.
        for n in 0..200 {
            let id = repo(&git, &dir, format!("{n:0>60000}").as_bytes()).await;
            assert!(contents(&git, &dir, &id).await.is_some());
            assert!(git.readers.idle().known_bytes < MOST_BYTES + 2 * SMALL);
        }
    }

    #[tokio::test]
    async fn few_stay_and_none_of_a_repository_that_was_made_anew() {
        let tmp = tempfile::tempdir().unwrap();
        let git = GitRun::new(tmp.path()).unwrap();
        let mut last = PathBuf::new();
        for n in 0..MOST + 3 {
            last = tmp.path().join(format!("{n}.git"));
            let id = repo(&git, &last, b"x").await;
            assert!(contents(&git, &last, &id).await.is_some());
        }
        assert_eq!(git.readers.idle().all.len(), MOST);
        git.readers.forget(&last);
        assert!(git.readers.idle().all.iter().all(|r| r.repo != last));
    }
}
