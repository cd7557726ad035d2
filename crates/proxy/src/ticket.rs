//! A request that may go out: admitted by the gate, written down, and ended exactly once.

use crate::asked::Asked;
use crate::gate::{Amount, Answer};
use crate::journal::Record;
use crate::prices::{Price, price};
use crate::shared::{Shared, now};
use crate::usage::{Seen, Tokens};
use std::io;
use std::sync::Arc;

pub(crate) enum Refusal {
    Spent(String),
    Unwritten(io::Error),
}

/// Waits until a request may go out, and writes it down.
///
/// # Errors
/// The run has used what it may, or the request cannot be written down.
pub(crate) async fn admit(shared: &Arc<Shared>, asked: Asked) -> Result<Ticket, Refusal> {
    let counted = Amount {
        micro_usd: if shared.credential.is_included() {
            0
        } else {
            asked.price.most(asked.input, asked.max_tokens, asked.terms)
        },
        tokens: asked.input.saturating_add(asked.max_tokens),
    };
    // What nobody knows the most of goes alone.
    let most = if asked.open_ended { Amount { micro_usd: u64::MAX, tokens: u64::MAX } } else { counted };
    loop {
        let changed = shared.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        // Looked at last, so that nothing goes out that came through the gate before a pause.
        shared.pause.is_over().await;
        let answer = shared.gate().ask(most);
        match answer {
            Answer::Go => break,
            Answer::Wait => changed.await,
            Answer::Cut(why) => {
                shared.refused(&why);
                return Err(Refusal::Spent(why));
            }
        }
    }
    let id = shared.next_id();
    let record = Record::Asked { at: now(), id, model: asked.model.clone(), priced: asked.known, most: counted };
    if let Err(e) = shared.journal.write(&record) {
        shared.gate().over(most, Amount::default());
        shared.changed.notify_waiters();
        return Err(Refusal::Unwritten(e));
    }
    Ok(Ticket {
        shared: Arc::clone(shared),
        id,
        asked,
        most,
        counted,
        open: true,
        seen: Tokens::default(),
        input_known: false,
        answered: None,
    })
}

/// A request that went out. Ends exactly once: well, or cut; if it is forgotten, the program went away.
pub(crate) struct Ticket {
    shared: Arc<Shared>,
    pub(crate) id: u64,
    asked: Asked,
    /// What the gate holds for it.
    most: Amount,
    /// The most that is known of it.
    counted: Amount,
    open: bool,
    /// What the response has said so far.
    seen: Tokens,
    input_known: bool,
    /// The price of the model that answers, where that is another one.
    answered: Option<Price>,
}

impl Ticket {
    /// What the response has said so far. A gateway may have another model answer than the one that was asked.
    pub(crate) fn hear(&mut self, seen: &Seen) {
        (self.seen, self.input_known) = (seen.tokens, seen.input_known);
        if self.answered.is_none()
            && let Some(model) = &seen.model
        {
            let (price, known) = price(model, self.asked.terms);
            self.answered = Some(if known { price } else { self.asked.price });
        }
    }

    /// It is over; `cut` says why it is not known what it used. True: it is written down.
    pub(crate) fn over(&mut self, status: u16, cut: Option<String>, tokens: Tokens) -> bool {
        if !std::mem::take(&mut self.open) {
            return true;
        }
        let (record, cost) = match cut {
            None => {
                let cost = self.cost(&tokens);
                (Record::Ended { at: now(), id: self.id, status, tokens, cost }, cost)
            }
            Some(why) => {
                let output = self.asked.max_tokens.max(self.seen.output);
                let tokens = if self.input_known {
                    Tokens { output, ..self.seen }
                } else {
                    Tokens { input: self.asked.input, output, ..Tokens::default() }
                };
                let cost = if self.input_known { self.cost(&tokens) } else { self.counted };
                (Record::Cut { at: now(), id: self.id, tokens, cost, why }, cost)
            }
        };
        let written = self.shared.journal.write(&record);
        if let Err(e) = &written {
            // Its request is written down: it counts at the most it can have cost.
            self.shared.note(&format!("a response could not be written down: {e}"));
        }
        self.shared.gate().over(self.most, cost);
        self.shared.changed.notify_waiters();
        written.is_ok()
    }

    fn cost(&self, tokens: &Tokens) -> Amount {
        let included = self.shared.credential.is_included();
        let of = |price: &Price| price.of(tokens, self.asked.terms);
        let dearer = of(&self.asked.price).max(self.answered.as_ref().map_or(0, of));
        let micro_usd = if included { 0 } else { dearer };
        Amount { micro_usd, tokens: tokens.all() }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.over(0, Some("the program went away before the end".into()), Tokens::default());
    }
}
