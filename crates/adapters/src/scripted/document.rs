//! Writing artefacts so that the strict reader reads back exactly what was meant, whatever the ticket or a log contains.

use orch_core::verdict::Finding;

/// Text as a double-quoted scalar, the same in JSON and in YAML: no text can end it or become a key.
pub(super) fn quoted(text: &str) -> String {
    let clean: String = text.chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect();
    serde_json::Value::String(clean).to_string()
}

/// Lines, each with its line break.
pub(super) fn lines(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().flat_map(|line| [line, "\n".to_owned()]).collect()
}

/// A document with front matter: `keys` as plain or already quoted scalars, then the findings, then the body.
pub(super) fn with_front(keys: &[(&str, &str)], findings: &[Finding], body: &str) -> String {
    let mut front: Vec<String> = keys.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    front.push(if findings.is_empty() { "findings: []".into() } else { "findings:".into() });
    for finding in findings {
        front.push(format!("  - severity: {:?}", finding.severity));
        let texts = [("id", finding.id.as_ref()), ("file", finding.file.as_ref()), ("text", Some(&finding.text))];
        front.extend(texts.iter().filter_map(|(key, text)| text.map(|t| format!("    {key}: {}", quoted(t)))));
        front.extend(finding.line.map(|line| format!("    line: {line}")));
    }
    format!("---\n{}---\n{body}", lines(front))
}

/// Findings for people.
pub(super) fn list(findings: &[Finding]) -> String {
    let line = |f: &Finding| {
        let place = match (&f.file, f.line) {
            (Some(file), Some(line)) => format!(" `{file}:{line}`"),
            (Some(file), None) => format!(" `{file}`"),
            _ => String::new(),
        };
        format!("- **{}** {:?}{place}: {}", f.id.as_deref().unwrap_or("-"), f.severity, f.text)
    };
    if findings.is_empty() { "None.\n".into() } else { lines(findings.iter().map(line)) }
}

/// Text as an indented block: nothing in it is markup.
pub(super) fn indented(text: &str) -> String {
    if text.trim().is_empty() { "    (nothing)\n".into() } else { lines(text.lines().map(|l| format!("    {l}"))) }
}
