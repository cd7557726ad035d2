//! What makes a value a key: the name of its variable, or that it can be nothing else.

/// Words of a variable's name that make its value a key.
const SECRET_WORDS: &[&str] = &[
    "KEY",
    "APIKEY",
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASS",
    "PASSPHRASE",
    "PWD",
    "CREDENTIAL",
    "CREDENTIALS",
    "AUTH",
    "COOKIE",
    "PAT",
];
/// Last words of names whose value is about a key and is none.
const ABOUT: &[&str] = &[
    "PATH", "FILE", "DIR", "URL", "URI", "ID", "NAME", "TYPE", "HELPER", "COMMAND", "ENV", "LIMIT", "TTL", "METHOD",
    "MODE", "DOMAIN", "REGION", "PREFIX", "TIMEOUT",
];

/// Is this the value of a key? By the name of the variable, and because the value could be one.
pub fn looks_like_a_key(variable: &str, value: &str) -> bool {
    let value = value.trim();
    let number = value.len() < 8 && value.parse::<f64>().is_ok();
    if value.is_empty() || number || ["true", "false", "yes", "no", "on", "off"].contains(&value) {
        return false;
    }
    let login = value.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split('/').next().unwrap_or_default();
        authority.split_once('@').is_some_and(|(who, _)| who.contains(':'))
    });
    if login {
        return true;
    }
    if value.starts_with('/') || value.starts_with("~/") {
        return false;
    }
    let upper = variable.to_ascii_uppercase();
    let words: Vec<&str> = upper.split(['_', '-', '.']).collect();
    let about = words.last().is_some_and(|last| ABOUT.contains(last));
    !about && words.iter().any(|word| SECRET_WORDS.contains(word))
}

/// The password in an address, and the login as it stands there.
pub(super) fn password_of(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    let (login, _) = rest.split(['/', '?', '#']).next()?.rsplit_once('@')?;
    Some(login.split_once(':').map_or(login, |(_, password)| password))
}

/// Can a value be nothing but a key? Long, one word, of capitals, small letters and digits; of many hexadecimal digits; or a
/// private key in PEM.
pub(super) fn is_distinctive(value: &str) -> bool {
    let one_word = value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+/=".contains(c));
    let mixed = [char::is_ascii_uppercase, char::is_ascii_lowercase, char::is_ascii_digit];
    let mixed = mixed.iter().all(|kind| value.chars().any(|c| kind(&c)));
    let digits = 32 <= value.len() && value.bytes().all(|b| b.is_ascii_hexdigit());
    20 <= value.len() && one_word && mixed || digits || value.contains("PRIVATE KEY-----")
}
