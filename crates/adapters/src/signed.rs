//! Signatures of deliveries: HMAC-SHA256 over the raw body, as hexadecimal digits in a header. Gitea and Plane sign so.

use hmac::{Hmac, KeyInit as _, Mac as _};
use orch_ports::Secret;
use sha2::Sha256;

/// Was this body signed with one of the secrets? Each of them is tried, whichever fits, and compared in constant time.
pub(crate) fn is_signed(secrets: &[Secret], body: &[u8], signature: Option<&str>) -> bool {
    let Some(given) = signature.and_then(digits) else { return false };
    secrets.iter().filter(|secret| !secret.expose().is_empty()).fold(false, |good, secret| {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else { return good };
        mac.update(body);
        mac.verify_slice(&given).is_ok() | good
    })
}

/// 64 hexadecimal digits.
fn digits(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    const KEY: &str = "Jefe";
    const BODY: &[u8] = b"what do ya want for nothing?";
    const SIGNATURE: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    #[test]
    fn one_of_several_secrets_will_do_and_nothing_else_does() {
        let secrets = |all: &[&str]| all.iter().map(|s| Secret::new(*s)).collect::<Vec<_>>();
        for good in [&[KEY][..], &["old", KEY], &[KEY, "new"]] {
            assert!(is_signed(&secrets(good), BODY, Some(SIGNATURE)), "{good:?}");
        }
        for bad in [&[][..], &["jefe"], &["", "Jef"]] {
            assert!(!is_signed(&secrets(bad), BODY, Some(SIGNATURE)), "{bad:?}");
        }
        let known = secrets(&[KEY]);
        assert!(!is_signed(&known, b"what do ya want for nothing!", Some(SIGNATURE)));
        for signature in [None, Some(""), Some("sha256="), Some(&SIGNATURE[1..]), Some(&SIGNATURE[..62])] {
            assert!(!is_signed(&known, BODY, signature), "{signature:?}");
        }
        assert!(!is_signed(&known, BODY, Some(&"é".repeat(32))));
        assert!(!is_signed(&known, BODY, Some(&format!("+{}", &SIGNATURE[1..]))));
    }

    /// Where a secret is empty, whoever knows that could sign.
    #[test]
    fn an_empty_secret_verifies_nothing() {
        let mac = Hmac::<Sha256>::new_from_slice(b"").unwrap().chain_update(BODY).finalize().into_bytes();
        let signature = mac.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        assert!(!is_signed(&[Secret::new("")], BODY, Some(&signature)));
    }
}
