//! The world's person speaks HTTP, as everybody does.

use crate::world::{PERSON, World};
use anyhow::{Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

/// A task that was asked for, perhaps without an answer yet.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) project: &'static str,
    pub(crate) kind: &'static str,
}

impl World {
    /// Reads.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.send(self.http.get(self.url(path)))
    }

    /// Acts.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(self.http.post(self.url(path)).json(body))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listen)
    }

    fn send(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let token = fs::read_to_string(self.data().join("token")).unwrap_or_default();
        let request = request.bearer_auth(token.trim()).header("x-orch-actor", PERSON).timeout(Duration::from_secs(10));
        self.runtime.block_on(async {
            let response = request.send().await?;
            let status = response.status();
            let text = response.text().await?;
            ensure!(status.is_success(), "{status}: {text}");
            Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
        })
    }

    /// Tasks as the API shows them.
    pub fn tasks(&self, all: bool) -> Result<Vec<Value>> {
        let answer = self.get(if all { "/api/v1/tasks?all=true" } else { "/api/v1/tasks" })?;
        let list = answer.get("tasks").unwrap_or(&answer).as_array().cloned();
        list.ok_or_else(|| anyhow!("no list of tasks: {answer}"))
    }

    /// Makes and starts a task. Where no answer comes, the same request is made again before the next one.
    pub fn new_task(&mut self, project: &'static str, kind: &'static str) -> Result<()> {
        self.wanted.push_back(Wanted { project, kind });
        self.ask_again()
    }

    /// Makes the tasks nobody has answered for yet.
    pub fn ask_again(&mut self) -> Result<()> {
        while let Some(Wanted { project, kind }) = self.wanted.front().cloned() {
            let number = self.made.len() + 1;
            let body = json!({
                "project": project, "title": format!("Add a line, {kind}"), "body": format!("Please: kind={kind}"),
                "start": true, "key": format!("torture-{number}"),
            });
            let id = field(&self.post("/api/v1/tasks", &body)?, "id");
            self.wanted.pop_front();
            if self.made.insert(id.clone(), kind).is_some() {
                bail!("two requests with different keys made one task {id}");
            }
        }
        Ok(())
    }
}

/// A text field of JSON.
pub fn field(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}
