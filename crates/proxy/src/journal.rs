//! What a run has used, in a file of records that only grows. A request is written down before it goes out, with the most it can
//! cost; a response before its end is passed on, with what it did cost. Whatever dies in between, the file tells: an ended
//! response counts exactly, one that was cut counts its input and `max_tokens`, and then the sum is an upper bound.

use crate::gate::Amount;
use crate::usage::Tokens;
use orch_core::ids::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Largest journal that is read, bytes. A run of ten thousand requests has five million.
const LONGEST: u64 = 256 * 1024 * 1024;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Record {
    /// A proxy begins.
    Begun {
        /// When.
        at: Time,
        /// Is what is used included in a subscription?
        included: bool,
        /// Day of the prices.
        prices: String,
    },
    /// A request is about to go out.
    Asked {
        /// When.
        at: Time,
        /// Number of the request in this journal.
        id: u64,
        /// Model.
        model: String,
        /// Is its price in the list? If not, the dearest counts.
        priced: bool,
        /// The most it can cost.
        most: Amount,
    },
    /// Its response has ended.
    Ended {
        /// When.
        at: Time,
        /// Of which request.
        id: u64,
        /// HTTP status; 0: the service was not reached.
        status: u16,
        /// Tokens.
        tokens: Tokens,
        /// What it cost.
        cost: Amount,
    },
    /// Its response broke off, or did not say what it used.
    Cut {
        /// When.
        at: Time,
        /// Of which request.
        id: u64,
        /// What is counted: what is known of the input, and `max_tokens`.
        tokens: Tokens,
        /// The most it can have cost.
        cost: Amount,
        /// Why.
        why: String,
    },
    /// A request was refused because the run has used what it may.
    Refused {
        /// When.
        at: Time,
        /// Why.
        why: String,
    },
    /// The service named a time from which on it takes requests again.
    Wait {
        /// When.
        at: Time,
        /// Until when.
        until: Time,
        /// HTTP status.
        status: u16,
        /// Its headers about limits.
        quota: BTreeMap<String, String>,
    },
    /// A request came with a token that is not the run's.
    Alarm {
        /// When.
        at: Time,
        /// What happened, for people; never the token.
        text: String,
    },
}

/// What a journal comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// What was used; where `cut` is not 0, at most.
    pub spent: Amount,
    /// Tokens.
    pub tokens: Tokens,
    /// Is it included in a subscription?
    pub included: bool,
    /// Requests that went out.
    pub requests: u64,
    /// Responses that broke off or did not say what they used: counted at the most they can have cost.
    pub cut: u64,
    /// Models whose price is not in the list.
    pub unpriced: Vec<String>,
    /// Was a request refused because of what the run had used? Why.
    pub refused: Option<String>,
    /// The newest time a service named, and when it did.
    pub wait: Option<(Time, Time)>,
    /// Alarms, the oldest first, each text once.
    pub alarms: Vec<String>,
}

/// Most alarms that are kept.
const MOST_ALARMS: usize = 20;

impl Totals {
    fn take(&mut self, record: Record, open: &mut BTreeMap<u64, Amount>) {
        match record {
            Record::Begun { included, .. } => self.included = included,
            Record::Asked { id, model, priced, most, .. } => {
                self.requests += 1;
                open.insert(id, most);
                if !priced && !self.unpriced.contains(&model) && self.unpriced.len() < MOST_ALARMS {
                    self.unpriced.push(model);
                }
            }
            Record::Ended { id, tokens, cost, .. } => {
                open.remove(&id);
                self.spent = self.spent.and(cost);
                self.tokens = self.tokens.and(&tokens);
            }
            Record::Cut { id, tokens, cost, .. } => {
                open.remove(&id);
                self.cut += 1;
                self.spent = self.spent.and(cost);
                self.tokens = self.tokens.and(&tokens);
            }
            Record::Refused { why, .. } => self.refused = Some(why),
            Record::Wait { at, until, .. } => self.wait = Some((at, until)),
            Record::Alarm { text, .. } => {
                if self.alarms.len() < MOST_ALARMS && !self.alarms.contains(&text) {
                    self.alarms.push(text);
                }
            }
        }
    }
}

/// Reads a journal; one that is not there has nothing in it. A last line without its end was being written when everything
/// stopped, and says nothing that is not known; another line that cannot be read counts for nothing.
///
/// # Errors
/// The file is there and cannot be read.
pub fn read(path: &Path) -> io::Result<Totals> {
    let mut text = Vec::new();
    match path.symlink_metadata() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Totals::default()),
        Err(e) => return Err(e),
        // Opening a fifo would wait for ever, and a link is somebody else's file.
        Ok(meta) if !meta.is_file() => return Err(io::Error::other("it is no regular file")),
        Ok(_) => File::open(path)?.take(LONGEST).read_to_end(&mut text)?,
    };
    let (mut totals, mut open) = (Totals::default(), BTreeMap::new());
    for line in text.split(|byte| *byte == b'\n') {
        if let Ok(record) = serde_json::from_slice(line) {
            totals.take(record, &mut open);
        }
    }
    // Under way when the journal ended.
    for most in open.into_values() {
        totals.cut += 1;
        totals.spent = totals.spent.and(most);
    }
    Ok(totals)
}

/// A journal that is written.
#[derive(Clone, Debug)]
pub struct Journal {
    file: Arc<Mutex<Written>>,
}

#[derive(Debug)]
struct Written {
    file: File,
    /// The last record may have been written in part: the next one begins a line of its own.
    torn: bool,
}

impl Journal {
    /// Opens it for this user alone, at its end. What a torn last line left is ended first.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::options().append(true).read(true).create(true).mode(0o600).open(path)?;
        let mut last = Vec::new();
        let length = file.metadata()?.len();
        if 0 < length {
            io::Seek::seek(&mut file, io::SeekFrom::Start(length - 1))?;
            file.read_to_end(&mut last)?;
        }
        if last.first().is_some_and(|byte| *byte != b'\n') {
            file.write_all(b"\n")?;
        }
        Ok(Self { file: Arc::new(Mutex::new(Written { file, torn: false })) })
    }

    /// Appends a record. It survives the death of this process from here on.
    ///
    /// # Errors
    /// It cannot be written: then nothing may go on as if it had been.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        let mut written = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = if written.torn { vec![b'\n'] } else { Vec::new() };
        serde_json::to_writer(&mut line, record)?;
        line.push(b'\n');
        written.torn = true;
        written.file.write_all(&line)?;
        written.torn = false;
        Ok(())
    }

    /// Returns when all that was written is on disk.
    ///
    /// # Errors
    /// It cannot be brought there.
    pub async fn sync(&self) -> io::Result<()> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner).file.try_clone()?;
        tokio::task::spawn_blocking(move || file.sync_data()).await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(micro_usd: u64) -> Amount {
        Amount { micro_usd, tokens: micro_usd / 10 }
    }
    fn asked(id: u64, most: u64) -> Record {
        Record::Asked { at: Time(1), id, model: "m".into(), priced: id != 2, most: usd(most) }
    }
    fn ended(id: u64, cost: u64) -> Record {
        let tokens = Tokens { input: 10, output: 5, ..Tokens::default() };
        Record::Ended { at: Time(2), id, status: 200, tokens, cost: usd(cost) }
    }

    #[test]
    fn an_ended_response_counts_exactly_and_an_open_one_at_the_most_it_can_cost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("usage.jsonl");
        assert_eq!(read(&path).unwrap(), Totals::default());
        let journal = Journal::open(&path).unwrap();
        for record in [asked(1, 900), asked(2, 800), ended(1, 300)] {
            journal.write(&record).unwrap();
        }
        let at = |path: &Path| {
            let totals = read(path).unwrap();
            (totals.spent.micro_usd, totals.cut, totals.requests)
        };
        assert_eq!(at(&path), (1_100, 1, 2), "the second one is under way");
        assert_eq!(read(&path).unwrap().unpriced, ["m"]);
        journal.write(&ended(2, 50)).unwrap();
        assert_eq!(at(&path), (350, 0, 2));
    }

    #[test]
    fn a_journal_cut_at_any_byte_is_never_too_cheap_for_what_had_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("usage.jsonl");
        let journal = Journal::open(&path).unwrap();
        for record in [asked(1, 900), ended(1, 300), asked(2, 800), ended(2, 50)] {
            journal.write(&record).unwrap();
        }
        let whole = std::fs::read(&path).unwrap();
        for at in 0..=whole.len() {
            std::fs::write(&path, &whole[..at]).unwrap();
            let lines = whole[..at].split(|byte| *byte == b'\n').count() - 1;
            let spent = read(&path).unwrap().spent.micro_usd;
            let torn = whole.get(at) == Some(&b'\n');
            let want = [0, 900, 300, 1_100, 350];
            assert!(spent == want[lines] || torn && spent == want[lines + 1], "cut at {at}: {spent}");
            // Who goes on writes whole lines behind it.
            let again = Journal::open(&path).unwrap();
            again.write(&asked(7, 1)).unwrap();
            assert_eq!(read(&path).unwrap().spent.micro_usd, spent + 1, "cut at {at}");
        }
    }

    #[test]
    fn what_is_no_journal_is_said_and_garbage_in_one_counts_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).is_err());
        let path = dir.path().join("usage.jsonl");
        std::fs::write(&path, "\u{0}\u{0}\n{}\n[1]\n{\"what\":\"of the future\"}\n").unwrap();
        assert_eq!(read(&path).unwrap(), Totals::default());
        let journal = Journal::open(&path).unwrap();
        journal.write(&Record::Wait { at: Time(5), until: Time(9), status: 429, quota: BTreeMap::new() }).unwrap();
        journal.write(&Record::Alarm { at: Time(6), text: "an unknown token".into() }).unwrap();
        journal.write(&Record::Refused { at: Time(6), why: "used up".into() }).unwrap();
        let totals = read(&path).unwrap();
        assert_eq!(
            (totals.wait, totals.alarms.len(), totals.refused.as_deref()),
            (Some((Time(5), Time(9))), 1, Some("used up"))
        );
        use std::os::unix::fs::PermissionsExt;
        let fresh = dir.path().join("fresh.jsonl");
        Journal::open(&fresh).unwrap();
        assert_eq!(fresh.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
