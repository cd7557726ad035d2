//! Planted secrets and look-alikes, for tests and for measuring. What is planted is written down from the providers'
//! documentation and never from the rules: a generator that asked the rules would only prove that they match themselves.
//! Everything is put together at run time from parts and a seed, so that no file of this repository holds a secret.

mod kinds;
mod lookalikes;

pub use kinds::{HELD_OUT, kinds};
pub use lookalikes::lookalikes;

/// A secret in the surroundings it would have in a repository.
#[derive(Clone, PartialEq, Eq)]
pub struct Planted {
    /// What it is: `github_classic`.
    pub kind: &'static str,
    /// The part that must not be shown.
    pub secret: String,
    /// A path it could have.
    pub path: String,
    /// The text of the file.
    pub text: String,
}

impl std::fmt::Debug for Planted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Planted").field("kind", &self.kind).field("path", &self.path).finish_non_exhaustive()
    }
}

/// Something that is no secret and looks like one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookAlike {
    /// What it is: `git_sha`.
    pub kind: &'static str,
    /// A path it could have.
    pub path: String,
    /// The text of the file.
    pub text: String,
}

/// The alphabets tokens are made of.
pub(crate) const DIGITS: &str = "0123456789";
pub(crate) const HEX: &str = "0123456789abcdef";
pub(crate) const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
pub(crate) const LOWER: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
pub(crate) const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
pub(crate) const URLSAFE: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
pub(crate) const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A seeded source of numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.roll() % end.max(1) as u64) as usize
    }

    /// A number from a range, both ends included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high + 1 - low)
    }

    /// One of these.
    pub fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// So many characters of an alphabet.
    pub fn text(&mut self, alphabet: &str, length: usize) -> String {
        let letters = alphabet.as_bytes();
        (0..length).map(|_| letters[self.below(letters.len())] as char).collect()
    }

    /// A random UUID.
    pub fn uuid(&mut self) -> String {
        let part = |n, dice: &mut Dice| dice.text(HEX, n);
        format!("{}-{}-4{}-a{}-{}", part(8, self), part(4, self), part(3, self), part(3, self), part(12, self))
    }

    /// Random bytes in base64, in lines of 64 characters.
    pub fn base64_lines(&mut self, lines: usize, last: usize) -> String {
        let mut text = String::new();
        for _ in 0..lines {
            text += &self.text(BASE64, 64);
            text.push('\n');
        }
        text + &self.text(BASE64, last) + "==\n"
    }
}

/// Base64 with padding.
pub fn to_base64(bytes: &[u8]) -> String {
    let letters = BASE64.as_bytes();
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let held = chunk.iter().fold(0_u32, |held, b| (held << 8) | u32::from(*b)) << (8 * (3 - chunk.len()));
        for n in 0..4 {
            let letter = if n > chunk.len() { b'=' } else { letters[(held >> (18 - 6 * n)) as usize & 63] };
            text.push(letter as char);
        }
    }
    text
}
