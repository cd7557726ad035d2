//! How bad an advisory is. Decides by the highest CVSS score it carries, the package's own
//! or the record's, else by the word of the publishing database, else it is unknown. It may never invent a score: unknown stays unknown
//! and is shown as that.

use super::record::{Affected, Record};
use crate::Severity;
use cvss::Cvss;
use std::str::FromStr;

/// How bad `record` is for the package of `affected`.
pub fn of(record: &Record, affected: &Affected) -> Severity {
    let vectors = affected.severity.iter().chain(&record.severity);
    vectors
        .filter_map(|vector| of_vector(&vector.score))
        .max()
        .or_else(|| record.word(affected).and_then(Severity::of_word))
        .unwrap_or(Severity::Unknown)
}

/// The severity of a CVSS vector, version 2, 3.0, 3.1 or 4.0. `None`: it is none of them.
pub fn of_vector(vector: &str) -> Option<Severity> {
    let vector = vector.trim().trim_end_matches('/');
    // Version 2 is sometimes written in brackets.
    let vector = vector.strip_prefix('(').and_then(|v| v.strip_suffix(')')).unwrap_or(vector);
    let cvss = Cvss::from_str(vector).ok()?;
    // A vector that lacks a metric would be scored as if that one were harmless.
    let needed: &[&str] = match cvss {
        Cvss::CvssV20(_) => &["AV", "AC", "Au", "C", "I", "A"],
        Cvss::CvssV30(_) | Cvss::CvssV31(_) => &["AV", "AC", "PR", "UI", "S", "C", "I", "A"],
        _ => &["AV", "AC", "AT", "PR", "UI", "VC", "VI", "VA", "SC", "SI", "SA"],
    };
    let has = |metric: &&str| vector.split('/').any(|part| part.split(':').next() == Some(metric));
    if !needed.iter().all(has) {
        return None;
    }
    let score = cvss.score();
    Some(match (score, &cvss) {
        // Version 2 knows nothing above high.
        (s, Cvss::CvssV20(_)) if s >= 7.0 => Severity::High,
        (s, _) if s >= 9.0 => Severity::Critical,
        (s, _) if s >= 7.0 => Severity::High,
        (s, _) if s >= 4.0 => Severity::Medium,
        _ => Severity::Low,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(severity: &str, own: &str, word: &str) -> Severity {
        let text = format!(
            r#"{{"id": "X-1", "severity": [{severity}], "database_specific": {{"severity": {word}}},
                "affected": [{{"package": {{"ecosystem": "npm", "name": "a"}}, "severity": [{own}]}}]}}"#
        );
        let record = Record::read(text.as_bytes()).unwrap();
        of(&record, &record.affected[0])
    }

    const V2: &str = r#"{"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:C/I:C/A:C"}"#;
    const V3: &str = r#"{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}"#;
    const V4: &str =
        r#"{"type": "CVSS_V4", "score": "CVSS:4.0/AV:L/AC:H/AT:P/PR:L/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N"}"#;
    const OTHER: &str = r#"{"type": "Ubuntu", "score": "high"}"#;

    #[test]
    fn every_version_of_the_standard_is_scored() {
        assert_eq!(record(V2, "", "null"), Severity::High);
        assert_eq!(record(V3, "", "null"), Severity::Critical);
        assert_eq!(record(V4, "", "null"), Severity::Low);
        let temporal = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:P/RL:O/RC:C";
        assert_eq!(of_vector(temporal), Some(Severity::Critical), "the base score, whatever is known of exploits");
        assert_eq!(of_vector("CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N"), Some(Severity::Medium));
        assert_eq!(of_vector("(AV:N/AC:M/Au:N/C:N/I:P/A:N)"), Some(Severity::Medium));
        for not in ["", "HIGH", "7.5", "CVSS:5.0/AV:N", "CVSS:3.1/AV:N"] {
            assert_eq!(of_vector(not), None, "{not}");
        }
    }

    #[test]
    fn the_highest_score_then_the_word_then_unknown() {
        assert_eq!(record(&format!("{V4}, {V3}, {V2}"), "", "\"LOW\""), Severity::Critical);
        assert_eq!(record(V4, V3, "null"), Severity::Critical, "the package's own score counts too");
        assert_eq!(record(OTHER, "", "\"MODERATE\""), Severity::Medium);
        assert_eq!(record("", "", "\"critical\""), Severity::Critical);
        assert_eq!(record(OTHER, "", "\"whatever\""), Severity::Unknown);
        assert_eq!(record("", "", "null"), Severity::Unknown);
    }
}
