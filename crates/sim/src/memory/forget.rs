//! A person's names leave the store in memory: what is kept is written as text, as a store in a file has it, and read again.

use super::state::{Result, State};
use orch_core::people;
use orch_store::forget::Redactor;
use orch_store::{Forget, Forgotten, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The same without the names; nothing: they are not in it.
fn without<T: Serialize + DeserializeOwned>(redactor: &Redactor, value: &T) -> Result<Option<T>> {
    let broken = |e: serde_json::Error| StoreError::Bug(format!("a row without a name: {e}"));
    let text = serde_json::to_string(value).map_err(broken)?;
    redactor.column(&text).map(|text| serde_json::from_str(&text).map_err(broken)).transpose()
}

impl State {
    pub(super) fn forget_person(&mut self, forget: &Forget) -> Result<Forgotten> {
        let redactor = &Redactor::new(forget);
        let mut rows: BTreeMap<String, u64> = BTreeMap::new();
        let mut count = |table: &str| *rows.entry(table.to_owned()).or_default() += 1;
        for task in self.now.tasks.values_mut() {
            if let Some(new) = without(redactor, &**task)? {
                let pipeline = Arc::clone(&task.pipeline);
                *task = Arc::new(orch_core::task::Task { pipeline, ..new });
                count("task");
            }
        }
        let open = self.now.jobs.iter_mut().map(|row| &mut Arc::make_mut(row).job);
        for job in open.chain(&mut self.done) {
            if let Some(effect) = without(redactor, &job.effect)? {
                job.effect = effect;
                count("job");
            }
            if let Some(fault) = without(redactor, &job.last_fault)? {
                job.last_fault = fault;
                count("job");
            }
        }
        for row in &mut self.now.inbox {
            if let Some(event) = without(redactor, &row.event)? {
                Arc::make_mut(row).event = event;
                count("inbox");
            }
            if let Some(note) = row.note.as_deref().and_then(|note| redactor.sentence(note)) {
                Arc::make_mut(row).note = Some(note);
                count("inbox");
            }
        }
        for row in &mut self.journal {
            let under = row.actor.as_ref().filter(|by| people::system(by).is_none()).map(ToString::to_string);
            if let Some(under) = under {
                for text in row.story.iter_mut().chain(&mut row.ignored) {
                    *text = redactor.deed(text, &under).unwrap_or_else(|| text.clone());
                }
            }
            if let Some(new) = without(redactor, row)? {
                *row = new;
                count("journal");
            }
        }
        for row in &mut self.judgements {
            if let Some(new) = without(redactor, row)? {
                *row = new;
                count("judgement");
            }
        }
        for row in &mut self.runs {
            if let Some(new) = without(redactor, row)? {
                *row = new;
                count("run");
            }
        }
        for (value, _) in self.facts.values_mut() {
            if let Some(new) = redactor.column(value) {
                *value = new;
                count("fact");
            }
        }
        for name in self
            .people
            .iter_mut()
            .filter(|name| name.as_ref().is_some_and(|name| forget.names.iter().any(|gone| gone.as_str() == name)))
        {
            *name = None;
        }
        let mut documents = 0;
        for row in &mut self.artefacts {
            let text = std::str::from_utf8(&row.bytes).ok().and_then(|text| redactor.sentence(text));
            let Some(text) = text else { continue };
            if self.now.tasks.get(&row.task).is_some_and(|task| task.is_closed()) {
                row.bytes = text.into_bytes();
                count("artefact");
            } else {
                documents += 1;
            }
        }
        for (fact, value) in &forget.facts {
            self.facts.insert(fact.clone(), (value.clone(), fact.until(forget.now)));
        }
        Ok(Forgotten { rows, documents, scrubbed: true, ..Forgotten::default() })
    }
}
