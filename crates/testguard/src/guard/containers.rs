//! What containers are built from and run: compose files and Dockerfiles.

use super::parts::Part::Whole;
use super::walk::{At, Place, Walk};

pub(super) fn compose_file(walk: &mut Walk<'_>, file: &str, at: &At) {
    for place in walk.places(file, at) {
        let Place::Path(path) = place else { continue };
        walk.guard_path(&path, Whole, at);
        let Some(text) = walk.text(&path) else { continue };
        let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir).to_owned();
        let inner = Walk::in_dirs(at, vec![dir]);
        let mut context = ".".to_owned();
        for line in text.lines().map(str::trim) {
            let (key, value) = line.split_once(':').map_or((line, ""), |(k, v)| (k.trim_start_matches("- "), v.trim()));
            let value = value.trim_matches(['"', '\'']);
            match key {
                "build" | "context" if !value.is_empty() => {
                    value.clone_into(&mut context);
                    let built = walk.directories(Some(value), &inner);
                    image(walk, "Dockerfile", &built, &built);
                }
                "build" => image(walk, "Dockerfile", &inner, &inner),
                "dockerfile" => {
                    let built = walk.directories(Some(&context), &inner);
                    image(walk, value, &built, &built);
                }
                "command" | "entrypoint" | "test" => walk.inside(&value.replace(['[', ']', ','], " "), &inner),
                _ => {}
            }
        }
    }
}

/// A Dockerfile, and what it runs of what it is given.
pub(super) fn image(walk: &mut Walk<'_>, file: &str, at: &At, context: &At) {
    for place in walk.places(file, at) {
        let Place::Path(path) = place else { continue };
        walk.guard_path(&path, Whole, at);
        let Some(text) = walk.text(&path) else { continue };
        for line in text.replace("\\\n", " ").lines().map(str::trim) {
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            match word.to_ascii_uppercase().as_str() {
                "RUN" => walk.inside(rest, context),
                "CMD" | "ENTRYPOINT" | "HEALTHCHECK" => walk.inside(&rest.replace(['[', ']', ','], " "), context),
                // A script that is copied is there to be run.
                "COPY" | "ADD" => {
                    for word in rest.split_whitespace().filter(|w| !w.starts_with("--")) {
                        let shell = [".sh", ".bash"].iter().any(|e| word.ends_with(e));
                        if shell {
                            walk.mentioned(word, context);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}
