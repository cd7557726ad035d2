//! Plain files over HTTP (`[sites.NAME]`): what a project that is nothing but files needs to be a service. Reads only,
//! follows the directory's link anew at each request, and reports the revision that is live.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Largest file that is served, bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Header with the live revision.
const REVISION: &str = "x-orch-revision";

/// Serves a directory.
pub fn router(dir: PathBuf) -> Router {
    Router::new().route("/", get(index)).route("/{*path}", get(file)).with_state(Arc::new(dir))
}

async fn index(State(dir): State<Arc<PathBuf>>) -> Response {
    serve(&dir, "index.html").await
}

async fn file(State(dir): State<Arc<PathBuf>>, UrlPath(path): UrlPath<String>) -> Response {
    serve(&dir, &path).await
}

async fn serve(dir: &Path, path: &str) -> Response {
    // The link is resolved once, so that page and revision belong together even while it is being replaced.
    let Ok(root) = tokio::fs::canonicalize(dir).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "nothing is deployed here yet\n").into_response();
    };
    let plain = Path::new(path).components().all(|c| matches!(c, Component::Normal(_)));
    let whole = root.join(path);
    let inside = tokio::fs::canonicalize(&whole).await.is_ok_and(|real| real.starts_with(&root));
    let is_file = tokio::fs::metadata(&whole).await.is_ok_and(|m| m.is_file() && m.len() <= MAX_BYTES);
    let bytes = if plain && inside && is_file { tokio::fs::read(&whole).await.ok() } else { None };
    let Some(bytes) = bytes else { return (StatusCode::NOT_FOUND, "not found\n").into_response() };
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind(&whole)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let revision = tokio::fs::read_to_string(root.join("revision")).await.unwrap_or_default();
    if let Ok(value) = HeaderValue::from_str(revision.trim())
        && !revision.trim().is_empty()
    {
        headers.insert(REVISION, value);
    }
    response
}

fn kind(path: &Path) -> &'static str {
    match path.extension().and_then(|e| e.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;
    use tower::ServiceExt;

    async fn get_page(dir: &Path, path: &str) -> Response {
        router(dir.to_owned()).oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_site_reports_its_revision_and_stays_inside_its_directory() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("secret"), "no").unwrap();
        let release = home.path().join("r1");
        std::fs::create_dir(&release).unwrap();
        std::fs::write(release.join("index.html"), "<h1>hi</h1>").unwrap();
        std::fs::write(release.join("revision"), "abc\n").unwrap();
        std::os::unix::fs::symlink("../secret", release.join("leak")).unwrap();
        let current = home.path().join("current");
        assert_eq!(get_page(&current, "/").await.status(), StatusCode::SERVICE_UNAVAILABLE);
        std::os::unix::fs::symlink("r1", &current).unwrap();
        let page = get_page(&current, "/").await;
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(page.headers()[REVISION], "abc");
        for path in ["/../secret", "/leak", "/%2e%2e/secret", "/missing"] {
            assert_eq!(get_page(&current, path).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
