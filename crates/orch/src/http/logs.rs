//! A run's output, by byte offset, while it is written. Standard output is what is served unless `stream=stderr` asks for
//! the other one: the two are separate files, and a merged order would be a guess.
//!
//! What an agent may have put where its log should be (a link, a pipe, a second name of somebody's file) is not
//! followed: only a plain file with one name, directly in a run directory below the configured place, is read.

use super::tasks::find;
use super::{AppState, Problem};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use orch_core::ids::JobId;
use orch_core::task::Task;
use orch_ports::masks;
use orch_ports::supervisor::files;
use orch_store::{JobState, RunRow};
use rustix::fs::{Mode, OFlags, openat};
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path as FilePath, PathBuf};

/// Most bytes per answer.
pub(crate) const PART_MAX: u64 = 256 * 1024;

/// Which part.
#[derive(Deserialize)]
pub(super) struct LogQuery {
    offset: Option<String>,
    stream: Option<String>,
}

/// One of a run's two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    fn file(self) -> &'static str {
        match self {
            Self::Stdout => files::STDOUT,
            Self::Stderr => files::STDERR,
        }
    }
}

/// A piece of a log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// Where it begins.
    pub(crate) from: u64,
    /// Offset of the byte after it.
    pub(crate) next: u64,
    /// Is there nothing after it, ever?
    pub(crate) done: bool,
}

pub(super) async fn log(
    State(state): State<AppState>,
    Path((id, n)): Path<(String, String)>,
    Query(query): Query<LogQuery>,
) -> Result<(HeaderMap, Vec<u8>), Problem> {
    let stream = match query.stream.as_deref() {
        None | Some("stdout") => Stream::Stdout,
        Some("stderr") => Stream::Stderr,
        Some(_) => return Err(Problem::bad("`stream` must be stdout or stderr")),
    };
    let offset: u64 = match query.offset.as_deref() {
        None => 0,
        Some(text) => text.parse().map_err(|_| Problem::bad("`offset` must be a number of bytes"))?,
    };
    let task = find(&state, &id).await?;
    let (_, run) = find_run(&state, &task, &n).await?;
    let part = read(&state, &task, &run, stream, From::Offset(offset)).await?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert("x-log-next", HeaderValue::from(part.next));
    headers.insert("x-log-done", HeaderValue::from_static(if part.done { "true" } else { "false" }));
    Ok((headers, part.bytes))
}

/// A run by its number, from 1.
pub(crate) async fn find_run(state: &AppState, task: &Task, n: &str) -> Result<(usize, RunRow), Problem> {
    let runs = state.engine.store().runs(task.id).await?;
    let number: usize = n.parse().map_err(|_| Problem::bad("the number of a run is a number, from 1"))?;
    let count = runs.len();
    let found = number.checked_sub(1).and_then(|i| runs.into_iter().nth(i));
    found.map(|run| (number, run)).ok_or_else(|| {
        Problem::missing(format!("{} has no run {number}", task.work_item)).hint(match count {
            0 => "it has no run yet".to_owned(),
            _ => format!("its runs are 1 to {count}"),
        })
    })
}

/// Where to begin.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    /// At this byte.
    Offset(u64),
    /// So that the end is seen.
    End,
}

/// Reads a piece of a run's log.
pub(crate) async fn read(
    state: &AppState,
    task: &Task,
    run: &RunRow,
    stream: Stream,
    from: From,
) -> Result<Part, Problem> {
    let dir = PathBuf::from(&run.dir);
    let root = state.engine.options().runs_dir.clone();
    // Asked before the file is looked at: what was written until the end is in the file by now.
    let over = over(state, task, run).await?;
    let piece = tokio::task::spawn_blocking(move || {
        let over = over || ended(&root, &dir);
        piece(&root, &dir, stream, from, over)
    });
    match piece.await {
        Ok(Ok(part)) => Ok(part),
        Ok(Err(e)) if e.kind() == io::ErrorKind::InvalidInput => Err(Problem::missing(e.to_string())),
        Ok(Err(e)) => Err(orch_ports::Fault::transient(format!("read the log of {}: {e}", task.work_item)).into()),
        Err(e) => Err(orch_ports::Fault::bug(format!("read the log of {}: {e}", task.work_item)).into()),
    }
}

/// Will nothing more be written? Known from the run's row, or from the job that would have written it down.
async fn over(state: &AppState, task: &Task, run: &RunRow) -> Result<bool, Problem> {
    if run.ended.is_some() {
        return Ok(true);
    }
    let job = state.engine.store().job(JobId { task: task.id, seq: run.job }).await?;
    Ok(job.is_none_or(|j| !matches!(j.state, JobState::Queued | JobState::Running) || run.attempt < j.run_attempt))
}

fn not_a_log(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("this run's log is not served: {why}"))
}

/// Opens a file of a run without following anything.
fn open(root: &FilePath, dir: &FilePath, name: &str) -> io::Result<File> {
    let below = dir.strip_prefix(root).map_err(|_| not_a_log("its directory is not below the configured place"))?;
    let mut parts = below.components();
    let (Some(Component::Normal(run)), None) = (parts.next(), parts.next()) else {
        return Err(not_a_log("its directory is not a run directory"));
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let place = File::open(root)?;
    let place = openat(&place, run, flags | OFlags::DIRECTORY, Mode::empty())?;
    let file = File::from(openat(&place, name, flags, Mode::empty())?);
    let meta = file.metadata()?;
    if !meta.is_file() || meta.nlink() != 1 {
        return Err(not_a_log("what is there is not a plain file of its own"));
    }
    Ok(file)
}

/// Is the run's exit record there? It is the last thing that is written.
fn ended(root: &FilePath, dir: &FilePath) -> bool {
    open(root, dir, files::EXIT).is_ok()
}

/// A piece without the keys orch knows, also where one lies over its edge. Of a log that still grows what may be the
/// beginning of one, and a character of which a part is missing, is left to the next piece.
fn piece(root: &FilePath, dir: &FilePath, stream: Stream, from: From, over: bool) -> io::Result<Part> {
    let mut file = match open(root, dir, stream.file()) {
        Ok(file) => file,
        // Not begun yet, or tidied away: an empty log.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let at = if let From::Offset(at) = from { at } else { 0 };
            return Ok(Part { bytes: Vec::new(), from: at, next: at, done: over });
        }
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(not_a_log("what is there is a link"));
        }
        Err(e) => return Err(e),
    };
    let len = file.metadata()?.len();
    let at = match from {
        From::Offset(at) => at,
        From::End => len.saturating_sub(PART_MAX),
    };
    if len <= at {
        return Ok(Part { bytes: Vec::new(), from: at, next: at, done: over });
    }
    let reach = masks::reach() as u64;
    let end = (at + PART_MAX).min(len);
    let (start, stop) = (at.saturating_sub(reach), (end + reach).min(len));
    let mut around = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(stop - start).read_to_end(&mut around)?;
    // Cut short while it was read: what was read is what there is.
    let place = |offset: u64| usize::try_from(offset - start).unwrap_or(usize::MAX).min(around.len());
    let (mut bytes, to) = masks::piece(&around, place(at)..place(end), !over || stop < len);
    let mut next = start + to as u64;
    if !over || next < len {
        let cut = bytes.len() - whole(&bytes);
        bytes.truncate(bytes.len() - cut);
        next -= cut as u64;
    }
    Ok(Part { bytes, from: at, next, done: over && len <= next })
}

/// Length without a character that is cut at the end.
fn whole(bytes: &[u8]) -> usize {
    (1..=3.min(bytes.len()))
        .map(|back| bytes.len() - back)
        .find(|at| 0xC0 <= bytes[*at])
        .filter(|at| std::str::from_utf8(&bytes[*at..]).is_err_and(|e| e.error_len().is_none()))
        .unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_but_a_plain_file_in_a_run_directory_is_read() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("runs");
        let run = root.join("1-1");
        std::fs::create_dir_all(&run).unwrap();
        std::fs::write(home.path().join("token"), "secret").unwrap();
        let look = |dir: &FilePath| piece(&root, dir, Stream::Stdout, From::Offset(0), false);
        assert_eq!(look(&run).unwrap(), Part { bytes: Vec::new(), from: 0, next: 0, done: false });

        let log = run.join(files::STDOUT);
        symlink(home.path().join("token"), &log).unwrap();
        assert_eq!(look(&run).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        std::fs::remove_file(&log).unwrap();
        std::fs::hard_link(home.path().join("token"), &log).unwrap();
        assert_eq!(look(&run).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        std::fs::remove_file(&log).unwrap();
        std::fs::create_dir(&log).unwrap();
        assert_eq!(look(&run).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        std::fs::remove_dir(&log).unwrap();

        std::fs::write(&log, "hello").unwrap();
        assert_eq!(look(&run).unwrap(), Part { bytes: b"hello".to_vec(), from: 0, next: 5, done: false });
        let beside = home.path().join("beside");
        symlink(&run, root.join("link")).unwrap();
        for dir in [home.path().to_owned(), beside, root.join("../runs/1-1"), root.join("1-1/.."), root.join("link")] {
            assert!(look(&dir).is_err(), "{}", dir.display());
        }
    }

    #[test]
    fn a_character_that_is_cut_at_the_end_waits_for_the_rest() {
        for (bytes, len) in
            [(&b"ab"[..], 2), ("aé".as_bytes(), 3), (&"aé".as_bytes()[..2], 1), (&"a€".as_bytes()[..3], 1)]
        {
            assert_eq!(whole(bytes), len, "{bytes:?}");
        }
        assert_eq!(whole(b"\xff"), 1);
        assert_eq!(whole(b""), 0);
    }

    /// A log as somebody follows it: what was read by the time the run was over.
    fn followed(root: &FilePath, dir: &FilePath, written: &[&[u8]]) -> String {
        let (mut seen, mut at) = (Vec::new(), 0);
        for (n, bytes) in (1..).zip(written) {
            use std::io::Write as _;
            let log = File::options().append(true).create(true).open(dir.join(files::STDOUT));
            log.unwrap().write_all(bytes).unwrap();
            loop {
                let part = piece(root, dir, Stream::Stdout, From::Offset(at), n == written.len()).unwrap();
                let grew = at < part.next;
                at = part.next;
                seen.extend(part.bytes);
                if !grew {
                    break;
                }
            }
        }
        String::from_utf8(seen).unwrap()
    }

    #[test]
    fn a_key_in_two_pieces_of_a_log_is_in_neither() {
        let key = "ghp_canary4711ForLogsOnlyXyZ";
        let _known = orch_ports::Secret::new(key);
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("runs");
        let look = |name: &str, written: &[&[u8]]| {
            let run = root.join(name);
            std::fs::create_dir_all(&run).unwrap();
            followed(&root, &run, written)
        };
        // Written in two, a look in between.
        for cut in 1..key.len() {
            let (one, two) = key.split_at(cut);
            let seen = look(&format!("1-{cut}"), &[format!("a {one}").as_bytes(), format!("{two} b\n").as_bytes()]);
            // Two characters are the end of many a line, and are not waited for.
            let told = if cut < 3 { one } else { "" };
            assert_eq!(seen, format!("a {told}*** b\n"), "cut at {cut}");
        }
        // Read in two, because it lies over the edge of what is read at once.
        for before in [1, 7, key.len() - 1] {
            let filler = "x".repeat(usize::try_from(PART_MAX).unwrap() - before);
            let text = format!("{filler}{key} b é");
            let seen = look(&format!("2-{before}"), &[text.as_bytes()]);
            let masks = if before < 3 { "******" } else { "***" };
            assert_eq!(seen, format!("{filler}{masks} b é"));
        }
    }
}
