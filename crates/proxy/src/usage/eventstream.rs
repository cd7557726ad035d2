//! Frames of an Amazon event stream (`application/vnd.amazon.eventstream`; docs.aws.amazon.com, "Event stream encoding"): total
//! length, length of the headers and a checksum, four bytes each, then headers, payload and a checksum. A payload of Bedrock
//! is `{"bytes": "<base64 of an event of the model>"}`. Checksums are the client's to judge. Not tried against the service.

use super::seen::LONGEST;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Bytes in front of the headers, and behind the payload.
const PRELUDE: usize = 12;
const CHECKSUM: usize = 4;

/// A stream under way.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    pending: Vec<u8>,
    /// What is left of a frame that is too long to be kept.
    skip: usize,
    /// It is none: nothing more is read.
    broken: bool,
}

impl Frames {
    /// Takes a piece, and gives the events of the frames it completes.
    pub(crate) fn push(&mut self, mut piece: &[u8], mut event: impl FnMut(&[u8])) {
        if self.broken {
            return;
        }
        let skipped = self.skip.min(piece.len());
        self.skip -= skipped;
        piece = &piece[skipped..];
        self.pending.extend_from_slice(piece);
        let mut at = 0;
        while let Some(prelude) = self.pending.get(at..at + PRELUDE) {
            let word =
                |n: usize| u32::from_be_bytes([prelude[n], prelude[n + 1], prelude[n + 2], prelude[n + 3]]) as usize;
            let (total, headers) = (word(0), word(4));
            if total < PRELUDE + CHECKSUM || total - PRELUDE - CHECKSUM < headers {
                self.broken = true;
                self.pending = Vec::new();
                return;
            }
            if LONGEST < total {
                let there = (self.pending.len() - at).min(total);
                self.skip = total - there;
                at += there;
                continue;
            }
            let Some(frame) = self.pending.get(at..at + total) else { break };
            let payload = &frame[PRELUDE + headers..total - CHECKSUM];
            if let Ok(value) = serde_json::from_slice::<Value>(payload)
                && let Some(text) = value.get("bytes").and_then(Value::as_str)
                && let Ok(bytes) = STANDARD.decode(text)
            {
                event(&bytes);
            }
            at += total;
        }
        self.pending.drain(..at);
    }
}
