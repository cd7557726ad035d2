use super::*;

/// A key as providers make them; no real one.
const KEY: &str = "sk-canary/api03+Zm9vYmFy_Q7x\"&<%41>4bWq-ZZ90";

fn masks(values: &[&str]) -> Masks {
    Masks::new(values.iter().map(|v| (*v).to_owned()).collect())
}

fn encoded(bytes: &[u8], two: [u8; 2]) -> String {
    // Groups of three are what base64 of anybody else writes.
    bytes
        .chunks(3)
        .flat_map(|three| {
            let mut four = base64(&[three, &[0; 3][three.len()..]].concat(), 0, two);
            four.truncate(three.len() + 1);
            four.resize(4, b'=');
            four
        })
        .map(char::from)
        .collect()
}

#[test]
fn base64_is_what_everybody_writes() {
    assert_eq!(encoded(b"any carnal pleas", *b"+/"), "YW55IGNhcm5hbCBwbGVhcw==");
    assert_eq!(encoded(&[0xfb, 0xff, 0xfe], *b"-_"), "-__-");
}

#[test]
fn a_value_is_found_however_it_is_written() {
    let masks = masks(&[KEY]);
    let json = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('/', "\\/");
    let percent = |text: &str, all: bool| -> String {
        let plain = |b: u8| !all && (b.is_ascii_alphanumeric() || b"-_.~".contains(&b));
        text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
    };
    let html = KEY.replace('&', "&amp;").replace('<', "&#60;").replace('>', "&gt;").replace('"', "&#x22;");
    let hex = KEY.bytes().fold(String::new(), |hex, b| hex + &format!("{b:02x}"));
    let mut ways = vec![
        KEY.to_owned(),
        json(KEY),
        json(KEY).replace('&', "\\u0026").replace('<', "\\u003c"),
        percent(KEY, false),
        percent(KEY, true),
        KEY.replace('+', "%2b").replace('/', "%2f"),
        html,
        hex.to_uppercase(),
        hex,
    ];
    for before in ["", "u", "us", "user:"] {
        for two in [*b"+/", *b"-_"] {
            ways.push(encoded(format!("{before}{KEY}").as_bytes(), two));
            ways.push(encoded(format!("{before}{KEY}:more").as_bytes(), two));
        }
    }
    for way in ways {
        let text = format!("before {way} after");
        let masked = masks.mask(&text);
        assert!(masked.contains(MASK), "{way}");
        assert!(masked.starts_with("before ") && masked.ends_with(" after"), "{masked}");
        // Of base64 a few characters belong to what stands around it.
        assert!(masked.len() <= "before *** after".len() + 16, "{way}: {masked}");
    }
}

#[test]
fn a_value_is_found_over_lines_indents_colours_and_what_nobody_sees() {
    let masks = masks(&[KEY]);
    for between in ["\n", "\r\n", "\n    ", "\\n", "\u{1b}[0m\u{1b}[31m", "\u{200b}", "\u{ad}", "\t", " "] {
        for at in [1, 9, 20, KEY.len() - 1] {
            let text = format!("<{}{between}{}>", &KEY[..at], &KEY[at..]);
            assert_eq!(masks.mask(&text), "<***>", "{between:?} at {at}");
        }
        let all: Vec<String> = KEY.chars().map(String::from).collect();
        assert_eq!(masks.mask(&all.join(between)), "***", "{between:?}");
    }
}

#[test]
fn a_value_that_was_cut_is_masked_from_a_half_on() {
    let masks = masks(&[KEY]);
    for cut in KEY.len() / 2..KEY.len() {
        assert_eq!(masks.mask(&format!("x {}… y", &KEY[..cut])), "x ***… y");
        assert_eq!(masks.mask(&format!("x …{} y", &KEY[KEY.len() - cut..])), "x …*** y");
    }
}

#[test]
fn values_of_any_script_and_of_several_lines_are_masked_whole() {
    let pem = "-----BEGIN CANARY KEY-----\nMIIEowIBAAKCAQEAzX0\nq9SecondLineOfTheKey\n-----END CANARY KEY-----";
    let masks = masks(&["пароль-мой-тайный", pem]);
    assert_eq!(masks.mask("is пароль-мой-тайный."), "is ***.");
    assert_eq!(masks.mask("is пароль-мой-та."), "is ***.");
    let framed = "a -----BEGIN CANARY KEY-----\n***\n-----END CANARY KEY----- b";
    assert_eq!(masks.mask(&format!("a {pem} b")), framed);
    assert_eq!(masks.mask("log: q9SecondLineOfTheKey"), "log: ***");
}

#[test]
fn other_text_is_left_alone() {
    let masks = masks(&[KEY, "hunter2-hunter2"]);
    for honest in ["", "sk-canary", "hunter2", "größe %41 \\u0041 &amp; \u{1b}[31m日本語"] {
        assert!(matches!(masks.mask(honest), Cow::Borrowed(_)), "{honest}");
    }
}

#[test]
fn what_would_be_found_everywhere_is_not_looked_for_and_that_is_said() {
    for harmless in ["", "true", "4711", "  short ", "production", "eu-west", "/usr/bin", "/"] {
        assert!(why_not(harmless).is_some(), "{harmless}");
    }
    for key in [KEY, "hunter2-x", "correct-horse-battery", "/4bWqZZ90/notapath", "PASSWORDS"] {
        assert!(why_not(key).is_none(), "{key}");
    }
}

#[test]
fn a_variable_is_a_key_by_its_name_or_because_its_value_can_be_nothing_else() {
    let pem = concat!("-----BEGIN RSA PRIVATE ", "KEY-----\nMIIEcanary\n-----END RSA PRIVATE ", "KEY-----");
    let masked = [
        ("ANTHROPIC_API_KEY", "hunter2-hunter2"),
        ("WHATEVER", "Zm9vYmFyQ7x41bWqZZ90x"),
        ("DEPLOY", pem),
        ("DATABASE_URL", "postgres://shop:c4naryPassw0rd@localhost/shop"),
    ];
    for (name, value) in masked {
        assert_eq!(why_not_of(name, value), None, "{name}");
    }
    let open = [
        ("AWS_REGION", "eu-central-1", "neither its name nor its value"),
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:4017/canary", "an address without a password"),
        ("API_KEY", "4711", why_not("4711").expect("too short")),
    ];
    for (name, value, why) in open {
        assert!(
            why_not_of(name, value).is_some_and(|said| said.contains(why)),
            "{name}: {:?}",
            why_not_of(name, value)
        );
    }
}

/// A file as it is read from outside, piece by piece, while it grows.
fn followed(masks: &Masks, text: &[u8], pieces: usize, grows: &[usize]) -> String {
    let (mut seen, mut at) = (Vec::new(), 0);
    for len in grows.iter().copied().chain([text.len()]) {
        let done = len == text.len();
        loop {
            let end = (at + pieces).min(len);
            let (from, to) = (at.saturating_sub(masks.reach), (end + masks.reach).min(len));
            let (shown, stop) = masks.piece(&text[from..to], at - from..end - from, !done || to < len);
            seen.extend(shown);
            let next = from + stop;
            if next == at {
                break;
            }
            at = next;
        }
    }
    String::from_utf8(seen).unwrap()
}

#[test]
fn a_value_that_is_written_or_read_in_two_pieces_is_in_neither() {
    let masks = masks(&[KEY]);
    let text = format!("first {KEY} and\n{} end", encoded(KEY.as_bytes(), *b"+/"));
    let told = |seen: &str| {
        let mut windows = KEY.as_bytes().windows(HELD);
        windows.any(|window| seen.contains(std::str::from_utf8(window).unwrap()))
    };
    for size in [1, 2, 7, 16, 33, 1000] {
        for written in 0..text.len() {
            let seen = followed(&masks, text.as_bytes(), size, &[written]);
            assert!(!told(&seen), "in pieces of {size}, written in two at {written}: {seen}");
            assert!(seen.starts_with("first ") && seen.ends_with(" end"), "{seen}");
            let visible = seen.replace("***", "").len();
            assert!(visible <= "first  and\nA= end".len() + 4 * HELD, "{seen}");
        }
    }
    // A run that ended with half a word of one.
    assert_eq!(followed(&masks, b"all sk-", 5, &[]), "all sk-");
}

#[test]
fn what_is_known_is_masked_for_the_whole_process_and_only_grows() {
    let (one, two) = ("first-canary-6f1d9", "second-canary-8b2c4");
    assert_eq!(mask(one), one);
    know([one, "true"]);
    know([two]);
    know([]);
    assert_eq!(mask(&format!("{one} true {two}")), "*** true ***");
    assert_eq!(readable(&format!("\u{1b}[31m{}\u{1b}[0m{}\u{202e}", &one[..5], &one[5..])), "***\\u{202e}");
    assert!(one.len() < reach());
}

#[test]
fn json_stays_json_whatever_a_value_looks_like() {
    let value = "{\"canary\":\"9d41c\",\"more\":\"77ab\"}";
    know([value]);
    // Its own text as JSON is structure, and says nothing of the kind.
    let same = mask_json("{\"canary\":\"9d41c\",\"more\":\"77ab\"}");
    assert!(serde_json::from_str::<Value>(&same).is_ok(), "{same}");
    let text = serde_json::json!({ "log": [format!("it is {value}.")], value: 1 }).to_string();
    assert_eq!(mask_json(&text), "{\"***\":1,\"log\":[\"it is ***.\"]}");
    assert!(matches!(mask_json("{\"a\": 1}"), Cow::Borrowed(_)));
}

#[test]
fn what_is_no_key_is_no_mask_and_of_an_address_only_the_password_is_one() {
    know_of("AWS_REGION", "eu-canary-17");
    know_of("ANTHROPIC_BASE_URL", "http://127.0.0.1:4017/canary");
    know_of("IMAGE", "europe-west4-docker.pkg.dev/canary17/app");
    know_of("DATABASE_URL", "postgres://shop:c4naryPassw0rd@localhost:5432/shop17");
    know_of("CA", "-----BEGIN CERTIFICATE-----\nMIICanary17AbcdefGhijkl0123456789\n-----END CERTIFICATE-----");
    know_of(
        "GOOGLE",
        r#"{"type": "service_account_17", "private_key": "canary17ForGoogleOnlyXyz", "uri": "https://x.googleapis.com"}"#,
    );
    for said in [
        "eu-canary-17 and eu-canary-18",
        "see http://127.0.0.1:4017/canary",
        "europe-west4-docker.pkg.dev/canary17/app",
        "postgres://shop@localhost:5432/shop17",
        "-----BEGIN CERTIFICATE-----",
        r#"{"type": "service_account_17"} at https://x.googleapis.com"#,
    ] {
        assert_eq!(mask(said), said);
    }
    assert_eq!(mask("postgres://shop:c4naryPassw0rd@localhost"), "postgres://shop:***@localhost");
    assert_eq!(mask("it is canary17ForGoogleOnlyXyz"), "it is ***");
}

#[test]
fn half_of_what_is_short_is_another_word() {
    let masks = masks(&["us-gov-east-17x", KEY]);
    assert_eq!(masks.mask("us-gov-west-1"), "us-gov-west-1");
    assert_eq!(masks.mask("us-gov-east-17x"), "***");
}
