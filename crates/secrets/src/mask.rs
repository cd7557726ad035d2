//! How a secret may be spoken of: a few of its first characters and a keyed fingerprint. The secret itself never leaves
//! the scan; what is shown tells neither its length nor more than a quarter of it, and without the key nobody can try
//! guesses against a fingerprint.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The same number for every secret, so that it says nothing about the length.
const STARS: &str = "********";
/// Up to this many characters nothing at all is shown.
const ALL_MASKED: usize = 8;
/// Most characters that are ever shown.
const MOST_SHOWN: usize = 4;

/// The secret as people may see it.
pub(crate) fn masked(secret: &[u8]) -> String {
    let shown = if secret.len() <= ALL_MASKED { 0 } else { (secret.len() / 4).min(MOST_SHOWN) };
    let head: String = secret[..shown].iter().take_while(|b| b.is_ascii_graphic()).map(|b| *b as char).collect();
    head + STARS
}

/// Makes fingerprints with one key.
#[derive(Clone)]
pub(crate) struct Fingerprints {
    mac: Hmac<Sha256>,
}

impl Fingerprints {
    /// # Panics
    /// Never: HMAC takes a key of any length.
    pub(crate) fn new(key: &[u8]) -> Fingerprints {
        match Hmac::<Sha256>::new_from_slice(key) {
            Ok(mac) => Fingerprints { mac },
            Err(_) => unreachable!("HMAC takes a key of any length"),
        }
    }

    /// Sixteen hexadecimal digits over rule and secret.
    pub(crate) fn of(&self, rule: &str, secret: &[u8]) -> String {
        let mut mac = self.mac.clone();
        mac.update(rule.as_bytes());
        mac.update(&[0]);
        mac.update(secret);
        let digest = mac.finalize().into_bytes();
        let first = digest.iter().take(8).fold(0_u64, |number, b| (number << 8) | u64::from(*b));
        format!("{first:016x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_secret_is_masked_whole_and_a_long_one_shows_a_quarter_at_most() {
        assert_eq!(masked(b""), STARS);
        assert_eq!(masked(b"hunter22"), STARS);
        assert_eq!(masked(b"abcdefghi"), format!("ab{STARS}"));
        assert_eq!(masked(b"abcdefghijklmnop"), format!("abcd{STARS}"));
        assert_eq!(masked(&[b'q'; 5_000]), format!("qqqq{STARS}"));
        assert_eq!(masked("äbcdefghijklmnop".as_bytes()), STARS, "no half characters");
    }

    #[test]
    fn a_fingerprint_is_the_same_again_and_differs_by_key_rule_and_secret() {
        let of = |key: &[u8], rule, secret: &[u8]| Fingerprints::new(key).of(rule, secret);
        let one = of(b"key", "rule", b"secret");
        assert_eq!(one.len(), 16);
        assert_eq!(one, of(b"key", "rule", b"secret"));
        for other in [of(b"kez", "rule", b"secret"), of(b"key", "rulf", b"secret"), of(b"key", "rule", b"secreu")] {
            assert_ne!(one, other);
        }
    }
}
