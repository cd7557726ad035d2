//! The types a key can have: how each is read from TOML and from the environment, and how it is shown. A secret has no
//! way to be shown.

use super::load::Loader;
use super::reference::KeyDoc;
use orch_ports::Secret;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::DeValue;

/// A type of key.
pub(crate) trait Field: Sized {
    /// Can it be given in the environment?
    const ENV: bool = true;
    /// Is an empty environment value a value (an empty list) instead of none?
    const LIST: bool = false;
    /// The type, for people: `seconds`, `off | shadow | enforce`.
    fn kind() -> String;
    /// Reads it from the file; a value that cannot be read is reported and `None`.
    fn read(loader: &mut Loader<'_>, at: &str, value: &Spanned<DeValue<'_>>) -> Option<Self>;
    /// Reads it from the environment.
    fn from_text(text: &str) -> Result<Self, String>;
    /// What it is if the file does not mention it; `None`: its default.
    fn absent(_loader: &mut Loader<'_>, _at: &str) -> Option<Self> {
        None
    }
    /// Last step, once the winning value is known: paths become absolute here.
    fn resolve(self, _loader: &mut Loader<'_>, _at: &str) -> Self {
        self
    }
    /// It, as it would stand in the file.
    fn show(&self) -> String;
    /// Its effective values by path.
    fn values(&self, at: &str, out: &mut Vec<(String, String)>) {
        out.push((at.to_owned(), self.show()));
    }
    /// Its own keys, if it is a table.
    fn nested(_path: &str, _out: &mut Vec<KeyDoc>) {}
}

/// A TOML string literal.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl Field for String {
    fn kind() -> String {
        "text".into()
    }
    fn read(loader: &mut Loader<'_>, at: &str, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        if let DeValue::String(text) = value.get_ref() {
            return Some(text.to_string());
        }
        loader.wrong_type(at, "a string", value);
        None
    }
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
    fn show(&self) -> String {
        quoted(self)
    }
}

impl Field for bool {
    fn kind() -> String {
        "true | false".into()
    }
    fn read(loader: &mut Loader<'_>, at: &str, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        if let DeValue::Boolean(yes) = value.get_ref() {
            return Some(*yes);
        }
        loader.wrong_type(at, "true or false", value);
        None
    }
    fn from_text(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(format!("must be true or false, not `{text}`")),
        }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Field for u64 {
    fn kind() -> String {
        "whole number".into()
    }
    fn read(loader: &mut Loader<'_>, at: &str, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        let DeValue::Integer(number) = value.get_ref() else {
            loader.wrong_type(at, "a whole number", value);
            return None;
        };
        let read = u64::from_str_radix(number.as_str().trim_start_matches('+'), number.radix()).ok();
        if read.is_none() {
            loader.bad_value(at, &format!("must be a whole number from 0, not {number}"), value);
        }
        read
    }
    fn from_text(text: &str) -> Result<Self, String> {
        text.trim().parse().map_err(|_| format!("must be a whole number from 0, not `{text}`"))
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Field for f64 {
    fn kind() -> String {
        "number".into()
    }
    fn read(loader: &mut Loader<'_>, at: &str, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        let text = match value.get_ref() {
            DeValue::Integer(number) => number.as_str().to_owned(),
            DeValue::Float(number) => number.as_str().to_owned(),
            _ => {
                loader.wrong_type(at, "a number", value);
                return None;
            }
        };
        Self::from_text(&text).map_err(|why| loader.bad_value(at, &why, value)).ok()
    }
    fn from_text(text: &str) -> Result<Self, String> {
        let number = text.trim().replace('_', "").parse::<Self>().ok().filter(|n| n.is_finite() && 0.0 <= *n);
        number.ok_or_else(|| format!("must be a number from 0, not `{text}`"))
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Field for SocketAddr {
    fn kind() -> String {
        "address:port".into()
    }
    fn read(loader: &mut Loader<'_>, at: &str, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        let text = String::read(loader, at, value)?;
        Self::from_text(&text).map_err(|why| loader.bad_value(at, &why, value)).ok()
    }
    fn from_text(text: &str) -> Result<Self, String> {
        text.trim().parse().map_err(|_| format!("must be an IP address and a port like `127.0.0.1:8500`, not `{text}`"))
    }
    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Field for PathBuf {
    fn kind() -> String {
        "path".into()
    }
    fn read(loader: &mut Loader<'_>, at: &str, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        let text = String::read(loader, at, value)?;
        if text.trim().is_empty() {
            loader.bad_value(at, "must not be empty", value);
            return None;
        }
        Some(text.into())
    }
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.into())
    }
    fn resolve(self, loader: &mut Loader<'_>, at: &str) -> Self {
        loader.path(at, &self)
    }
    fn show(&self) -> String {
        quoted(&self.display().to_string())
    }
}

impl Field for Secret {
    fn kind() -> String {
        "secret text".into()
    }
    fn read(loader: &mut Loader<'_>, at: &str, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        String::read(loader, at, value).map(|value| Self::of(at.rsplit('.').next().unwrap_or(at), value))
    }
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Self::new(text))
    }
    fn show(&self) -> String {
        "(set, hidden)".into()
    }
}

impl Field for Vec<String> {
    const LIST: bool = true;
    fn kind() -> String {
        "list of text".into()
    }
    fn read(loader: &mut Loader<'_>, at: &str, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        let DeValue::Array(items) = value.get_ref() else {
            loader.wrong_type(at, "a list of strings", value);
            return None;
        };
        let mut out = Vec::new();
        for item in items {
            if let DeValue::String(text) = item.get_ref() {
                out.push(text.to_string());
            } else {
                loader.wrong_type(at, "a list of strings", item);
                return None;
            }
        }
        Some(out)
    }
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect())
    }
    fn show(&self) -> String {
        format!("[{}]", self.iter().map(|s| quoted(s)).collect::<Vec<_>>().join(", "))
    }
}

impl Field for Vec<PathBuf> {
    const LIST: bool = true;
    fn kind() -> String {
        "list of paths".into()
    }
    fn read(loader: &mut Loader<'_>, at: &str, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        let all = Vec::<String>::read(loader, at, value)?;
        if all.iter().any(|path| path.trim().is_empty()) {
            loader.bad_value(at, "must hold no empty path", value);
            return None;
        }
        Some(all.into_iter().map(PathBuf::from).collect())
    }
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Vec::<String>::from_text(text)?.into_iter().map(PathBuf::from).collect())
    }
    fn resolve(self, loader: &mut Loader<'_>, at: &str) -> Self {
        self.iter().map(|path| loader.path(at, path)).collect()
    }
    fn show(&self) -> String {
        format!("[{}]", self.iter().map(|path| quoted(&path.display().to_string())).collect::<Vec<_>>().join(", "))
    }
}

impl<T: Field> Field for Option<T> {
    const ENV: bool = T::ENV;
    const LIST: bool = T::LIST;
    fn kind() -> String {
        T::kind()
    }
    fn read(loader: &mut Loader<'_>, at: &str, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        T::read(loader, at, value).map(Some)
    }
    fn from_text(text: &str) -> Result<Self, String> {
        T::from_text(text).map(Some)
    }
    fn resolve(self, loader: &mut Loader<'_>, at: &str) -> Self {
        self.map(|inner| inner.resolve(loader, at))
    }
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "(not set)".into(), Field::show)
    }
}

/// Tables with names the user chooses: `[agents.programs.NAME]`, `[project.states]`.
impl<T: Field> Field for BTreeMap<String, T> {
    const ENV: bool = false;
    fn kind() -> String {
        format!("table of {}", T::kind())
    }
    fn read(loader: &mut Loader<'_>, at: &str, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        let DeValue::Table(table) = value.get_ref() else {
            loader.wrong_type(at, "a table", value);
            return None;
        };
        let mut out = Self::new();
        for (key, item) in table {
            let name = key.get_ref().to_string();
            let at = format!("{at}.{name}");
            let line = loader.line(key.span().start);
            loader.sources.insert(at.clone(), super::Source::File { line });
            if let Some(read) = T::read(loader, &at, item) {
                out.insert(name, read);
            }
        }
        Some(out)
    }
    fn from_text(_text: &str) -> Result<Self, String> {
        Err("cannot be given in the environment".into())
    }
    fn show(&self) -> String {
        format!("{{ {} }}", self.iter().map(|(k, v)| format!("{k} = {}", v.show())).collect::<Vec<_>>().join(", "))
    }
    fn values(&self, at: &str, out: &mut Vec<(String, String)>) {
        for (name, item) in self {
            item.values(&format!("{at}.{name}"), out);
        }
    }
    fn nested(path: &str, out: &mut Vec<KeyDoc>) {
        T::nested(&format!("{path}.NAME"), out);
    }
}

/// A key whose value is one of a few words: an enum, its words and their meaning written once.
macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }
        impl $name {
            /// The word in the file.
            pub fn as_str(self) -> &'static str { match self { $(Self::$variant => $word),+ } }
        }
        $crate::config::value::word_field!($name, [$(($word, $name::$variant)),+]);
    };
}

/// `Field` for a type that is one of a few words.
macro_rules! word_field {
    ($name:ty, [$(($word:literal, $value:expr)),+]) => {
        impl $crate::config::value::Field for $name {
            fn kind() -> String { [$($word),+].join(" | ") }
            fn read(
                loader: &mut $crate::config::load::Loader<'_>,
                at: &str,
                value: &toml::Spanned<toml::de::DeValue<'_>>,
            ) -> Option<Self> {
                let text = <String as $crate::config::value::Field>::read(loader, at, value)?;
                Self::from_text(&text).map_err(|why| loader.bad_value(at, &why, value)).ok()
            }
            fn from_text(text: &str) -> Result<Self, String> {
                match text.trim() {
                    $($word => Ok($value),)+
                    other => Err(format!(
                        "must be one of {}, not `{other}`{}",
                        [$($word),+].join(", "),
                        $crate::config::problem::did_you_mean(other, [$($word),+]),
                    )),
                }
            }
            fn show(&self) -> String {
                $(if *self == $value { return $crate::config::value::quoted($word); })+
                String::new()
            }
        }
    };
}

pub(crate) use {choices, word_field};
