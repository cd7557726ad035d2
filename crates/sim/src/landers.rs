//! People who land branches of their own: what they push, and what must hold of their branches. orch only ever reads them.

use crate::effects::lands_as_one;
use crate::invariants::ensure;
use crate::sim::{Flight, Live, Sim};
use crate::site::{Landed, Site};
use orch_core::effect::Outcome;
use orch_core::event::Event;
use orch_core::ids::{Actor, ProjectKey, Sha};
use orch_core::pipeline::Pipeline;
use orch_core::source::Source;
use orch_core::task::Task;
use orch_core::verdict::Finding;

/// Does a pipeline land a person's branch?
pub(crate) fn is_a_persons(pipeline: &Pipeline) -> bool {
    pipeline.name.ends_with("without agents")
}

fn name(number: u64) -> String {
    format!("people/{number}")
}

impl Sim {
    /// A person pushes a change to their branch: on top of it, or written anew on top of main. `good`: nothing is wrong
    /// with it.
    pub(crate) fn author_pushes(&mut self, project: &ProjectKey, number: u64, good: bool) -> Live<Sha> {
        let anew = good || self.choices.chance("written anew", 400);
        let nothing = !good && self.choices.chance("nothing new", 100);
        let file = format!("f{}", (number + self.choices.below("file", 2) as u64) % 4);
        let n = self.choices.below("content", 10_000) as u64;
        let kind = if good { 4 } else { [4, 4, 5, 5, 6, 0, 1, 3][self.choices.below("what is wrong", 8)] };
        let site = self.site(project)?;
        let (name, main) = (name(number), site.main.clone());
        let from = site.branches.get(&name).filter(|_| !anew).cloned().unwrap_or(main);
        let mut tree = site.repo.tree(&from);
        if good {
            // Also what somebody else has merged by hand: whoever helps leaves nothing wrong behind.
            for (_, content) in tree.iter_mut().filter(|(path, _)| crate::repo::is_code(path)) {
                *content = crate::repo::mended(*content);
            }
        }
        for more in 0..40 {
            if nothing {
                break;
            }
            tree.insert(file.clone(), (n + more) * 8 + kind);
            if !good || crate::repo::red(&tree).is_none() {
                break;
            }
        }
        let head = site.repo.commit(&[from], tree, "a person");
        site.branches.insert(name.clone(), head.clone());
        site.theirs.insert(name.clone(), head.clone());
        self.say(|| format!("   a person pushes {} to {name}", head.short()));
        Ok(head)
    }

    /// What a new task lands.
    pub(crate) fn source_of(&mut self, project: &ProjectKey, number: u64) -> Live<Source> {
        let head = self.author_pushes(project, number, false)?;
        Ok(Source::new(name(number), head))
    }

    /// A person has pushed, or not, and wants it landed as it stands.
    pub(crate) fn lands_again(&mut self, task: &Task, by: Actor) -> Live<Event> {
        if self.choices.chance("author repairs", 600) {
            self.author_pushes(&task.project, task.number, false)?;
        }
        self.lands_as_it_stands(task, by)
    }

    /// The wish to land the person's branch as it stands.
    pub(crate) fn lands_as_it_stands(&mut self, task: &Task, by: Actor) -> Live<Event> {
        let site = self.site(&task.project)?;
        let head = site.branches.get(&name(task.number)).cloned().unwrap_or_else(|| site.main.clone());
        Ok(Event::LandAsked { by, head })
    }

    /// The commit that was asked for, on a branch of orch's own.
    pub(crate) fn take(&mut self, f: &Flight, source: &Source) -> Live<Outcome> {
        let task = &f.task;
        let site = self.site(&task.project)?;
        let main = site.main.clone();
        let refused = |text: &str| Outcome::NotTaken { findings: vec![Finding::must_fix(text)] };
        let Some(base) = site.repo.merge_base(&source.head, &main) else { return Ok(refused("no history")) };
        let (tree, conflicts) = site.repo.merged(&source.head, &main);
        if site.repo.is_ancestor(&source.head, &main) || conflicts.is_empty() && tree == site.repo.tree(&main) {
            self.seen.count("answer", "take: nothing to land");
            return Ok(refused("main has all of it already"));
        }
        Ok(match self.push(task, &source.head)? {
            Ok(()) => Outcome::Opened { head: source.head.clone(), base },
            Err(now) => Outcome::BranchMoved { now },
        })
    }
}

/// A person's branch is where the person left it.
pub(crate) fn invariant_a_persons_branch_is_the_persons(site: &Site) -> Live<()> {
    for (name, head) in &site.theirs {
        let now = site.branches.get(name);
        ensure(now == Some(head), "a_persons_branch_is_the_persons", || {
            format!("{name} was left at {}, and is at {now:?}", head.short())
        })?;
    }
    Ok(())
}

/// What lands of a person's branch is what the person asked for, brought to the tip, and nothing that was pushed later, to
/// that branch or to orch's copy of it.
pub(crate) fn invariant_what_was_asked_for_lands(site: &Site, task: &Task, landed: &Landed) -> Live<()> {
    let Some(source) = task.branch.source.as_ref().filter(|_| !landed.forge_lied && !landed.blind) else {
        return Ok(());
    };
    if task.production.reverting.as_ref().is_some_and(|r| !r.by_hand) {
        return Ok(());
    }
    let (asked, conflicts) = site.repo.merged(&source.head, &landed.onto);
    let tree = site.repo.tree(&landed.commit);
    let one = lands_as_one(task);
    ensure(conflicts.is_empty() && tree == asked, "what_was_asked_for_lands", || {
        format!(
            "{} asked for {}, and {} landed (as one: {one})",
            task.work_item,
            source.head.short(),
            landed.commit.short()
        )
    })
}
