//! What is known of a response: its tokens, and how much of them was said.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest line or body that is looked into, bytes. A longer one passes all the same.
pub const LONGEST: usize = 32 * 1024 * 1024;

/// Tokens of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Input that was not in a cache.
    pub input: u64,
    /// Input read from a cache.
    pub cache_read: u64,
    /// Input written into a cache for five minutes.
    pub cache_write: u64,
    /// Input written into a cache for an hour.
    pub cache_write_1h: u64,
    /// Output.
    pub output: u64,
    /// Searches of a tool that the service runs.
    pub searches: u64,
}

impl Tokens {
    /// Input of every kind.
    pub fn input_all(&self) -> u64 {
        [self.cache_read, self.cache_write, self.cache_write_1h].into_iter().fold(self.input, u64::saturating_add)
    }
    /// All of them.
    pub fn all(&self) -> u64 {
        self.input_all().saturating_add(self.output)
    }
    /// Both together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let sum = u64::saturating_add;
        Self {
            input: sum(self.input, other.input),
            cache_read: sum(self.cache_read, other.cache_read),
            cache_write: sum(self.cache_write, other.cache_write),
            cache_write_1h: sum(self.cache_write_1h, other.cache_write_1h),
            output: sum(self.output, other.output),
            searches: sum(self.searches, other.searches),
        }
    }
}

/// What is known of a response so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Tokens, as far as they were said.
    pub tokens: Tokens,
    /// Is the input known?
    pub input_known: bool,
    /// Is the output known? What a stream says of it at its beginning is not it.
    pub output_known: bool,
    /// Has it said all it used?
    pub whole: bool,
    /// The model that answered, if it says so.
    pub model: Option<String>,
}

/// A number of tokens.
pub(crate) fn number(value: &Value, key: &str) -> Option<u64> {
    value.get(key).and_then(Value::as_u64)
}
