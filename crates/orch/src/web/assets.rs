//! Style, script and mark, inside the binary. Their names carry their content's digest: a browser keeps them for ever
//! and never shows a page of the new version with the script of the old one.

use crate::http::Problem;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const CSS: &str = include_str!("../../assets/orch.css");
const JS: &str = include_str!("../../assets/orch.js");
const MARK: &str = include_str!("../../assets/mark.svg");

/// Addresses of the assets.
pub(super) struct Names {
    pub(super) css: String,
    pub(super) js: String,
    pub(super) icon: String,
}

/// Their addresses.
pub(super) fn names() -> &'static Names {
    static NAMES: LazyLock<Names> = LazyLock::new(|| Names {
        css: named("orch", "css", CSS),
        js: named("orch", "js", JS),
        icon: named("mark", "svg", MARK),
    });
    &NAMES
}

fn named(stem: &str, kind: &str, text: &str) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(text.as_bytes());
    let short = digest.iter().take(6).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    format!("/assets/{stem}-{short}.{kind}")
}

pub(super) async fn serve(Path(name): Path<String>) -> Result<(HeaderMap, &'static str), Problem> {
    let names = names();
    let (kind, text) = match format!("/assets/{name}") {
        path if path == names.css => ("text/css; charset=utf-8", CSS),
        path if path == names.js => ("text/javascript; charset=utf-8", JS),
        path if path == names.icon => ("image/svg+xml", MARK),
        _ => return Err(Problem::missing("there is no such file")),
    };
    Ok((headers(kind, "public, max-age=31536000, immutable"), text))
}

/// For browsers that ask for it by its old name.
pub(super) async fn favicon() -> (HeaderMap, &'static str) {
    (headers("image/svg+xml", "public, max-age=86400"), MARK)
}

fn headers(kind: &'static str, cache: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers
}
