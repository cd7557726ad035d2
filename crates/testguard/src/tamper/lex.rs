//! Source text as tokens: what is code, what is a string, and where. It decides nothing about tests; it makes sure that a
//! comment or a string is never taken for one. Each language says where its comments and texts are; the rest is common.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word: name or keyword.
    Word,
    /// A number.
    Number,
    /// A text with its quotes.
    Text,
    /// One character of anything else.
    Mark,
}

/// One token of the original source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// Line, from 1.
    pub(super) line: u32,
    /// Width of what stands before it on its line; a tab goes to the next multiple of 8.
    pub(super) column: usize,
    /// Of an opening bracket: how many tokens it holds, both brackets included; up to the end if nothing closes it.
    pub(super) holds: usize,
}

impl Token<'_> {
    /// Is it this word or this character (never a text)?
    pub(super) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.text == text
    }
}

/// A stretch of source that is no code, by byte offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) start: usize,
    pub(super) end: usize,
    /// A text is a token, a comment is nothing.
    pub(super) is_text: bool,
}

/// Where the comments and texts of a source are, in order, without overlaps.
pub(super) type Stretches = fn(&str) -> Vec<Stretch>;

/// Takes a source apart.
pub(super) fn tokens(source: &str, stretches: Stretches) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut line, mut column) = (1_u32, 0_usize);
    let mut apart = stretches(source).into_iter().peekable();
    let mut at = 0;
    while at < source.len() {
        let rest = &source[at..];
        let Some(c) = rest.chars().next() else { break };
        let (kind, length) = match apart.peek().copied() {
            Some(stretch) if stretch.start == at && stretch.end > at => {
                apart.next();
                (stretch.is_text.then_some(Kind::Text), stretch.end - at)
            }
            next => {
                let limit = next.map_or(rest.len(), |s| s.start - at);
                let (kind, length) = plain(rest, c);
                (kind, length.min(limit.max(c.len_utf8())))
            }
        };
        let text = &rest[..length];
        if let Some(kind) = kind {
            tokens.push(Token { kind, text, line, column, holds: 0 });
        }
        for c in text.chars() {
            match c {
                '\n' => (line, column) = (line + 1, 0),
                '\t' => column = (column / 8 + 1) * 8,
                _ => column += 1,
            }
        }
        at += length;
    }
    pair(&mut tokens);
    tokens
}

/// Finds the end of every bracket in one pass, so that nested ones that are never closed cost nothing more.
pub(super) fn pair(tokens: &mut [Token<'_>]) {
    let mut open = Vec::new();
    for at in 0..tokens.len() {
        match tokens[at].text {
            "(" | "[" | "{" if tokens[at].kind == Kind::Mark => open.push(at),
            ")" | "]" | "}" if tokens[at].kind == Kind::Mark => {
                if let Some(from) = open.pop() {
                    let token: &mut Token<'_> = &mut tokens[from];
                    token.holds = at + 1 - from;
                }
            }
            _ => {}
        }
    }
    for from in open {
        tokens[from].holds = tokens.len() - from;
    }
}

/// Kind and length of what begins here; white space is nothing.
fn plain(rest: &str, c: char) -> (Option<Kind>, usize) {
    let while_in = |of: fn(char) -> bool| rest.find(|c| !of(c)).unwrap_or(rest.len());
    if c.is_whitespace() {
        (None, c.len_utf8())
    } else if c.is_ascii_digit() {
        (Some(Kind::Number), while_in(|c| c.is_alphanumeric() || c == '_'))
    } else if is_word(c) {
        (Some(Kind::Word), while_in(is_word))
    } else {
        (Some(Kind::Mark), c.len_utf8())
    }
}

/// Can this stand in a name?
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// The token behind the bracket that `open` (an index) opens, or the end. Brackets of all kinds count.
pub(super) fn behind(tokens: &[Token<'_>], open: usize) -> usize {
    tokens.get(open).map_or(tokens.len(), |token| (open + token.holds.max(1)).min(tokens.len()))
}

/// Do the tokens from `at` on begin with these words and characters?
pub(super) fn begins(tokens: &[Token<'_>], at: usize, with: &[&str]) -> bool {
    tokens.len() >= at + with.len() && with.iter().zip(&tokens[at..]).all(|(text, token)| token.is(text))
}

/// The end of a text that begins at `start` with a quote of one byte and knows the escape `\`; `multiline` if it may go
/// over lines. A text that is not closed ends with its line or with the source.
pub(super) fn quoted(source: &[u8], start: usize, multiline: bool) -> usize {
    let quote = source[start];
    let mut at = start + 1;
    while at < source.len() {
        match source[at] {
            b'\\' => at += 1,
            b'\n' if !multiline => return at,
            c if c == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    source.len()
}

/// The end of a comment that goes to the end of its line.
pub(super) fn to_line_end(source: &[u8], start: usize) -> usize {
    source[start..].iter().position(|b| *b == b'\n').map_or(source.len(), |n| start + n)
}

/// The offset behind `end`, searched from `from` on.
pub(super) fn to(source: &[u8], from: usize, end: &[u8]) -> usize {
    let from = from.min(source.len());
    source[from..].windows(end.len()).position(|w| w == end).map_or(source.len(), |n| from + n + end.len())
}
