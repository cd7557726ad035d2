//! Reads lines of shell as far as it takes to see what they run: words with their quotes, variables and substitutions,
//! commands, pipes, groups, here-documents. It runs nothing and refuses nothing: what it cannot make sense of it passes
//! over, because a guard too many costs a question and a line that is not read costs a guard.

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text as it stands.
    Text(String),
    /// `*`, `?` or a bracket, not quoted.
    Glob(char),
    /// `$name` or `${name...}`: its name, what stands behind the name, and whether it is quoted.
    Variable(String, String, bool),
    /// `$(...)` or backquotes: the commands inside.
    Commands(String),
    /// `<(...)`: a file that holds what the commands print.
    Process(String),
}

/// A word, before variables are put in.
pub(super) type Word = Vec<Piece>;

/// What a script does, in the order it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A subshell begins: what changes in it is forgotten behind it.
    Open,
    /// It ends.
    Close,
    /// A command.
    Run(Simple),
}

/// One command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Simple {
    /// Program and arguments; assignments before them included.
    pub(super) words: Vec<Word>,
    /// Files it reads by `<`.
    pub(super) reads: Vec<Word>,
    /// Text it reads by `<<` or `<<<`.
    pub(super) here: Option<String>,
    /// Is it one of several that a pipe connects?
    pub(super) piped: bool,
}

struct Reader {
    rest: Vec<char>,
    at: usize,
    items: Vec<Item>,
    now: Simple,
    word: Word,
    in_word: bool,
    /// Where the next word goes: `<` a file to be read, `>` a file to be written, `d` the mark of a here-document.
    into: Option<char>,
    /// Here-documents whose text begins on the next line: mark, and whether tabs before it are taken away.
    here: Vec<(String, bool)>,
    /// Index of the command the here-documents belong to.
    here_of: Option<usize>,
    pipe: bool,
}

/// The commands of a script.
pub(super) fn read(text: &str) -> Vec<Item> {
    let mut reader = Reader {
        rest: text.chars().collect(),
        at: 0,
        items: Vec::new(),
        now: Simple::default(),
        word: Vec::new(),
        in_word: false,
        into: None,
        here: Vec::new(),
        here_of: None,
        pipe: false,
    };
    reader.script();
    reader.items
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    fn script(&mut self) {
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match c {
                '\\' if self.peek(0) == Some('\n') => self.at += 1,
                '\\' => {
                    let next = self.peek(0).map(String::from).unwrap_or_default();
                    self.at += 1;
                    self.text(&next);
                }
                '\'' => {
                    let inside = self.until('\'');
                    self.text(&inside);
                }
                '"' => self.quoted(),
                '$' if matches!(self.peek(0), Some('\'' | '"')) => {}
                '$' => self.dollar(false),
                '`' => {
                    let inside = self.until('`').replace("\\`", "`");
                    self.piece(Piece::Commands(inside));
                }
                '#' if !self.in_word => {
                    while self.peek(0).is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                '*' | '?' | '[' | ']' => self.piece(Piece::Glob(c)),
                ' ' | '\t' | '\r' => self.end_word(),
                '\n' => {
                    self.end_command(false);
                    self.documents();
                }
                ';' => self.end_command(false),
                '&' if self.peek(0) == Some('>') => {
                    self.end_word();
                    self.at += 1;
                    self.into = Some('>');
                }
                '&' => {
                    if self.into.is_none() {
                        self.end_command(false);
                    }
                }
                '|' => {
                    let is_or = self.peek(0) == Some('|');
                    if is_or || self.peek(0) == Some('&') {
                        self.at += 1;
                    }
                    self.end_command(!is_or);
                }
                '(' if matches!((self.peek(0), self.in_word), (Some(')'), _)) => {
                    // The head of a function.
                    self.at += 1;
                    self.end_word();
                    self.now = Simple::default();
                }
                '(' if !self.in_word => {
                    self.end_command(false);
                    self.items.push(Item::Open);
                }
                ')' => {
                    self.end_command(false);
                    self.items.push(Item::Close);
                }
                '<' | '>' if self.peek(0) == Some('(') => {
                    self.at += 1;
                    let inside = self.bracket();
                    self.piece(Piece::Process(inside));
                }
                '<' if self.peek(0) == Some('<') && self.peek(1) == Some('<') => {
                    self.at += 2;
                    self.end_word();
                    self.into = Some('t');
                }
                '<' if self.peek(0) == Some('<') => {
                    self.at += 1;
                    self.end_word();
                    let tabs = self.peek(0) == Some('-');
                    self.at += usize::from(tabs);
                    self.into = Some(if tabs { 'D' } else { 'd' });
                }
                '<' | '>' => {
                    // `2>`: a number before it is no word.
                    let number = matches!(&self.word[..], [Piece::Text(t)] if t.chars().all(|c| c.is_ascii_digit()));
                    if number {
                        self.word.clear();
                        self.in_word = false;
                    }
                    self.end_word();
                    while matches!(self.peek(0), Some('>' | '&' | '|')) {
                        self.at += 1;
                    }
                    self.into = Some(c);
                }
                other => self.text(&other.to_string()),
            }
        }
        self.end_command(false);
    }

    fn text(&mut self, text: &str) {
        self.in_word = true;
        match self.word.last_mut() {
            Some(Piece::Text(before)) => before.push_str(text),
            _ => self.word.push(Piece::Text(text.to_owned())),
        }
    }

    fn piece(&mut self, piece: Piece) {
        self.in_word = true;
        self.word.push(piece);
    }

    fn end_word(&mut self) {
        if !self.in_word {
            return;
        }
        let word = std::mem::take(&mut self.word);
        self.in_word = false;
        match self.into.take() {
            Some('<') => self.now.reads.push(word),
            Some('t') => self.now.here = Some(plain(&word)),
            Some(c @ ('d' | 'D')) => self.here.push((plain(&word), c == 'D')),
            Some(_) => {}
            None => self.now.words.push(word),
        }
    }

    fn end_command(&mut self, into_pipe: bool) {
        self.end_word();
        self.into = None;
        let mut simple = std::mem::take(&mut self.now);
        simple.piped = self.pipe || into_pipe;
        self.pipe = into_pipe;
        let has_text = !self.here.is_empty() && self.here_of.is_none();
        if !simple.words.is_empty() || !simple.reads.is_empty() || simple.here.is_some() || has_text {
            if has_text {
                self.here_of = Some(self.items.len());
            }
            self.items.push(Item::Run(simple));
        }
    }

    /// The texts of the here-documents of the line that ended.
    fn documents(&mut self) {
        let of = self.here_of.take();
        for (mark, tabs) in std::mem::take(&mut self.here) {
            let mut body = String::new();
            while self.at < self.rest.len() {
                let end = self.rest[self.at..].iter().position(|c| *c == '\n').map_or(self.rest.len(), |n| self.at + n);
                let line: String = self.rest[self.at..end].iter().collect();
                self.at = (end + 1).min(self.rest.len());
                let line = if tabs { line.trim_start_matches('\t') } else { &line };
                if line == mark {
                    break;
                }
                body.push_str(line);
                body.push('\n');
            }
            if let Some(Item::Run(simple)) = of.and_then(|at| self.items.get_mut(at)) {
                simple.here = Some(body);
            }
        }
    }

    fn until(&mut self, end: char) -> String {
        let mut inside = String::new();
        while let Some(c) = self.peek(0) {
            self.at += 1;
            if c == end {
                break;
            }
            inside.push(c);
            if c == '\\' && end == '`' {
                inside.extend(self.peek(0));
                self.at += 1;
            }
        }
        inside
    }

    fn quoted(&mut self) {
        self.in_word = true;
        if self.word.is_empty() {
            self.word.push(Piece::Text(String::new()));
        }
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match c {
                '"' => return,
                '\\' if matches!(self.peek(0), Some('"' | '\\' | '$' | '`' | '\n')) => {
                    let next = self.peek(0).filter(|c| *c != '\n').map(String::from).unwrap_or_default();
                    self.at += 1;
                    self.text(&next);
                }
                '$' => self.dollar(true),
                '`' => {
                    let inside = self.until('`').replace("\\`", "`");
                    self.piece(Piece::Commands(inside));
                }
                other => self.text(&other.to_string()),
            }
        }
    }

    /// Behind a `$`.
    fn dollar(&mut self, quoted: bool) {
        match self.peek(0) {
            Some('(') if self.peek(1) == Some('(') => {
                self.at += 1;
                let _number = self.bracket();
                self.piece(Piece::Variable("((".into(), String::new(), quoted));
            }
            Some('(') => {
                self.at += 1;
                let inside = self.bracket();
                self.piece(Piece::Commands(inside));
            }
            Some('{') => {
                self.at += 1;
                let mut inside = String::new();
                let mut depth = 1;
                while let Some(c) = self.peek(0) {
                    self.at += 1;
                    depth += i32::from(c == '{') - i32::from(c == '}');
                    if depth == 0 {
                        break;
                    }
                    inside.push(c);
                }
                let name: String = inside.chars().take_while(|c| c.is_alphanumeric() || "_@*#!".contains(*c)).collect();
                let rest = inside[name.len()..].trim_start_matches("[0]").to_owned();
                self.piece(Piece::Variable(name, rest, quoted));
            }
            Some(c) if c.is_alphabetic() || c == '_' => {
                let mut name = String::new();
                while let Some(c) = self.peek(0).filter(|c| c.is_alphanumeric() || *c == '_') {
                    name.push(c);
                    self.at += 1;
                }
                self.piece(Piece::Variable(name, String::new(), quoted));
            }
            Some(c) if c.is_ascii_digit() || "@*#?!$-".contains(c) => {
                self.at += 1;
                self.piece(Piece::Variable(c.to_string(), String::new(), quoted));
            }
            _ => self.text("$"),
        }
    }

    /// What stands in a bracket whose beginning is behind us, quotes respected.
    fn bracket(&mut self) -> String {
        let mut inside = String::new();
        let (mut depth, mut quote) = (1, None);
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match (quote, c) {
                (Some(q), c) if q == c => quote = None,
                (None, '\'' | '"') => quote = Some(c),
                (Some('\''), _) => {}
                (_, '\\') => {
                    inside.push(c);
                    inside.extend(self.peek(0));
                    self.at += 1;
                    continue;
                }
                (None, '(') => depth += 1,
                (None, ')') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            inside.push(c);
        }
        inside
    }
}

/// A word with what is plain text in it.
fn plain(word: &Word) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Glob(c) => c.to_string(),
        _ => String::new(),
    };
    word.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<String>> {
        let run = |item: Item| match item {
            Item::Run(simple) => Some(simple.words.iter().map(plain).collect()),
            _ => None,
        };
        read(text).into_iter().filter_map(run).collect()
    }

    #[test]
    fn commands_are_split_as_a_shell_splits_them() {
        for (text, expected) in [
            ("sh ci/all.sh", vec![vec!["sh", "ci/all.sh"]]),
            ("a && b||c; d | e & f", vec![vec!["a"], vec!["b"], vec!["c"], vec!["d"], vec!["e"], vec!["f"]]),
            ("cd dir && './run tests.sh' \"a b\"", vec![vec!["cd", "dir"], vec!["./run tests.sh", "a b"]]),
            ("a \\\n  b # not c\nd", vec![vec!["a", "b"], vec!["d"]]),
            ("x 2>&1 >out <in y", vec![vec!["x", "y"]]),
            ("( cd a; ./b )", vec![vec!["cd", "a"], vec!["./b"]]),
            ("f() { ./x; }", vec![vec!["{", "./x"], vec!["}"]]),
            ("echo a#b", vec![vec!["echo", "a#b"]]),
            ("./r\\un.sh ''", vec![vec!["./run.sh", ""]]),
            ("a &> log b", vec![vec!["a", "b"]]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn what_a_word_is_made_of_is_kept() {
        let word = |text: &str| match read(text).remove(0) {
            Item::Run(mut simple) => simple.words.remove(0),
            other => panic!("{other:?}"),
        };
        let variable = |name: &str, rest: &str, quoted| Piece::Variable(name.into(), rest.into(), quoted);
        assert_eq!(
            word("\"$(dirname \"$0\")\"/x"),
            [Piece::Text(String::new()), Piece::Commands("dirname \"$0\"".into()), Piece::Text("/x".into())]
        );
        assert_eq!(word("${BASH_SOURCE[0]%/*}/x"), [variable("BASH_SOURCE", "%/*", false), Piece::Text("/x".into())]);
        assert_eq!(word("ci/*.sh"), [Piece::Text("ci/".into()), Piece::Glob('*'), Piece::Text(".sh".into())]);
        assert_eq!(word("`pwd`"), [Piece::Commands("pwd".into())]);
        assert_eq!(word("<(cat a)"), [Piece::Process("cat a".into())]);
    }

    #[test]
    fn a_text_that_is_fed_to_a_command_belongs_to_it() {
        let items = read("bash -s <<'END' && ./later\n./inside\nEND\n./behind < file\nsh <<< './word'\n");
        let runs: Vec<Simple> =
            items.into_iter().filter_map(|i| if let Item::Run(s) = i { Some(s) } else { None }).collect();
        assert_eq!(runs[0].here.as_deref(), Some("./inside\n"));
        assert_eq!(runs.iter().map(|s| plain(&s.words[0])).collect::<Vec<_>>(), ["bash", "./later", "./behind", "sh"]);
        assert_eq!(runs[2].reads.iter().map(plain).collect::<Vec<_>>(), ["file"]);
        assert_eq!(runs[3].here.as_deref(), Some("./word"));
    }

    #[test]
    fn nothing_it_is_given_makes_it_fail() {
        for text in
            ["'", "\"", "$", "${", "$(", "`", "\\", "<<", "<<E", "(((", ")))", "|&|&", "a<", "$((", "f(", "${é}"]
        {
            let _ = read(text);
        }
    }
}
