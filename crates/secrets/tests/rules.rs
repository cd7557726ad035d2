//! Rule files as operators have them: read as gitleaks reads them, refused with the place when they cannot be.

use orch_secrets::{Blob, Hit, Rules, Scanner, inline_allows};

fn hits(rules: &Rules, path: &str, text: &str, commit: Option<&str>) -> Vec<Hit> {
    let scanner = Scanner::new(rules, b"key").expect("few keywords");
    scanner.scan(&Blob { path, bytes: text.as_bytes(), commit }).expect("small")
}

fn parsed(text: &str) -> Rules {
    Rules::parse(text).unwrap_or_else(|e| panic!("{e}"))
}

/// Rule and list that let each hit through.
fn seen(hits: &[Hit]) -> Vec<(&str, Option<&str>)> {
    hits.iter().map(|h| (&*h.rule, h.allowed_by.as_deref())).collect()
}

fn github() -> String {
    format!("gh{}_{}", "p", "Zk3mQ9wR7tY2bN5xL8vC4dF6gH1jK0sPaQeW")
}

const SHOP: &str = r#"
title = "shop"
[extend]
useDefault = true
disabledRules = ["telegram-bot-api-token"]

[[rules]]
id = "shop-key"
description = "Key of the shop"
regex = '''shop_([a-z]+)_([0-9a-f]{16})'''
secretGroup = 2
keywords = ["SHOP_"]
tags = ["shop"]
[[rules.allowlists]]
description = "keys of the test shop"
regexTarget = "match"
regexes = ["^shop_test_"]
[rules.allowlist]
stopwords = ["C0FFEE"]

[[rules]]
id = "dump"
path = '''\.dump$'''

[[rules]]
id = "weak"
regex = '''pin=(\d+)'''
path = '''\.ini$'''
entropy = 1.5

[[allowlists]]
description = "both at once"
condition = "AND"
paths = ["^docs/"]
stopwords = ["abcd"]
targetRules = ["shop-key"]

[allowlist]
description = "an old commit"
commits = ["0123456789abcdef0123456789abcdef01234567"]
"#;

#[test]
fn an_operators_rules_find_and_allow_as_gitleaks_would() {
    let rules = Rules::builtin().extended_by(&parsed(SHOP));
    let key = "shop_live_0123456789abcdef";
    let at = |path: &str, text: &str| {
        let found = hits(&rules, path, text, None);
        seen(&found).iter().map(|(r, a)| format!("{r} {}", a.unwrap_or("-"))).collect::<Vec<_>>()
    };
    assert_eq!(at("a.py", &format!("\nx = {key}")), ["shop-key -"]);
    assert_eq!(at("docs/a.md", key), ["shop-key both at once"], "path and stop word");
    assert_eq!(at("docs/a.md", "shop_live_0123456789ffffff"), ["shop-key -"], "path alone is not enough");
    assert_eq!(at("a.py", "shop_test_0123456789abcdef"), ["shop-key keys of the test shop"]);
    assert_eq!(at("a.py", "shop_live_0c0ffee789abcdef"), ["shop-key allowlist 1"]);
    assert_eq!(at("a.ini", "pin=1234"), ["weak -"], "a rule without keywords is always tried");
    assert_eq!(at("a.ini", "pin=1111"), Vec::<String>::new(), "entropy");
    assert_eq!(at("a.txt", "pin=1234"), Vec::<String>::new(), "another path");
    let old = hits(&rules, "a.py", key, Some("0123456789ABCDEF0123456789abcdef01234567"));
    assert_eq!(seen(&old), [("shop-key", Some("an old commit"))]);
    let found = hits(&rules, "a.py", &format!("\n\nx = {key}"), None);
    assert_eq!((found[0].line, found[0].column, found[0].masked.as_str()), (3, 15, "0123********"));
    let scanner = Scanner::new(&rules, b"key").expect("few keywords");
    assert_eq!(seen(&scanner.scan_name("backup/shop.dump")), [("dump", None)]);
}

#[test]
fn a_rule_file_adds_to_the_floor_and_cannot_remove_it_whole() {
    let token = github();
    for text in ["", "[extend]\nuseDefault = false\n", SHOP] {
        let rules = Rules::builtin().extended_by(&parsed(text));
        assert_eq!(seen(&hits(&rules, "a.py", &token, None)), [("github-pat", None)], "{text}");
    }
    let refined = parsed(
        "[[rules]]\nid = \"github-pat\"\n[[rules.allowlists]]\ndescription = \"tests\"\npaths = [\"^tests/\"]\n",
    );
    let rules = Rules::builtin().extended_by(&refined);
    assert_eq!(seen(&hits(&rules, "a.py", &token, None)), [("github-pat", None)]);
    assert_eq!(seen(&hits(&rules, "tests/a.py", &token, None)), [("github-pat", Some("tests"))]);
    let off = Rules::builtin().extended_by(&parsed("[extend]\ndisabledRules = [\"github-pat\"]\n"));
    assert!(hits(&off, "a.py", &token, None).iter().all(|h| &*h.rule != "github-pat"));
    assert_eq!(off.len() + 1, Rules::builtin().len());
}

#[test]
fn a_file_that_is_not_understood_is_refused_with_the_place() {
    let cases = [
        (
            "[[rules]]\nid = \"a\"\nregex = \"x\"\nkeyword = [\"x\"]\n",
            "line 4: rule `a`: unknown key `keyword`: did you mean `keywords`?",
        ),
        (
            "[[rules]]\nid = \"a\"\nregex = '''x(?=y)'''\n",
            "line 3: rule `a`: `regex` is no expression: look-around, including look-ahead and look-behind, is not supported",
        ),
        ("[[rules]]\nregex = \"x\"\n", "line 1: [[rules]]: `id` is missing"),
        (
            "\n[[rules]]\nid = \"a\"\n",
            "line 2: rule `a`: `regex` is missing, there is no `path` either, and no built-in rule has this id",
        ),
        (
            "[[rules]]\nid = \"a\"\nregex = \"x\"\n[[rules]]\nid = \"a\"\nregex = \"y\"\n",
            "line 5: rule `a`: `id` is given twice",
        ),
        (
            "[[rules]]\nid = \"a\"\nregex = \"(x)\"\nsecretGroup = 2\n",
            "line 4: rule `a`: `secretGroup` is 2, but the expression has 1 groups",
        ),
        (
            "[[rules]]\nid = \"a\"\nregex = \"x\"\nentropy = \"high\"\n",
            "line 4: rule `a`: `entropy` must be a number, not string",
        ),
        (
            "[[rules]]\nid = \"a\"\nregex = \"x\"\nkeywords = [\"\"]\n",
            "line 4: rule `a`: `keywords` holds an empty word",
        ),
        (
            "[[rules]]\nid = \"a\"\nregex = \"x\"\n[[rules.required]]\nid = \"b\"\n",
            "line 4: rule `a`: `required`: composite rules are not supported",
        ),
        (
            "[[rules]]\nid = \"a\"\nregex = \"x\"\n[[rules.allowlists]]\nregexes = [\"(\"]\n",
            "line 5: rule `a`, [[allowlists]]: `regexes` is no expression: unclosed group",
        ),
        (
            "[extend]\npath = \"/etc/other.toml\"\n",
            "line 2: [extend]: `path` is refused: a rule file may not read another one",
        ),
        ("[extends]\nuseDefault = true\n", "line 1: unknown key `extends`: did you mean `extend`?"),
        (
            "[allowlist]\ndescription = \"all\"\n",
            "line 1: [allowlist]: `regexes` is missing, and so are `paths`, `commits` and `stopwords`: it allows nothing",
        ),
        (
            "[[allowlists]]\npaths = [\"a\"]\ncondition = \"NOT\"\n",
            "line 3: [[allowlists]]: `condition` must be `OR` or `AND`",
        ),
        (
            "[[allowlists]]\npaths = [\"a\"]\nregexTarget = \"file\"\n",
            "line 3: [[allowlists]]: `regexTarget` must be `secret`, `match` or `line`",
        ),
        ("[allowlist]\nstopwords = [\"\"]\n", "line 2: [allowlist]: `stopwords` holds an empty word"),
        ("[allowlist]\npaths = \"docs/\"\n", "line 2: [allowlist]: `paths` must be a list of strings, not string"),
    ];
    for (text, message) in cases {
        assert_eq!(Rules::parse(text).expect_err(text).to_string(), message);
    }
    assert!(Rules::parse("a = \n").expect_err("no TOML").to_string().starts_with("line 1: "));
    assert!(Rules::parse(&"#".repeat(2 << 20)).expect_err("too large").to_string().contains("1 MiB"));
}

#[test]
fn every_built_in_rule_has_a_source_and_compiles() {
    let rules = Rules::builtin();
    assert!(rules.len() >= 60, "{}", rules.len());
    for rule in rules.infos() {
        assert!(rule.source.is_some_and(|s| s.starts_with("https://")), "{}", rule.id);
        assert!(!rule.description.is_empty(), "{}", rule.id);
    }
    assert_eq!(orch_secrets::check_built_in(), Vec::<String>::new());
}

#[test]
fn comments_that_ask_to_look_away_change_nothing_and_are_reported() {
    let text = format!("x = '{}'  # gitleaks:allow\n", github());
    assert_eq!(seen(&hits(&Rules::builtin(), "a.py", &text, None)), [("github-pat", None)]);
    assert_eq!(inline_allows(text.as_bytes()), [1]);
}

#[test]
fn names_that_are_secrets_and_tokens_in_a_path_are_found_and_never_shown() {
    let scanner = Scanner::new(&Rules::builtin(), b"key").expect("few keywords");
    let rules = |path: &str| scanner.scan_name(path).iter().map(|h| h.rule.to_string()).collect::<Vec<_>>();
    assert_eq!(rules("home/.ssh/id_ed25519"), ["ssh-key-file"]);
    assert_eq!(rules("certs/server.p12"), ["key-store-file"]);
    for fine in
        ["home/.ssh/id_ed25519.pub", "android/debug.keystore", ".env.example", "src/id_rsa.rs", "docs/password.md"]
    {
        assert_eq!(rules(fine), Vec::<String>::new(), "{fine}");
    }
    let token = github();
    let path = format!("backup/{token}/notes.txt");
    let named = scanner.scan_name(&path);
    assert_eq!(
        (&*named[0].rule, named[0].path.as_str(), named[0].line),
        ("github-pat", "backup/ghp_********/notes.txt", 0)
    );
    let inside = scanner.scan(&Blob { path: &path, bytes: token.as_bytes(), commit: None }).expect("small");
    assert!(!format!("{inside:?}").contains(&token[8..]));
}

#[test]
fn a_blob_too_large_to_scan_is_an_error() {
    let scanner = Scanner::new(&Rules::builtin(), b"key").expect("few keywords");
    let bytes = vec![b' '; orch_secrets::MAX_BLOB_BYTES + 1];
    let error = scanner.scan(&Blob { path: "a", bytes: &bytes, commit: None }).expect_err("too large");
    assert!(error.to_string().contains("more than"), "{error}");
}

#[test]
fn one_secret_is_one_finding_however_many_rules_and_spellings_see_it() {
    let token = github();
    let text = format!("api_token = \"{token}\"\nother = 1\nAPI_TOKEN2 = \"{token}\"\n");
    let found = hits(&Rules::builtin(), "a.py", &text, None);
    assert_eq!(found.iter().map(|h| (&*h.rule, h.line)).collect::<Vec<_>>(), [("github-pat", 1), ("github-pat", 3)]);
    assert_eq!(found[0].fingerprint, found[1].fingerprint);
}

/// Keywords only save time: whatever an expression could find must hold one of them.
#[test]
fn no_spelling_of_a_name_is_lost_to_the_keywords() {
    let rules = Rules::builtin();
    let value = ["Zk3mQ9wR7t", "Y2bN5xL8vC4dF6gH1j"].concat();
    let owners = "access auth private encryption encrypt signing client account license service master webhook hmac session app \
                  admin storage shared cookie jwt aes api";
    let (mut names, mut lost): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for owner in owners.split_whitespace() {
        for between in ["", "_", "-", "."] {
            names.push(format!("{owner}{between}key"));
        }
    }
    names.extend(["secret", "token", "credential", "keybase", "passphrase"].map(str::to_owned));
    for name in names {
        for spelled in [name.clone(), name.to_uppercase(), format!("my_{name}_2")] {
            let text = format!("{spelled} = \"{value}\"\n");
            if hits(&rules, "settings.py", &text, None).is_empty() {
                lost.push(text);
            }
        }
    }
    for word in
        ["password", "passwd", "passwort", "passphrase", "storepassword", "keypassword", "requirepass", "masterauth"]
    {
        for between in [" ", "\t", "  "] {
            let text = format!("{word}{between}{value}\n");
            if hits(&rules, "redis.conf", &text, None).is_empty() {
                lost.push(text);
            }
        }
    }
    assert!(lost.is_empty(), "{}", lost.concat());
}
