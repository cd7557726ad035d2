//! Lines of a stream of server-sent events (html.spec.whatwg.org, "Server-sent events"): the `data` of each. A line may come in
//! any number of pieces, end in CR, LF or both, and be as long as it likes: one beyond [`LONGEST`] is left out, not kept.

use super::seen::LONGEST;

/// A stream under way.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    line: Vec<u8>,
    too_long: bool,
}

impl Lines {
    /// Takes a piece, and gives the data of the lines it completes.
    pub(crate) fn push(&mut self, piece: &[u8], mut data: impl FnMut(&[u8])) {
        for part in piece.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let ends = part.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r'));
            let text = &part[..part.len() - usize::from(ends)];
            self.too_long |= LONGEST < self.line.len() + text.len();
            if self.too_long {
                self.line = Vec::new();
            } else {
                self.line.extend_from_slice(text);
            }
            if ends {
                self.line_is_over(&mut data);
            }
        }
    }

    /// The stream is over: a last line without an end counts.
    pub(crate) fn finish(&mut self, mut data: impl FnMut(&[u8])) {
        self.line_is_over(&mut data);
    }

    fn line_is_over(&mut self, data: &mut impl FnMut(&[u8])) {
        if !self.too_long
            && let Some(value) = self.line.strip_prefix(b"data:")
        {
            data(value.strip_prefix(b" ").unwrap_or(value));
        }
        self.line.clear();
        self.too_long = false;
    }
}
