//! The token of a run. It opens this run's proxy and nothing else, so the program may read it. Any other token is an alarm: the
//! program was made to send somebody's key.

use std::fmt;

/// Begins every token, so that people who find one know what it is.
pub const PREFIX: &str = "orch-run-";

/// A token.
#[derive(Clone, PartialEq, Eq)]
pub struct RunToken(String);

impl RunToken {
    /// A new one, of 256 random bits.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn new() -> std::io::Result<Self> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|e| std::io::Error::other(e.to_string()))?;
        Ok(Self(bytes.iter().fold(PREFIX.to_owned(), |text, byte| format!("{text}{byte:02x}"))))
    }

    /// For the program.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Is this it? Takes as long for a wrong one as for the right one.
    pub fn is(&self, given: &str) -> bool {
        let (own, given) = (self.0.as_bytes(), given.as_bytes());
        let differs = own.iter().zip(given).fold(0_u8, |all, (a, b)| all | (a ^ b));
        own.len() == given.len() && differs == 0
    }
}

impl fmt::Debug for RunToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_own_and_nothing_else() {
        let (one, other) = (RunToken::new().unwrap(), RunToken::new().unwrap());
        assert!(one.is(one.expose()) && !one.is(other.expose()));
        for wrong in ["", PREFIX, &one.expose()[1..], &format!("{}0", one.expose()), "sk-ant-0123456789"] {
            assert!(!one.is(wrong), "{wrong}");
        }
        assert_eq!(format!("{one:?}"), "***");
    }
}
