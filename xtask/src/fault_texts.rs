//! Finds sources that look into the text of a fault: it is for people, and its code is what tells faults apart. It reads one line
//! at a time, not what the compiler makes of it.

/// Lines of a source that look into the text of a fault.
pub(crate) fn decides(code: &str) -> Vec<String> {
    let of_fault = |before: &str| {
        let name = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        ["fault", "failure"].iter().any(|word| name.ends_with(word))
    };
    let looks = |behind: &str| {
        ["contains(", "starts_with(", "ends_with(", "find(", "strip_prefix(", "strip_suffix(", "split"]
            .iter()
            .any(|verb| behind.strip_prefix('.').is_some_and(|rest| rest.starts_with(verb)))
            || [" == ", " != "].iter().any(|same| behind.starts_with(same))
    };
    let decides = |line: &&str| {
        [".text", ".to_string()"].iter().any(|text| {
            line.match_indices(text).any(|(at, text)| of_fault(&line[..at]) && looks(&line[at + text.len()..]))
        })
    };
    let stated = |line: &&str| line.trim_start().starts_with("assert");
    code.lines().filter(|line| !stated(line)).filter(decides).map(|line| line.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_by_the_text_of_a_fault_is_found_and_showing_it_is_none() {
        let code = "if fault.text.contains(\"no\") {}\nif last_fault.text == text {}\nlet a = fault.to_string().ends_with(X);\n\
                    show(&fault.text);\nformat!(\"{}: {}\", a, fault.text);\nif finding.text.contains(\"x\") {}\n";
        assert_eq!(decides(code).len(), 3, "{:?}", decides(code));
        assert!(decides("    assert!(fault.text.contains(\"x\"), \"shown to people\");").is_empty());
    }
}
