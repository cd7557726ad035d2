//! Reads a regular expression as Go's RE2 would, and writes it so that Rust's `regex` means the same. Operators bring rule
//! files written for a Go program; where the two languages read one text differently, a rule would silently look for
//! something else. Never guesses: what neither reads stays as it is and is refused by the compiler.
//!
//! The differences: an unescaped `[`, `&&`, `--` or `~~` inside a class, a `{` that opens no repetition, `\Q...\E`, and
//! `\<`. Go: <https://pkg.go.dev/regexp/syntax>, Rust: <https://docs.rs/regex/latest/regex/#syntax>.

use regex::bytes::{Regex, RegexBuilder};

/// Largest program one expression may become, bytes.
const MAX_PROGRAM: usize = 24 << 20;
/// Room for the automaton that is built while it runs, bytes.
const MAX_CACHE: usize = 8 << 20;

/// Compiles an expression in Go's dialect. ASCII classes and byte-wise dots, as in Go for ASCII text; if that cannot
/// express it (`\p{L}`, `[ä]`), Unicode.
pub(crate) fn compile(go: &str) -> Result<Regex, String> {
    let rust = to_rust(go);
    build(&rust, false).or_else(|_| build(&rust, true))
}

fn build(rust: &str, unicode: bool) -> Result<Regex, String> {
    RegexBuilder::new(rust).unicode(unicode).size_limit(MAX_PROGRAM).dfa_size_limit(MAX_CACHE).build().map_err(|e| {
        // The whole message repeats the expression over several lines; the last one says what is wrong.
        let text = e.to_string();
        let last = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it cannot be read").trim();
        last.strip_prefix("error: ").unwrap_or(last).to_owned()
    })
}

/// The same expression in Rust's dialect.
pub(crate) fn to_rust(go: &str) -> String {
    let mut walk = Walk { text: go.chars().collect(), at: 0, out: String::with_capacity(go.len() + 8) };
    while let Some(c) = walk.next() {
        match c {
            '\\' => walk.escape(),
            '[' => walk.class(),
            '{' if !walk.repeats() => walk.out.push_str("\\{"),
            other => walk.out.push(other),
        }
    }
    walk.out
}

struct Walk {
    text: Vec<char>,
    at: usize,
    out: String,
}

impl Walk {
    fn next(&mut self) -> Option<char> {
        let c = self.peek(0);
        self.at += usize::from(c.is_some());
        c
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.text.get(self.at + ahead).copied()
    }

    /// Does `N}`, `N,}` or `N,M}` follow?
    fn repeats(&self) -> bool {
        let mut seen_digit = false;
        let mut seen_comma = false;
        for c in &self.text[self.at..] {
            match c {
                '0'..='9' => seen_digit = true,
                ',' if seen_digit && !seen_comma => seen_comma = true,
                '}' => return seen_digit,
                _ => return false,
            }
        }
        false
    }

    /// After a backslash.
    fn escape(&mut self) {
        match self.next() {
            None => self.out.push('\\'),
            Some('Q') => {
                let literal = self.until_e();
                self.out.push_str(&regex::escape(&literal));
            }
            // In Rust these are the borders of a word.
            Some(c @ ('<' | '>')) => self.out.push(c),
            Some(c) => {
                self.out.push('\\');
                self.out.push(c);
                if matches!(c, 'x' | 'p' | 'P') && self.peek(0) == Some('{') {
                    while let Some(c) = self.next() {
                        self.out.push(c);
                        if c == '}' {
                            break;
                        }
                    }
                }
            }
        }
    }

    fn until_e(&mut self) -> String {
        let mut literal = String::new();
        while let Some(c) = self.next() {
            if c == '\\' && self.peek(0) == Some('E') {
                self.at += 1;
                break;
            }
            literal.push(c);
        }
        literal
    }

    /// After the `[` that opens a class.
    fn class(&mut self) {
        self.out.push('[');
        if self.peek(0) == Some('^') {
            self.at += 1;
            self.out.push('^');
        }
        let mut first = true;
        while let Some(c) = self.next() {
            match c {
                ']' if !first => {
                    self.out.push(']');
                    return;
                }
                '[' if self.peek(0) == Some(':') => self.named_class(),
                _ => self.member(c),
            }
            first = false;
            if self.peek(0) == Some('-') && self.peek(1).is_some_and(|c| c != ']') {
                self.at += 1;
                self.out.push('-');
                if let Some(high) = self.next() {
                    self.member(high);
                }
            }
        }
    }

    /// After `[` of `[:alpha:]`.
    fn named_class(&mut self) {
        self.out.push('[');
        while let Some(c) = self.next() {
            self.out.push(c);
            if c == ']' {
                return;
            }
        }
    }

    fn member(&mut self, c: char) {
        match c {
            '\\' => self.escape(),
            '[' | ']' | '&' | '~' | '-' | '^' => {
                self.out.push('\\');
                self.out.push(c);
            }
            _ => self.out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(go: &str, text: &str) -> bool {
        compile(go).unwrap_or_else(|e| panic!("{go}: {e}")).is_match(text.as_bytes())
    }

    #[test]
    fn what_go_and_rust_read_differently_means_what_go_reads() {
        let cases = [
            (r"^[[a-z]$", "[", true),
            (r"^[[a-z]]$", "q]", true),
            (r"^[a-z&&[^x]]$", "&]", true),
            (r"^[+--]$", ",", true),
            (r"^[--/]$", ".", true),
            (r"^[\w.-]+$", "a.b-c", true),
            (r"^[a-]$", "-", true),
            (r"^[]a]$", "]", true),
            (r"^[^]a]$", "]", false),
            (r"^[~~]$", "~", true),
            (r"^[[:alpha:]_]+$", "ab_", true),
            (r"^\$(?:\d+|{\d+})$", "${12}", true),
            (r"^a{,3}$", "a{,3}", true),
            (r"^a{2}$", "aa", true),
            (r"^a{2,}$", "aaa", true),
            (r"^\Qa.b*\E+$", "a.b***", true),
            (r"^\<b\>$", "<b>", true),
            (r"(?P<name>x)(?<other>y)\z", "xy", true),
            (r"^\x{41}\x42$", "AB", true),
            (r"^\p{Lu}$", "Ä", true),
            (r"^[ä-ü]$", "ö", true),
            (r"(?i)^straße$", "STRAßE", true),
        ];
        for (go, text, expected) in cases {
            assert_eq!(matches(go, text), expected, "{go} on {text}, read as {}", to_rust(go));
        }
    }

    #[test]
    fn what_no_linear_engine_can_do_is_refused_in_one_line() {
        for bad in [r"(?=a)", r"(a)\1", "(", "[a", r"\Z", "a{2000}{2000}{2000}"] {
            let why = compile(bad).expect_err(bad);
            assert!(!why.contains('\n') && !why.is_empty(), "{why}");
        }
    }
}
