//! Telling people through the log: what there is when no messenger is configured. It writes one warning per key and
//! process under the target `orch::notice`, so that an operator can route exactly these lines.

use orch_ports::Fault;
use orch_ports::notifier::{Notice, Notifier};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// A notifier that writes to the log.
#[derive(Debug, Default)]
pub struct LogNotifier {
    told: Mutex<HashSet<String>>,
}

impl LogNotifier {
    /// A notifier that has told nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait::async_trait]
impl Notifier for LogNotifier {
    async fn tell(&self, notice: &Notice) -> Result<(), Fault> {
        // The set only ever grows by whole keys, so a panic elsewhere cannot have left it half written.
        let first = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(notice.key.clone());
        if first {
            let work_item = notice.work_item.as_deref().unwrap_or("-");
            tracing::warn!(target: "orch::notice", work_item, key = %notice.key, "{}", notice.text);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::{Debug, Write as _};
    use std::sync::Arc;
    use tracing::field::{Field, Visit};
    use tracing::{Event, Level, Metadata, Subscriber, span};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    struct Text(String);
    impl Visit for Text {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }

    impl Subscriber for Lines {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &Event<'_>) {
            assert_eq!(*event.metadata().level(), Level::WARN);
            let mut text = Text(event.metadata().target().to_owned());
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn a_key_is_told_once() {
        let lines = Lines::default();
        let notifier = LogNotifier::new();
        let notice = |key: &str| Notice {
            work_item: Some("DEMO-1".into()),
            text: "three rounds are spent".into(),
            key: key.into(),
        };
        tracing::subscriber::with_default(lines.clone(), || {
            for key in ["DEMO-1/blocked", "DEMO-1/blocked", "DEMO-2/blocked"] {
                futures::executor::block_on(notifier.tell(&notice(key))).unwrap();
            }
        });
        let told = lines.0.lock().unwrap().clone();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("orch::notice ") && told[0].contains("three rounds are spent"), "{told:?}");
        assert!(told[0].contains("DEMO-1/blocked") && told[1].contains("DEMO-2/blocked"), "{told:?}");
    }
}
