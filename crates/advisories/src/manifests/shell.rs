//! The options of one line of a requirements file, taken apart as pip does it: words by the rules of a shell, options by
//! their abbreviation too. Decides which words name another file or a package; it may never pass over one of them
//! because another option stands before it.

/// What a part of the line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Another file of requirements.
    Include(String),
    /// A requirement.
    Editable(String),
    /// What is not understood; a fragment for people.
    Odd(String),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Does {
    /// Names another file.
    Include,
    /// Names a package.
    Editable,
    /// Has a value that names neither.
    Value,
    /// Has none.
    Alone,
}

const LONG: [(&str, Does); 24] = [
    ("--requirement", Does::Include),
    ("--constraint", Does::Include),
    ("--editable", Does::Editable),
    ("--index-url", Does::Value),
    ("--pypi-url", Does::Value),
    ("--extra-index-url", Does::Value),
    ("--find-links", Does::Value),
    ("--no-binary", Does::Value),
    ("--only-binary", Does::Value),
    ("--trusted-host", Does::Value),
    ("--use-feature", Does::Value),
    ("--hash", Does::Value),
    ("--global-option", Does::Value),
    ("--install-option", Does::Value),
    ("--config-setting", Does::Value),
    ("--config-settings", Does::Value),
    ("--build-constraint", Does::Value),
    ("--platform", Does::Value),
    ("--no-index", Does::Alone),
    ("--prefer-binary", Does::Alone),
    ("--require-hashes", Does::Alone),
    ("--pre", Does::Alone),
    ("--no-deps", Does::Alone),
    ("--process-dependency-links", Does::Alone),
];

const SHORT: [(char, Does); 6] = [
    ('r', Does::Include),
    ('c', Does::Include),
    ('e', Does::Editable),
    ('i', Does::Value),
    ('f', Does::Value),
    ('C', Does::Value),
];

/// Every part of the options that names something, and every one that is not understood. `Err`: they are no words.
pub(super) fn options(text: &str) -> Result<Vec<Part>, String> {
    let mut words = words(text)?.into_iter().peekable();
    let mut out = Vec::new();
    while let Some(word) = words.next() {
        let (does, value) = if word.starts_with("--") {
            let (option, value) = word.split_once('=').map_or((word.as_str(), None), |(o, v)| (o, Some(v.to_owned())));
            // Any beginning of an option that is no other's too will do. Of those that are, the one that names most counts.
            let exact = LONG.iter().find(|(name, _)| *name == option);
            let meant: Vec<_> = LONG.iter().filter(|(name, _)| option.len() > 2 && name.starts_with(option)).collect();
            if exact.is_none() && meant.len() != 1 {
                out.push(Part::Odd(format!("has an option that is not known: {option}")));
            }
            (exact.map(|(_, does)| *does).or_else(|| meant.iter().map(|(_, does)| *does).min()), value)
        } else if let Some(short) = word.strip_prefix('-') {
            let mut rest = short.chars();
            let does = rest.next().and_then(|c| SHORT.iter().find(|(name, _)| *name == c)).map(|(_, does)| *does);
            if does.is_none() {
                out.push(Part::Odd(format!("has an option that is not known: {word}")));
            }
            (does, Some(rest.as_str().to_owned()).filter(|v| !v.is_empty()))
        } else {
            out.push(Part::Odd(format!("has a word that belongs to no option: `{word}`")));
            continue;
        };
        match does {
            Some(Does::Alone) if value.is_some() => {
                out.push(Part::Odd(format!("has an option that takes no value: {word}")));
            }
            Some(Does::Alone) => {}
            // What follows is told with it.
            None => while words.next_if(|word| !word.starts_with('-')).is_some() {},
            Some(does) => match (does, value.or_else(|| words.next())) {
                (_, None) => out.push(Part::Odd(format!("has an option without its value: {word}"))),
                (Does::Include, Some(value)) => out.push(Part::Include(value)),
                (Does::Editable, Some(mut value)) => {
                    // `-e name @ address`, and its marker.
                    while let Some(more) = words.next_if(|word| !word.starts_with('-')) {
                        value.push(' ');
                        value.push_str(&more);
                    }
                    out.push(Part::Editable(value));
                }
                (Does::Value | Does::Alone, Some(_)) => {}
            },
        }
    }
    Ok(out)
}

/// Words as a shell has them: quotes hold them together, a backslash makes the next character an ordinary one.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(end), _) if c == end => quote = None,
            (None | Some('"'), '\\') => {
                let next = chars.next().ok_or_else(|| format!("ends in a backslash: `{text}`"))?;
                let word = word.get_or_insert_default();
                // Between double quotes only these two lose their meaning.
                if quote.is_some() && !matches!(next, '"' | '\\') {
                    word.push('\\');
                }
                word.push(next);
            }
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t' | '\r' | '\n') => out.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(format!("has a quote that does not end: `{text}`"));
    }
    out.extend(word);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn include(path: &str) -> Part {
        Part::Include(path.into())
    }

    #[test]
    fn words_are_those_of_a_shell() {
        assert_eq!(words(r#"-r "a b.txt" 'c'd \-e "" "\x\"" "#).unwrap(), ["-r", "a b.txt", "cd", "-e", "", r#"\x""#]);
        assert!(words("-r 'a").is_err() && words("-r a\\").is_err());
    }

    #[test]
    fn any_abbreviation_of_an_include_is_one() {
        for text in [
            "--requirement a",
            "--requirem a",
            "--requirem=a",
            "--constr a",
            "--cons=a",
            "--require\"ment\" a",
            "-ra",
            "-ca",
            "-r a",
            "--pre -r a",
            "--index-url https://h --constraint a",
        ] {
            assert_eq!(options(text).unwrap(), [include("a")], "{text}");
        }
        assert_eq!(options("-r a -c b").unwrap(), [include("a"), include("b")]);
    }

    #[test]
    fn what_may_be_two_options_is_told_and_followed() {
        for text in ["--req a", "--requ=a", "--con a"] {
            let parts = options(text).unwrap();
            assert!(matches!(&parts[..], [Part::Odd(_), Part::Include(a)] if a == "a"), "{text} {parts:?}");
        }
    }

    #[test]
    fn settings_are_no_parts_and_odd_words_are_told() {
        for text in ["--index-url https://u:p@h", "-i https://h", "--pre --no-index", "--hash=sha256:a --hash sha256:b"]
        {
            assert_eq!(options(text).unwrap(), [], "{text}");
        }
        for text in ["--pre evil", "-- evil", "-z x", "--new", "--pre=x", "-r"] {
            assert!(options(text).unwrap().iter().any(|p| matches!(p, Part::Odd(_))), "{text}");
        }
    }
}
