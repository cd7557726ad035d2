//! What a response says that it used. Read while it passes, in pieces cut anywhere; nothing of it is kept but numbers.
//! What is not understood is passed over, and what a response does not say is not known: then it counts as the most it can
//! have cost.

mod anthropic;
mod eventstream;
mod openai;
mod seen;
mod sse;

pub use seen::{LONGEST, Seen, Tokens};

use crate::routes::Api;
use serde_json::Value;

/// How the body of a response is laid out.
#[derive(Debug)]
enum Layout {
    Sse(sse::Lines),
    Frames(eventstream::Frames),
    /// One JSON value; what is too long is forgotten.
    Json {
        body: Vec<u8>,
        too_long: bool,
    },
}

/// Reads one response.
#[derive(Debug)]
pub struct Reader {
    api: Api,
    layout: Layout,
    seen: Seen,
}

impl Reader {
    /// Of a response of this kind with this content type.
    pub fn new(api: Api, content_type: &str) -> Self {
        let layout = if content_type.starts_with("text/event-stream") {
            Layout::Sse(sse::Lines::default())
        } else if content_type.starts_with("application/vnd.amazon.eventstream") {
            Layout::Frames(eventstream::Frames::default())
        } else {
            Layout::Json { body: Vec::new(), too_long: false }
        };
        Self { api, layout, seen: Seen::default() }
    }

    /// Takes the next piece.
    pub fn feed(&mut self, piece: &[u8]) {
        let (api, seen) = (self.api, &mut self.seen);
        match &mut self.layout {
            Layout::Sse(lines) => lines.push(piece, |line| event(api, line, seen)),
            Layout::Frames(frames) => frames.push(piece, |event_bytes| event(api, event_bytes, seen)),
            Layout::Json { body, too_long } => {
                *too_long |= LONGEST < body.len() + piece.len();
                if *too_long {
                    body.clear();
                } else {
                    body.extend_from_slice(piece);
                }
            }
        }
    }

    /// The response has ended well.
    pub fn finish(&mut self) {
        let (api, seen) = (self.api, &mut self.seen);
        match &mut self.layout {
            Layout::Sse(lines) => lines.finish(|line| event(api, line, seen)),
            Layout::Frames(_) => {}
            Layout::Json { body, .. } => {
                if let Ok(value) = serde_json::from_slice::<Value>(body) {
                    if api.is_anthropic() {
                        anthropic::whole(&value, seen);
                    } else {
                        openai::whole(&value, seen);
                    }
                }
            }
        }
    }

    /// What is known so far.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }
}

/// One event of a stream.
fn event(api: Api, data: &[u8], seen: &mut Seen) {
    // Pieces of text are most of a stream and say nothing of usage: no need to read them.
    if !is_telling(data) {
        return;
    }
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    if api.is_anthropic() {
        anthropic::event(&value, seen);
    } else {
        openai::event(&value, seen);
    }
}

/// May an event say something of usage, or of the end?
fn is_telling(data: &[u8]) -> bool {
    let finds = |word: &[u8]| memchr::memmem::find(data, word).is_some();
    finds(b"\"usage\"") || finds(b"message_stop")
}

#[cfg(test)]
mod tests;
