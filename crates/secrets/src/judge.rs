//! Decides whether what an expression found can be a secret: entropy, stand-ins, templates, words. Generic rules ("a long
//! value assigned to something called token") live or die here. The idea is one: take away everything a person would
//! write, words, counting, repetition, and look at what is left. A secret stays, a name does not.
//!
//! A known form (`glpat-...`) is dropped only if it says itself that it is an example.

use crate::residue;

fn counts(bytes: &[u8]) -> [u32; 256] {
    let mut counts = [0; 256];
    for b in bytes {
        counts[usize::from(*b)] += 1;
    }
    counts
}

/// Shannon entropy in bits per byte.
pub(crate) fn entropy(bytes: &[u8]) -> f64 {
    let total = bytes.len() as f64;
    let shares = counts(bytes).into_iter().filter(|n| *n > 0).map(|n| f64::from(n) / total);
    shares.map(|p| -p * p.log2()).sum()
}

/// Words that make even a perfect form an example, lower case.
const EXAMPLES: &str = "example placeholder your- your_ yourtoken changeme redacted ${ {{ < **** ...";

/// Says the text itself that it stands in for a secret? Asked of every built-in rule.
pub(crate) fn stands_in(secret: &[u8]) -> bool {
    let lower = secret.to_ascii_lowercase();
    if holds_any(&lower, EXAMPLES) || is_crossed_out(&lower) {
        return true;
    }
    // "T00000000/B00000000/0000...": one character makes up half of it.
    counts(&lower).into_iter().max().unwrap_or(0) as usize * 2 > lower.len()
}

/// "ghp_xxxx", "sk-xxxxxxxx-xxxx": runs of four and more `x` are a quarter of the text. One such run in a long token is
/// chance: among the tokens of twenty characters every fifty thousandth has one.
fn is_crossed_out(lower: &[u8]) -> bool {
    let runs = lower.chunk_by(|a, b| a == b).filter(|run| run[0] == b'x' && run.len() >= 4);
    let crossed: usize = runs.map(<[u8]>::len).sum();
    crossed > 0 && crossed * 4 >= lower.len()
}

/// Forms of a reference to a value that is kept elsewhere, lower case.
const REFERENCES: &str = "${ {{ }} <% %> #{ $( %( %{ @@ :// process.env os.environ getenv env[ env( secrets. config. settings. self. this. \
    data. params. props. request. req. ctx. var. local. import.meta \\u ... **** #### &amp; &lt; &quot;";
/// Beginnings of such a reference.
const REFERENCE_STARTS: &str = "$ < [ { ( ./ ../ ~/ env: vault: op: arn: file: ssm: ref: ref+ secret: secrets: keyring: urn: did: \
    data: sha1- sha256- sha384- sha512- sha256: sha512: md5: ssh- ecdsa- pk_ pk. age1 enc[";

/// Can this be a secret, when nothing but the name beside it says so?
pub(crate) fn plausible(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    if refers(&lower) || is_uuid(&lower) || is_public(value) {
        return false;
    }
    let rest = residue::of(value);
    let digits = rest.iter().filter(|b| b.is_ascii_digit()).count();
    let letters = rest.iter().filter(|b| b.is_ascii_alphabetic()).count();
    let mixed = rest.iter().any(u8::is_ascii_uppercase) && rest.iter().any(u8::is_ascii_lowercase);
    let random =
        if digits == 0 { letters >= if mixed { 14 } else { 24 } } else { letters >= 3 && digits + letters >= 8 };
    random && entropy(&rest) > 2.5
}

/// Can this be a password a person thought of? Words are fine if digits and marks are mixed in.
pub(crate) fn plausible_password(value: &[u8]) -> bool {
    if plausible(value) {
        return true;
    }
    let lower = value.to_ascii_lowercase();
    if value.len() < 8 || refers(&lower) || is_uuid(&lower) {
        return false;
    }
    let rest = residue::without_stand_ins(&lower);
    let has = |wanted: &dyn Fn(u8) -> bool| rest.iter().any(|b| wanted(*b));
    rest.len() >= 7
        && has(&|b| b.is_ascii_digit())
        && has(&|b| b.is_ascii_alphabetic())
        && has(&|b| b"!@#$^&*?~+=;|".contains(&b))
        && !value.ends_with(b")")
        && !value.ends_with(b";")
}

/// Can this be the password of `user:password@server`? The place says so much that less has to be left of it.
pub(crate) fn plausible_address(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    if plausible_password(value) {
        return true;
    }
    if refers(&lower) {
        return false;
    }
    let rest = residue::of(value);
    let class = |b: &u8| match b {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let changes = rest.windows(2).filter(|pair| class(&pair[0]) != class(&pair[1])).count();
    let has = |wanted: u8| rest.iter().any(|b| class(b) == wanted);
    let letters = rest.iter().filter(|b| b.is_ascii_alphabetic()).count();
    (has(0) && has(1) && (letters >= 8 || (has(2) && rest.len() >= 6 && changes >= 3))) && entropy(&rest) > 2.2
}

/// Can this be base64 of `user:password`?
pub(crate) fn plausible_basic(value: &[u8]) -> bool {
    let text = crate::decode::base64(value);
    let Some(colon) = text.iter().position(|b| *b == b':') else { return false };
    let password = &text[colon + 1..];
    text.iter().all(|b| (0x20..0x7f).contains(b)) && (plausible_password(password) || known_form(password))
}

/// Tokens are used as passwords; their prefix would be mistaken for a word.
fn known_form(password: &[u8]) -> bool {
    password.len() >= 20 && entropy(password) > 3.5 && !password.contains(&b' ') && !stands_in(password)
}

fn refers(lower: &[u8]) -> bool {
    holds_any(lower, REFERENCES)
        || REFERENCE_STARTS.split_whitespace().any(|w| lower.starts_with(w.as_bytes()))
        || (lower.ends_with(b")") && lower.contains(&b'('))
        || (lower.ends_with(b"]") && lower.contains(&b'['))
        || lower.ends_with(b">")
        || lower.ends_with(b"}")
        || is_path(lower)
}

/// `src/auth/token_v2.rs`, `@scope/name`: slashes, and an ending or nothing but words between.
fn is_path(lower: &[u8]) -> bool {
    let slashes = memchr::memchr_iter(b'/', lower).count();
    let file = lower.iter().rposition(|b| *b == b'.').is_some_and(|at| {
        let ending = &lower[at + 1..];
        at > 0 && (1..=5).contains(&ending.len()) && ending.iter().all(u8::is_ascii_alphanumeric)
    });
    slashes > 0 && (file || words_only(lower))
}

fn words_only(lower: &[u8]) -> bool {
    lower.split(|b| !b.is_ascii_alphanumeric()).all(|part| part.iter().all(u8::is_ascii_alphabetic) || part.len() < 4)
}

fn is_uuid(lower: &[u8]) -> bool {
    lower.len() >= 32
        && lower.len() <= 38
        && lower.split(|b| !b.is_ascii_hexdigit()).filter(|p| !p.is_empty()).map(<[u8]>::len).eq([8, 4, 4, 4, 12])
}

/// How certificates and public keys in base64, images, and hashes that carry their name begin.
const PUBLIC_STARTS: &str = "AAAAB3NzaC1 AAAAC3NzaC1 AAAAE2VjZHNh MIIBIjAN MFkwEwYH MCowBQYD MIGfMA0G MIICIjAN \
    LS0tLS1CRUdJTiBDRVJU LS0tLS1CRUdJTiBQVUJM iVBORw0KGgo /9j/4 R0lGOD UklGR PHN2Zy JVBERi d09GR $2a$ $2b$ $2y$ \
    $argon2 $6$ $5$ $1$";

fn is_public(value: &[u8]) -> bool {
    PUBLIC_STARTS.split_whitespace().any(|start| value.starts_with(start.as_bytes()))
}

fn holds_any(text: &[u8], words: &str) -> bool {
    words.split_whitespace().any(|word| memchr::memmem::find(text, word.as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_values_are_plausible() {
        for value in [
            concat!("9f8Xk2Lm", "Q7vR4tYw"),
            concat!("prod-secret-9f8", "Xk2LmQ7vR"),
            concat!("4b825dc642cb6eb9", "a060e54bf8d69288"),
            concat!("kJ8s+dF3/ls9", "XcV0bN=="),
            concat!("q3x7m9z2", "w8k4"),
        ] {
            assert!(plausible(value.as_bytes()), "{value}");
        }
        for value in [concat!("Winter", "2024!"), concat!("Tr0ub4dor", "&3"), concat!("Sunshine#", "77x")] {
            assert!(plausible_password(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn between_a_user_and_a_server_less_is_a_password() {
        for value in
            [concat!("KOmxgJTe", "KdNnFRIBXu"), concat!("kS3", "u9I"), concat!("qjSc", "3vu"), concat!("GtpQ", "bHIAk")]
        {
            assert!(plausible_address(value.as_bytes()) && !plausible_password(value.as_bytes()), "{value}");
        }
        for value in [
            "postgres",
            "bar123",
            "MySecretPassword",
            "Passw0rd1",
            "userPass1",
            "PASSWORD",
            "DbAdmin",
            "shop-dev",
            "$Pw0rDx",
        ] {
            assert!(!plausible_address(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn names_stand_ins_references_and_examples_are_not() {
        for value in [
            "your-token-here",
            "my-secret-token-v2",
            "getUserToken2Factory",
            "correct-horse-battery-staple",
            "password123",
            "${DB_PASSWORD}",
            "os.environ['TOKEN']",
            "{{ .Values.secret }}",
            "550e8400-e29b-41d4-a716-446655440000",
            "abcdefghijklmnop1234567890",
            "src/auth/token_v2.rs",
            "kubernetes.io/service-account-token1",
            "test-api-key-12345",
            "xxxxxxxxxxxxxxxx",
            "changeme123",
            "v1.2.3-beta4",
            "2024-01-01T00:00:00Z",
            "AuthenticationTokenProvider1",
            "my-app-key-for-the-web-01",
            "dummy_token_1",
            "oauth2-token-endpoint",
            "process.env.API_KEY",
            "/run/secrets/db_password_1",
            "Passw0rd!",
            "admin123",
            "hunter2hunter2",
            "urn:ietf:params:oauth:token-type",
            "$2b$12$abcdefghijklmnopqrstuv",
            "arn:aws:secretsmanager:eu-west-1:1:secret:x9",
            "01234567890123456789",
        ] {
            assert!(!plausible(value.as_bytes()) && !plausible_password(value.as_bytes()), "{value}");
        }
        assert!(stands_in(b"AKIAIOSFODNN7EXAMPLE") && stands_in(b"T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"));
        assert!(!stands_in(concat!("glpat-Zx8", "kQ2mW9vR4tYb7nLpE").as_bytes()));
        assert!(!stands_in(concat!("glpat-am5xqj", "xxxxqadna4y8kr").as_bytes()), "four of a kind are chance");
        assert!(stands_in(b"ghp_xxxx") && stands_in(b"sk-live-xxxxxxxxkey"), "crossed out");
    }

    #[test]
    fn entropy_is_shannons() {
        assert!((entropy(b"aabb") - 1.0).abs() < 1e-9);
        assert!((entropy(b"abcdefgh") - 3.0).abs() < 1e-9);
        assert!(entropy(b"") == 0.0);
    }
}
