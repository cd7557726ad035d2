//! Lines out of what a program prints, piece by piece. A line may be as long as [`LONGEST`]; a longer one is left out whole
//! and counted, so that a program cannot fill the memory.

/// Longest line, bytes. Claude Code prints a tool's whole result on one line: 1.6 MB were seen.
pub const LONGEST: usize = 64 * 1024 * 1024;

/// A line, or that there was one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Its bytes, without the line break.
    Whole(Vec<u8>),
    /// It was longer than the limit; how long, bytes.
    TooLong(usize),
}

/// Collects lines.
#[derive(Debug)]
pub struct Lines {
    longest: usize,
    open: Vec<u8>,
    /// Bytes of the open line that were left out.
    dropped: usize,
}

impl Default for Lines {
    fn default() -> Self {
        Self::new(LONGEST)
    }
}

impl Lines {
    /// With another limit.
    pub fn new(longest: usize) -> Self {
        Self { longest, open: Vec::new(), dropped: 0 }
    }

    /// Takes a piece; gives the lines that end in it.
    pub fn push(&mut self, mut piece: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        while let Some(end) = piece.iter().position(|b| *b == b'\n') {
            self.grow(&piece[..end]);
            lines.extend(self.take());
            piece = &piece[end + 1..];
        }
        self.grow(piece);
        lines
    }

    /// The line that was open when the output ended, if it has anything in it.
    pub fn finish(&mut self) -> Option<Line> {
        self.take()
    }

    fn grow(&mut self, piece: &[u8]) {
        if 0 < self.dropped || self.longest < self.open.len() + piece.len() {
            self.dropped += self.open.len() + piece.len();
            self.open = Vec::new();
        } else {
            self.open.extend_from_slice(piece);
        }
    }

    /// Empty lines say nothing.
    fn take(&mut self) -> Option<Line> {
        let dropped = std::mem::take(&mut self.dropped);
        let open = std::mem::take(&mut self.open);
        match (dropped, open) {
            (0, open) if open.iter().all(u8::is_ascii_whitespace) => None,
            (0, open) => Some(Line::Whole(open)),
            (n, _) => Some(Line::TooLong(n)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_wherever_the_pieces_are_cut_and_a_long_one_is_left_out_whole() {
        let text = b"one\n\ntwo two\n0123456789abcdef\nthree";
        let whole = |w: &str| Line::Whole(w.as_bytes().to_vec());
        for size in 1..=text.len() {
            let mut lines = Lines::new(10);
            let mut all: Vec<Line> = text.chunks(size).flat_map(|piece| lines.push(piece)).collect();
            all.extend(lines.finish());
            assert_eq!(all, [whole("one"), whole("two two"), Line::TooLong(16), whole("three")], "pieces of {size}");
            assert_eq!(lines.finish(), None);
        }
    }
}
