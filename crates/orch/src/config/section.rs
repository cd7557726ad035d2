//! `section!`: a table of the configuration, written once. From one declaration come the struct, its defaults, the
//! reader that refuses what is not declared, and the reference, so that documentation cannot lag behind.

/// Name of a struct field in the file: `self` is a word of Rust's own.
pub(crate) fn key_name(field: &'static str) -> &'static str {
    match field {
        "is_self" => "self",
        "projects" => "project",
        other => other,
    }
}

/// Declares a table: `/// doc` `key: type = default;`.
macro_rules! section {
    (
        $(#[doc = $doc:literal])+
        $name:ident { $( $(#[doc = $kdoc:literal])+ $key:ident : $ty:ty = $default:expr; )+ }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $( $(#[doc = $kdoc])+ pub $key: $ty, )+ }

        impl $name {
            pub(crate) const DOC: &'static str = concat!($($doc, "\n"),+);

            pub(crate) fn read_table(
                loader: &mut $crate::config::load::Loader<'_>,
                path: &str,
                table: Option<&toml::de::DeTable<'_>>,
            ) -> Self {
                use $crate::config::section::key_name;
                if let Some(table) = table {
                    loader.unknown_keys(path, table, &[$(key_name(stringify!($key))),+]);
                }
                Self { $( $key: loader.field::<$ty>(path, key_name(stringify!($key)), table, $default), )+ }
            }
        }

        impl $crate::config::value::Field for $name {
            const ENV: bool = false;
            fn kind() -> String { "table".into() }
            fn read(
                loader: &mut $crate::config::load::Loader<'_>,
                at: &str,
                value: &toml::Spanned<toml::de::DeValue<'_>>,
            ) -> Option<Self> {
                if let toml::de::DeValue::Table(table) = value.get_ref() {
                    return Some(Self::read_table(loader, at, Some(table)));
                }
                loader.at_offset(
                    value.span().start,
                    format!(
                        "{} must be a table, not {}",
                        $crate::config::load::label(at),
                        $crate::config::load::kind_of(value.get_ref())
                    ),
                );
                None
            }
            fn from_text(_text: &str) -> Result<Self, String> { Err("cannot be given in the environment".into()) }
            fn absent(loader: &mut $crate::config::load::Loader<'_>, at: &str) -> Option<Self> {
                Some(Self::read_table(loader, at, None))
            }
            fn show(&self) -> String { String::new() }
            fn values(&self, at: &str, out: &mut Vec<(String, String)>) {
                use $crate::config::section::key_name;
                $( {
                    let key = key_name(stringify!($key));
                    let at = if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
                    $crate::config::value::Field::values(&self.$key, &at, out);
                } )+
            }
            fn nested(path: &str, out: &mut Vec<$crate::config::reference::KeyDoc>) {
                use $crate::config::{reference::KeyDoc, section::key_name};
                if !path.is_empty() {
                    out.push(KeyDoc::table(path, Self::DOC));
                }
                // Keys before tables: in a TOML file a key after a sub-table would belong to that sub-table.
                let mut tables = Vec::new();
                $( {
                    let key = key_name(stringify!($key));
                    let at = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                    let before = tables.len();
                    <$ty as $crate::config::value::Field>::nested(&at, &mut tables);
                    if tables.len() == before {
                        let default: $ty = $default;
                        out.push(KeyDoc::key::<$ty>(&at, concat!($($kdoc, "\n"),+), &default));
                    }
                } )+
                out.append(&mut tables);
            }
        }

        impl Default for $name {
            fn default() -> Self { Self { $( $key: $default, )+ } }
        }
    };
}

pub(crate) use section;
