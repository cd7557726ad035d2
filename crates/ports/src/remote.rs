//! Where git fetches and pushes, and with which credentials. Prevents that a password is a part of an address: addresses
//! are shown, logged, compared and stored; a secret is none of that, and the one way to its text stands out in a review.

use std::fmt;

/// A token or password. It never prints, and nothing serializes it; and what is one is masked from then on wherever this
/// process shows a text (`masks`).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        let secret = Self(text.into());
        crate::masks::know([secret.expose()]);
        secret
    }
    /// The value of a variable that may be anything: it does not print, and is masked if it is a key.
    pub fn of(name: &str, value: impl Into<String>) -> Self {
        let value = Self(value.into());
        crate::masks::know_of(name, value.expose());
        value
    }
    /// The secret itself, to be handed to whom it is for and nobody else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A repository as git reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// A path or a URL, without credentials.
    pub url: String,
    /// `user:password`, for HTTP's basic authentication. Nothing for paths, for ssh, which has its own ways, and where
    /// anybody may read and write.
    pub credentials: Option<Secret>,
}

impl Remote {
    /// Reads an address as people write it. What stands before the `@` of an HTTP address becomes the credentials.
    pub fn of(address: &str) -> Self {
        let plain = || Self { url: address.to_owned(), credentials: None };
        let Some((scheme, rest)) = address.split_once("://") else { return plain() };
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return plain();
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        match authority.rsplit_once('@') {
            Some((who, host)) => Self {
                url: format!("{scheme}://{host}{path}"),
                credentials: Some(Secret::new(String::from_utf8_lossy(&percent_decoded(who)))),
            },
            None => plain(),
        }
    }

    /// Is it a directory of this machine? Whether anything is new there its files say, at no cost.
    pub fn is_here(&self) -> bool {
        std::path::Path::new(self.url.strip_prefix("file://").unwrap_or(&self.url)).is_absolute()
    }

    /// The same address with these credentials.
    #[must_use]
    pub fn with_password(self, username: &str, password: &Secret) -> Self {
        Self { credentials: Some(Secret::new(format!("{username}:{}", password.expose()))), ..self }
    }
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = vec![];
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%').and_then(|h| u8::from_str_radix(h, 16).ok());
        out.push(hex.unwrap_or(bytes[at]));
        at += if hex.is_some() { 3 } else { 1 };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_leave_the_address_and_are_never_printed() {
        let remote = Remote::of("https://bot:p%40ss@forge:3000/o/r.git");
        assert_eq!(remote.url, "https://forge:3000/o/r.git");
        assert_eq!(remote.credentials.as_ref().map(Secret::expose), Some("bot:p@ss"));
        let secret = Secret::new("p@ss");
        for shown in [format!("{remote:?}"), format!("{secret:?} {secret} {secret:#?}")] {
            assert!(shown.contains("***") && !shown.contains("p@ss") && !shown.contains("bot"), "{shown}");
        }
        let named = Remote::of("HTTP://forge/o/r.git").with_password("bot", &secret);
        assert_eq!((named.url.as_str(), named.credentials.unwrap().expose()), ("HTTP://forge/o/r.git", "bot:p@ss"));
        for plain in ["ssh://git@forge/o/r.git", "git@forge:o/r.git", "/srv/a@b.git", "https://forge/a@b.git"] {
            assert_eq!(Remote::of(plain), Remote { url: plain.into(), credentials: None });
        }
    }
}
