//! The shape of an OSV record. Decides what counts as one: fields that are read must have the type the schema gives
//! them, fields that are not known are passed over, because the schema grows. It may never turn a malformed record into
//! one that covers nothing: that is an error with the reason.

use crate::Ecosystem;
use crate::text::short;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// Largest record that is read. The longest real ones, which list every version, stay below 2 MiB.
pub(crate) const MAX_RECORD: usize = 16 * 1024 * 1024;

/// One advisory.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Record {
    /// `GHSA-...`, `RUSTSEC-...`, `MAL-...`.
    pub id: String,
    /// When it was last changed, RFC 3339.
    #[serde(default)]
    pub modified: String,
    /// Present: the advisory was taken back.
    #[serde(default)]
    pub withdrawn: Option<String>,
    /// Names of the same vulnerability elsewhere.
    #[serde(default, deserialize_with = "or_empty")]
    pub aliases: Vec<String>,
    /// One line for people.
    #[serde(default, deserialize_with = "or_empty")]
    pub summary: String,
    /// More than one line.
    #[serde(default, deserialize_with = "or_empty")]
    pub details: String,
    /// What is affected.
    #[serde(default, deserialize_with = "or_empty")]
    pub affected: Vec<Affected>,
    /// How bad it is.
    #[serde(default, deserialize_with = "or_empty")]
    pub severity: Vec<SeverityVector>,
    /// Where to read more.
    #[serde(default, deserialize_with = "or_empty")]
    pub references: Vec<Reference>,
    /// What the publishing database adds.
    #[serde(default)]
    pub(crate) database_specific: Option<Extra>,
}

/// One package and which of its versions.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Affected {
    /// Absent where only a repository is named.
    #[serde(default)]
    pub package: Option<Package>,
    /// Spans of versions.
    #[serde(default, deserialize_with = "or_empty")]
    pub ranges: Vec<Range>,
    /// Versions one by one.
    #[serde(default, deserialize_with = "or_empty")]
    pub versions: Vec<String>,
    /// How bad it is for this package.
    #[serde(default, deserialize_with = "or_empty")]
    pub severity: Vec<SeverityVector>,
    #[serde(default)]
    pub(crate) database_specific: Option<Extra>,
    #[serde(default)]
    pub(crate) ecosystem_specific: Option<Extra>,
}

/// Which package.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Package {
    /// OSV's name for where it comes from; may be one that is not known here.
    pub ecosystem: String,
    /// As the ecosystem writes it.
    pub name: String,
}

/// A span of versions.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Range {
    /// How its versions are ordered.
    #[serde(rename = "type")]
    pub kind: RangeKind,
    /// Where it begins and ends; in no order.
    #[serde(default, deserialize_with = "or_empty")]
    pub events: Vec<Event>,
}

/// How the versions of a range are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum RangeKind {
    /// Semantic versions.
    #[serde(rename = "SEMVER")]
    Semver,
    /// As the ecosystem orders them.
    #[serde(rename = "ECOSYSTEM")]
    Ecosystem,
    /// Commits; not judged.
    #[serde(rename = "GIT")]
    Git,
}

/// A turn within a range. Exactly one, as the schema wants it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Affected from here on; `0` is before every version.
    Introduced(String),
    /// No longer affected from here on.
    Fixed(String),
    /// Affected up to and with this one.
    LastAffected(String),
    /// The range says nothing about versions from here on.
    Limit(String),
}

/// A score as the standard writes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SeverityVector {
    /// `CVSS_V2`, `CVSS_V3`, `CVSS_V4`, or a word of some database.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The vector.
    #[serde(default)]
    pub score: String,
}

/// Where to read more.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Reference {
    /// The address.
    #[serde(default)]
    pub url: String,
}

/// Of what databases add only a word for the severity is read, and whether it is malice, and only where they are words.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "serde_json::Value")]
pub(crate) struct Extra {
    severity: Option<String>,
    malice: bool,
}

/// "Embedded malicious code", the weakness GitHub gives to packages that are attacks.
const MALICE: &str = "CWE-506";

impl From<serde_json::Value> for Extra {
    fn from(value: serde_json::Value) -> Self {
        let weaknesses = value.get("cwe_ids").and_then(serde_json::Value::as_array);
        let malice = weaknesses.is_some_and(|all| all.iter().any(|cwe| cwe.as_str() == Some(MALICE)));
        let severity = value.get("severity").and_then(serde_json::Value::as_str).map(ToOwned::to_owned);
        Self { severity, malice }
    }
}

impl Affected {
    /// A package and spans of its versions, nothing else.
    pub fn new(package: Package, ranges: Vec<Range>) -> Self {
        let (versions, severity, database_specific, ecosystem_specific) = (Vec::new(), Vec::new(), None, None);
        Self { package: Some(package), ranges, versions, severity, database_specific, ecosystem_specific }
    }
}

impl Record {
    /// A record with a name and what it affects, nothing else.
    pub fn new(id: &str, affected: Vec<Affected>) -> Self {
        Self {
            id: id.to_owned(),
            modified: String::new(),
            withdrawn: None,
            aliases: Vec::new(),
            summary: String::new(),
            details: String::new(),
            affected,
            severity: Vec::new(),
            references: Vec::new(),
            database_specific: None,
        }
    }

    /// Reads one record.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_RECORD {
            return Err(format!("is larger than {} MiB", MAX_RECORD / 1024 / 1024));
        }
        let record: Self =
            serde_json::from_slice(bytes).map_err(|e| format!("is no OSV record: {}", short(&e.to_string())))?;
        if record.id.trim().is_empty() {
            return Err("is no OSV record: its id is empty".into());
        }
        Ok(record)
    }

    /// Every name of it, its own first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.id.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    /// Is the package itself an attack? `MAL-` says so, and so does GitHub by the weakness of its advisory.
    pub fn is_malicious(&self) -> bool {
        let said = self.database_specific.as_ref().is_some_and(|extra| extra.malice);
        said || self.names().any(|name| name.starts_with("MAL-"))
    }

    /// What it says of one package. `name` is normalised.
    pub fn of<'a>(&'a self, ecosystem: Ecosystem, name: &'a str) -> impl Iterator<Item = &'a Affected> {
        self.affected.iter().filter(move |a| {
            a.package
                .as_ref()
                .is_some_and(|p| Ecosystem::of(&p.ecosystem) == Some(ecosystem) && ecosystem.normal(&p.name) == name)
        })
    }

    /// The word of the publishing database for how bad it is.
    pub fn word<'a>(&'a self, affected: &'a Affected) -> Option<&'a str> {
        [&affected.ecosystem_specific, &affected.database_specific, &self.database_specific]
            .into_iter()
            .find_map(|extra| extra.as_ref()?.severity.as_deref())
    }

    /// A line for people: the summary, or how the details begin.
    pub fn line(&self) -> String {
        let text = if self.summary.trim().is_empty() { &self.details } else { &self.summary };
        if text.trim().is_empty() { String::new() } else { short(text) }
    }
}

/// As little of a record as tells whether it is wanted. Reading a whole mirror means reading this for every record.
#[derive(Deserialize)]
pub(crate) struct Outline<'a> {
    #[serde(borrow)]
    pub(crate) id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) modified: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "or_empty")]
    pub(crate) affected: Vec<OutlineAffected<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct OutlineAffected<'a> {
    #[serde(borrow, default)]
    pub(crate) package: Option<OutlinePackage<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct OutlinePackage<'a> {
    #[serde(borrow)]
    pub(crate) ecosystem: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
}

/// Old records have `null` where the schema wants nothing or a list.
fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_passed_over_and_null_is_empty() {
        let text = r#"{"id": "GHSA-1", "schema_version": "9.9", "aliases": null, "withdrawn": null, "new": {"deep": [1]},
            "affected": [{"package": {"ecosystem": "PyPI", "name": "A_b", "purl": "x"}, "versions": null,
              "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1"}], "database_specific": {}}],
              "database_specific": {"severity": 7}}],
            "database_specific": {"severity": "HIGH"}}"#;
        let record = Record::read(text.as_bytes()).unwrap();
        let affected: Vec<_> = record.of(Ecosystem::PyPI, "a-b").collect();
        assert_eq!(affected.len(), 1);
        assert_eq!(affected[0].ranges[0].events[1], Event::Fixed("1".into()));
        assert_eq!(record.word(affected[0]), Some("HIGH"));
        assert_eq!(record.of(Ecosystem::Npm, "a-b").count(), 0);
    }

    #[test]
    fn malice_is_told_by_the_name_or_by_the_weakness() {
        let is = |text: &str| Record::read(text.as_bytes()).unwrap().is_malicious();
        assert!(is(r#"{"id": "MAL-2024-1"}"#) && is(r#"{"id": "GHSA-1", "aliases": ["MAL-2024-1"]}"#));
        assert!(is(r#"{"id": "GHSA-1", "database_specific": {"cwe_ids": ["CWE-79", "CWE-506"]}}"#));
        for cwes in [r#"["CWE-79"]"#, "[506]", "\"CWE-506\"", "[]", "null"] {
            assert!(!is(&format!(r#"{{"id": "GHSA-1", "database_specific": {{"cwe_ids": {cwes}}}}}"#)), "{cwes}");
        }
    }

    #[test]
    fn what_does_not_have_the_shape_is_refused() {
        for text in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"id": ""}"#,
            r#"{"id": 1}"#,
            r#"{"id": "a", "affected": {}}"#,
            r#"{"id": "a", "affected": [{"ranges": [{"type": "NEW", "events": []}]}]}"#,
            r#"{"id": "a", "affected": [{"ranges": [{"type": "SEMVER", "events": [{"introduced": "0", "fixed": "1"}]}]}]}"#,
            r#"{"id": "a", "affected": [{"ranges": [{"type": "SEMVER", "events": [{"repaired": "1"}]}]}]}"#,
            r#"{"id": "a", "id": "b"}"#,
        ] {
            assert!(Record::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
