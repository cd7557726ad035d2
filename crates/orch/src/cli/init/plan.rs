//! A way to run the tests of a repository: what is found out of its files, before anything is run.

/// Lines that prepare a checkout and run its tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Before the tests.
    pub(super) setup: Option<String>,
    /// The tests.
    pub(super) test: String,
    /// The files it was guessed from: `package.json and pnpm-lock.yaml`.
    pub(super) because: String,
    /// Programs it starts that must be on this machine.
    pub(super) tools: Vec<String>,
    /// Programs that its programs may start, as those of a makefile: they get what these need of the environment.
    pub(super) beside: Vec<String>,
    /// What a person should know of it.
    pub(super) notes: Vec<String>,
    /// Other ways, best first: tried if this one is red and the tests themselves are not what is red.
    pub(super) others: Vec<Other>,
}

/// Another way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Other {
    pub(super) setup: Option<String>,
    pub(super) test: String,
    /// What is different: `with what the script "build" makes`.
    pub(super) because: String,
    pub(super) tools: Vec<String>,
    /// As of a plan.
    pub(super) beside: Vec<String>,
    /// Only where something that is built first is missing.
    pub(super) if_generated: bool,
}

impl Plan {
    pub(super) fn new(test: impl Into<String>, because: impl Into<String>, tools: &[&str]) -> Self {
        let tools = tools.iter().map(|tool| (*tool).to_owned()).collect();
        Self { test: test.into(), because: because.into(), tools, ..Self::default() }
    }

    #[must_use]
    pub(super) fn setup(mut self, line: impl Into<String>) -> Self {
        self.setup = Some(line.into());
        self
    }

    #[must_use]
    pub(super) fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// The same, as another way of a plan.
    pub(super) fn other(self, because: impl Into<String>) -> Other {
        let Self { setup, test, tools, beside, .. } = self;
        Other { setup, test, because: because.into(), tools, beside, if_generated: false }
    }

    /// The plan with another way in its place.
    pub(super) fn with(&self, other: &Other) -> Self {
        let Other { setup, test, because, tools, mut beside, .. } = other.clone();
        beside.extend(self.beside.iter().chain(&self.tools).cloned());
        Self { setup, test, because, tools, beside, notes: self.notes.clone(), others: Vec::new() }
    }

    /// The same, done in a directory.
    pub(super) fn in_dir(self, dir: &str) -> Self {
        // A name that begins with `-` would be an option.
        let place = quoted(&if dir.starts_with('-') { format!("./{dir}") } else { dir.to_owned() });
        let there = |line: String| format!("(cd {place} && {line})");
        Self {
            setup: self.setup.map(there),
            test: there(self.test),
            because: format!("{} in {dir}", self.because),
            others: Vec::new(),
            ..self
        }
    }

    /// Both, one after the other.
    pub(super) fn and(self, next: Self) -> Self {
        let setup = match (self.setup, next.setup) {
            (Some(a), Some(b)) => Some(format!("{a} && {b}")),
            (a, b) => a.or(b),
        };
        let (mut tools, mut beside, mut notes) = (self.tools, self.beside, self.notes);
        tools.extend(next.tools);
        beside.extend(next.beside);
        notes.extend(next.notes);
        Self {
            setup,
            test: format!("{} && {}", self.test, next.test),
            because: format!("{} and {}", self.because, next.because),
            tools,
            beside,
            notes,
            others: Vec::new(),
        }
    }
}

/// A word for the shell.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./+@:=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
