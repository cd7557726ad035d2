//! What a program prints, on its way from its pipe to its log. Decides what of it is kept: all of it up to a limit; beyond
//! that the beginning and the end, with a line between them that says what is missing, so that neither a loud program nor
//! one endless line fills a disk. It may never hold a program up for longer than reading takes, and a full disk only
//! costs what could not be written.

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Environment of a supervisor: bytes of each output that are kept; 0: all.
pub(crate) const LIMIT: &str = "ORCH_RUN_OUTPUT_MAX";
/// Where the environment says nothing.
const DEFAULT_LIMIT: u64 = 16_000_000;
/// Most of the end that is kept; it is held in memory until then.
const LONGEST_TAIL: u64 = 1 << 20;
/// Most that is read at once, so that a program that never stops talking cannot keep its supervisor from looking at it.
const AT_ONCE: usize = 4 << 20;

/// One output of a run.
pub(crate) struct Output {
    pipe: Option<File>,
    log: File,
    head: u64,
    tail: u64,
    /// Bytes the program has printed.
    total: u64,
    /// The newest of them beyond the head.
    newest: VecDeque<u8>,
    /// The log says already that something is left out.
    told: bool,
    /// The program prints into its log itself.
    direct: bool,
}

/// What the environment of this supervisor says.
pub(crate) fn limit() -> u64 {
    std::env::var(LIMIT).ok().and_then(|n| n.parse().ok()).unwrap_or(DEFAULT_LIMIT)
}

/// A pipe with a name in the run's directory, and the end to print into. The name is gone again at once, so that nobody
/// who copies the directory waits for its end; but whoever holds it open can be told to be the run's by it, as by a log.
pub(crate) fn pipe(dir: &Path, log: &str) -> io::Result<(OwnedFd, OwnedFd)> {
    let path = dir.join(log).with_extension("pipe");
    let _ = std::fs::remove_file(&path);
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    let open = |flags| rustix::fs::open(&path, flags | OFlags::CLOEXEC, Mode::empty());
    // The reading end first: without it the other would wait.
    let ends = open(OFlags::RDONLY | OFlags::NONBLOCK).and_then(|read| Ok((read, open(OFlags::WRONLY)?)));
    std::fs::remove_file(&path)?;
    Ok(ends?)
}

impl Output {
    /// Reads from a pipe, keeps in a log. `limit`: bytes that are kept, 0 for all.
    pub(crate) fn new(pipe: OwnedFd, log: File, limit: u64) -> io::Result<Self> {
        rustix::fs::fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
        let (head, tail) = match limit {
            0 => (u64::MAX, 0),
            limit => {
                let tail = (limit / 2).min(LONGEST_TAIL);
                (limit - tail, tail)
            }
        };
        Ok(Self {
            pipe: Some(File::from(pipe)),
            log,
            head,
            tail,
            total: 0,
            newest: VecDeque::new(),
            told: false,
            direct: false,
        })
    }

    /// Of a program that prints into its log itself: nothing is left out, its size is all that is known.
    pub(crate) fn direct(log: File) -> Self {
        Self { pipe: None, log, head: u64::MAX, tail: 0, total: 0, newest: VecDeque::new(), told: false, direct: true }
    }

    /// Where to wait for more; `None` once nobody can print any more.
    pub(crate) fn waits(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Bytes the program has printed so far.
    pub(crate) fn said(&self) -> u64 {
        if self.direct { self.log.metadata().map_or(0, |m| m.len()) } else { self.total }
    }

    /// Takes what is there. True: there may be more.
    pub(crate) fn drain(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        let mut taken = 0;
        while taken < AT_ONCE {
            let Some(pipe) = &mut self.pipe else { return false };
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(n) => {
                    taken += n;
                    self.feed(&buffer[..n]);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => self.pipe = None,
            }
        }
        true
    }

    fn feed(&mut self, bytes: &[u8]) {
        let room = usize::try_from(self.head.saturating_sub(self.total)).unwrap_or(usize::MAX).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        self.total += bytes.len() as u64;
        self.write(first);
        let tail = usize::try_from(self.tail).unwrap_or(usize::MAX);
        self.newest.extend(&rest[rest.len().saturating_sub(tail)..]);
        self.newest.drain(..self.newest.len().saturating_sub(tail));
        if !self.told && self.head.saturating_add(self.tail) < self.total {
            self.told = true;
            let line = format!(
                "\n[orch: more than {} bytes were printed; from here on only the end is kept]\n",
                self.head + self.tail
            );
            self.write(line.as_bytes());
        }
    }

    /// Nobody prints any more: the end is written behind the beginning.
    pub(crate) fn close(mut self) {
        // What could not be killed may print on: not for ever.
        for _ in 0..64 {
            if !self.drain() {
                break;
            }
        }
        let (kept, all) = (self.newest.len() as u64, self.total);
        if self.told {
            let left_out = all - self.head - kept;
            let line = format!(
                "[orch: {left_out} of {all} bytes are left out here; the first {} and the last {kept} are kept \
                 ([retention] run_output_mb)]\n",
                self.head
            );
            self.write(line.as_bytes());
        }
        let (front, back) = self.newest.as_slices();
        let end = [front, back].concat();
        self.write(&end);
    }

    fn write(&mut self, bytes: &[u8]) {
        // A disk too full for it must not stop the run; what is missing is missed by its size.
        let _ = self.log.write_all(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is kept of pieces that were printed one after the other.
    fn kept(limit: u64, pieces: &[&[u8]]) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = File::options().append(true).create(true).open(&path).unwrap();
        let (read, write) = pipe(dir.path(), "log").unwrap();
        assert!(!dir.path().join("log.pipe").exists());
        let mut output = Output::new(read, log, limit).unwrap();
        let mut write = Some(File::from(write));
        for piece in pieces {
            // No larger than a pipe holds.
            for part in piece.chunks(32 * 1024) {
                write.as_mut().unwrap().write_all(part).unwrap();
                output.drain();
            }
        }
        write.take();
        output.close();
        std::fs::read(path).unwrap()
    }

    #[test]
    fn what_is_within_the_limit_is_kept_as_it_is() {
        for pieces in [&[&b"a\nb\n"[..]][..], &[b""], &[b"no line end"], &[&[0xff; 99]], &[b"12345", b"67890"]] {
            assert_eq!(kept(100, pieces), pieces.concat());
            assert_eq!(kept(0, pieces), pieces.concat());
        }
        let exactly = [b'x'; 100];
        assert_eq!(kept(100, &[&exactly[..60], &exactly[60..]]), exactly);
    }

    #[test]
    fn beyond_it_the_beginning_and_the_end_are_kept_and_the_log_says_so() {
        let mut text = b"first line\n".to_vec();
        text.extend(b"noise\n".repeat(100_000));
        text.extend(b"the last words");
        let log = kept(1_000, &[&text]);
        let shown = String::from_utf8(log.clone()).unwrap();
        assert!(shown.starts_with("first line\n") && shown.ends_with("the last words"), "{shown}");
        assert!(log.len() < 1_400, "{}", log.len());
        assert!(shown.contains(&format!("of {} bytes are left out here; the first 500 and the last 500", text.len())));
        // One endless line, byte by byte of which nothing is special.
        let line = vec![b'x'; 3_000_000];
        let log = kept(1_000_000, &[&line]);
        assert!(log.len() < 1_000_400 && String::from_utf8(log).unwrap().contains("left out"));
    }
}
