//! What a difference between two commits is for people: its files with what came and went, and its text. Both have an end,
//! however large the difference is, and say where they were cut.

/// How much of a difference is read; what is beyond it is never held in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiffLimits {
    /// Most text, bytes; 0: no text is read.
    pub text: usize,
    /// Most text of one file, bytes: the first large one does not hide the others.
    pub file: usize,
    /// Most files that are listed.
    pub files: usize,
    /// Longest line, bytes; the rest of it is left out, and the line says so.
    pub line: usize,
}

impl Default for DiffLimits {
    fn default() -> Self {
        Self { text: 1024 * 1024, file: 128 * 1024, files: 2_000, line: 2_000 }
    }
}

/// What a path stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A file with content of its own.
    File,
    /// A symbolic link: its content is where it leads.
    Link,
    /// Another repository's commit: its content is not here.
    Submodule,
}

/// A file that is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffFile {
    /// Path; what is not UTF-8 in it is replaced.
    pub path: String,
    /// `A`, `M`, `D` or `T`. A file that has another name now is one that went and one that came.
    pub how: char,
    /// What it stands for; what it stood for where it is gone.
    pub kind: EntryKind,
    /// Lines that came and lines that went; nothing for what has no lines, and where they could not be counted in time.
    pub lines: Option<(u64, u64)>,
    /// Its content is not text: it is named and not shown.
    pub binary: bool,
}

/// A difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// The files by path, as many as the limit allows.
    pub files: Vec<DiffFile>,
    /// How many there are, listed or not.
    pub total: u64,
    /// Unified, as git writes it; what is not UTF-8 in it is replaced. It ends with a whole line.
    pub text: String,
    /// There is more text than this.
    pub text_cut: bool,
    /// Files of which lines of the text are left out; a line that begins with `…` stands in their place.
    pub files_cut: u64,
    /// Lines of the text that are not whole.
    pub lines_cut: u64,
}
