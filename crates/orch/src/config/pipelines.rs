//! `[pipelines.NAME]`: pipelines of one's own. One that cannot work is refused at load with the stage and the reason,
//! because a task would only find out half way.

use super::load::Loader;
use super::reference::KeyDoc;
use super::value::Field;
use orch_core::pipeline::{Pipeline, Stage};
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

/// A declared pipeline that can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared(pub Pipeline);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    stages: Vec<Stage>,
}

impl Field for Declared {
    const ENV: bool = false;
    fn kind() -> String {
        "pipeline".into()
    }
    fn read(loader: &mut Loader<'_>, at: &str, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        let name = at.rsplit('.').next().unwrap_or(at).to_owned();
        if Pipeline::built_in(&name).is_some() {
            loader.at_path(at, format!("[{at}] is the name of a built-in pipeline: choose another"));
            return None;
        }
        let written = match Written::deserialize(ValueDeserializer::from(value.clone())) {
            Ok(written) => written,
            Err(e) => {
                let offset = e.span().map_or(value.span().start, |s| s.start);
                loader.at_offset(offset, format!("[{at}] {}", e.message()));
                return None;
            }
        };
        let pipeline = Pipeline { name, stages: written.stages };
        let problems = pipeline.problems();
        for problem in &problems {
            loader.at_path(at, format!("[{at}] {problem}"));
        }
        problems.is_empty().then_some(Self(pipeline))
    }
    fn from_text(_text: &str) -> Result<Self, String> {
        Err("cannot be given in the environment".into())
    }
    fn show(&self) -> String {
        let names: Vec<&str> = self.0.stages.iter().map(|s| s.id.as_str()).collect();
        format!("({})", names.join(" -> "))
    }
    fn nested(path: &str, out: &mut Vec<KeyDoc>) {
        out.push(KeyDoc::table(path, "A pipeline of your own, for `pipeline = \"NAME\"` of a project."));
        out.push(KeyDoc {
            path: format!("{path}.stages"),
            doc: "Its stages in order, each `{ id = \"development\", steps = [{ step = \"agent\", role = \"developer\" }, \
                  { step = \"publish\" }, ...] }`; a gate is `{ step = \"gate\", gate = \"check_ci_green\", on_fail = \
                  \"development\", on_inconclusive = \"hold\" }`."
                .into(),
            kind: "list of tables".into(),
            default: None,
            env: Vec::new(),
        });
    }
}
