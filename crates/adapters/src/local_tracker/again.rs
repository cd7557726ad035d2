//! Tickets that are made again after their file was lost, as orch knows them from its tasks: with their numbers, so that
//! none is given out twice. What is there is left as it is, so that making them again twice makes them once.

use super::{LocalTracker, id_of, log, next_time};
use crate::local_db;
use orch_core::ids::{Actor, ProjectKey, Time};
use orch_ports::Fault;
use orch_ports::tracker::TicketState;
use rusqlite::params;
use std::path::Path;

/// A ticket as its task knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketAgain {
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
    /// Its state.
    pub state: TicketState,
    /// When its task was made.
    pub created_at: Time,
}

impl TicketAgain {
    fn key(&self) -> String {
        format!("made-again-{}", self.number)
    }

    /// What [`orch_ports::tracker::Ticket::id`] is going to be.
    pub fn id(&self) -> String {
        id_of(&self.key(), self.created_at)
    }
}

impl LocalTracker {
    /// Is no ticket in this file, or no file there? Looking changes nothing.
    pub fn is_empty(path: &Path) -> bool {
        local_db::is_empty(path, "ticket")
    }

    /// Makes tickets again, all or none.
    pub async fn make_again(&self, project: &ProjectKey, tickets: Vec<TicketAgain>) -> Result<(), Fault> {
        let (project, now, by) = (project.clone(), self.clock.now(), Actor::orch());
        self.db
            .write("make tickets again", move |t| {
                for ticket in &tickets {
                    let number = i64::try_from(ticket.number).map_err(|e| Fault::bug(e.to_string()))?;
                    let made = t.execute(
                        "INSERT INTO ticket (project, number, key, title, body, state, state_by, created_by, created_at,
                         updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9) ON CONFLICT (project, number) DO NOTHING",
                        params![
                            project.as_str(),
                            number,
                            ticket.key(),
                            ticket.title,
                            ticket.body,
                            ticket.state.as_str(),
                            by.as_str(),
                            ticket.created_at.0,
                            next_time(t, &project, now)?
                        ],
                    )?;
                    if made == 1 {
                        log(t, &project, ticket.number, "ticket-made-again", &ticket.title, &by, now)?;
                    }
                }
                Ok(())
            })
            .await
    }
}
