//! Turns at a place: whoever comes waits for all who came before, and who only waits for an end takes nobody's place.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch::{self, Receiver, Sender};

/// Who has a turn at which place. A turn is open for as long as its [`Turn`] is there.
#[derive(Debug, Default)]
pub(super) struct Turns {
    open: Mutex<HashMap<PathBuf, Vec<Receiver<()>>>>,
}

/// A turn at a place; dropped, it is over, whether it began or not.
#[derive(Debug)]
pub(super) struct Turn {
    before: Vec<Receiver<()>>,
    _open: Sender<()>,
}

impl Turns {
    /// A turn behind all that are open there now.
    pub(super) fn take(&self, place: &Path) -> Turn {
        let (sender, receiver) = watch::channel(());
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, open| {
            open.retain(is_open);
            !open.is_empty()
        });
        let there = all.entry(place.to_owned()).or_default();
        let before = there.clone();
        there.push(receiver);
        Turn { before, _open: sender }
    }

    /// Returns when all turns are over that are open now at places below a directory.
    pub(super) async fn over(&self, below: &Path) {
        let mut open: Vec<Receiver<()>> = {
            let all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            all.iter().filter(|(place, _)| place.starts_with(below)).flat_map(|(_, open)| open.clone()).collect()
        };
        ended(&mut open).await;
    }
}

impl Turn {
    /// Returns when every turn before it is over.
    pub(super) async fn begins(&mut self) {
        ended(&mut self.before).await;
    }
}

fn is_open(turn: &Receiver<()>) -> bool {
    turn.has_changed().is_ok()
}

/// Nothing is ever sent: a change is the sender's end.
async fn ended(turns: &mut [Receiver<()>]) {
    for turn in turns {
        while turn.changed().await.is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn done(future: impl Future) -> bool {
        future.now_or_never().is_some()
    }

    #[test]
    fn who_waits_for_an_end_lets_nobody_in_beside_who_is_at_work() {
        let (turns, place) = (Turns::default(), Path::new("/worktrees/p/.left-1"));
        let mut first = turns.take(place);
        assert!(done(first.begins()));
        assert!(!done(turns.over(Path::new("/worktrees/p"))), "and gives up");
        let mut second = turns.take(place);
        assert!(!done(second.begins()), "the first is still at work");
    }

    #[test]
    fn a_turn_that_never_began_lets_nobody_in_before_those_it_waited_for() {
        let (turns, place) = (Turns::default(), Path::new("/p/.left-1"));
        let mut first = turns.take(place);
        assert!(done(first.begins()));
        drop(turns.take(place));
        let mut third = turns.take(place);
        assert!(!done(third.begins()), "the first is still at work");
        let mut fourth = turns.take(place);
        drop(first);
        assert!(!done(fourth.begins()), "the third comes before it");
        assert!(done(third.begins()));
        drop(third);
        assert!(done(fourth.begins()));
    }

    #[test]
    fn places_do_not_wait_for_each_other_and_what_is_over_is_forgotten() {
        let turns = Turns::default();
        let first = turns.take(Path::new("/p/.left-1"));
        let mut other = turns.take(Path::new("/p/.left-2"));
        assert!(done(other.begins()));
        assert!(done(turns.over(Path::new("/q"))));
        drop((first, other));
        assert!(done(turns.over(Path::new("/p"))));
        let mut last = turns.take(Path::new("/p/.left-3"));
        assert!(done(last.begins()));
        assert_eq!(turns.open.lock().unwrap().len(), 1);
    }
}
