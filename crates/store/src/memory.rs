//! What orch remembers beside tasks, jobs and evidence. Every fact has an owner, and ends with it or at a time of its own:
//! nothing is kept under a name that only its writer knows.

use orch_core::ids::{ProjectKey, Seq, Sha, TaskId, Time};

/// A fact that is remembered, by what it says and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// Nothing new is claimed: `true` or `false`.
    Draining,
    /// What is paused, by whom and since when, and the pauses that are over (JSON).
    Paused,
    /// Key of the fingerprints of secrets.
    FingerprintKey,
    /// Up to which inbox row bodies were dropped.
    BodiesDropped,
    /// Up to which closed task evidence was dropped: its end in milliseconds and its number.
    EvidenceDropped,
    /// Names of people as they were configured, and who was forgotten (JSON).
    Persons,
    /// Names were taken out of the rows, and may be in unused parts of the file still: `true`.
    ScrubDue,
    /// Who may start and approve tasks of a project, as configured last (JSON).
    People(ProjectKey),
    /// Up to which change its tracker was read, milliseconds.
    TrackerCursor(ProjectKey),
    /// Up to which number all its tickets are given out, though no task has them.
    NumbersGiven(ProjectKey),
    /// Where the default branch of a repository was seen last (JSON), by the key of the first project that has it.
    Main(ProjectKey),
    /// One move of that default branch by others (JSON), counted from 1.
    MainMove(ProjectKey, u64),
    /// Where its default branch was when the database came back from a copy, and when the copy was made.
    Restored(ProjectKey),
    /// The commit with which own CI was green on a code, by a command. Ends after a time.
    GreenCi {
        /// Project.
        project: ProjectKey,
        /// Digest of the code.
        code: String,
        /// Digest of the command.
        command: String,
    },
    /// What a command said of this tree (JSON). Ends after a time.
    Base {
        /// Project.
        project: ProjectKey,
        /// The tree.
        tree: String,
        /// Digest of the command, of what it is prepared with, and of the tools it finds.
        command: String,
    },
    /// What was found of its default branch last (JSON).
    BaseShown(ProjectKey),
    /// Tests of it that were red and green on one tree, by name (JSON).
    Flaky(ProjectKey),
    /// Tests of it that a person has put into quarantine, by name (JSON).
    Quarantine(ProjectKey),
    /// Identity of the ticket that a number stands for.
    TicketId(ProjectKey, u64),
    /// The state in which the ticket was seen last.
    TicketSeen(ProjectKey, u64),
    /// Why the last move of the ticket was not followed.
    TicketRefused(ProjectKey, u64),
    /// What the task pushed to a branch, commits separated by spaces, the newest last.
    Pushed(TaskId, String),
    /// The job in which a person was asked whether this revision goes to production after a restore.
    DeployAsked(TaskId, Sha),
    /// What a ticket said (a digest) just before this job changed it for a person.
    TicketBefore(TaskId, Seq),
    /// An open circuit of a service (JSON).
    Circuit(String),
}

/// Whose a fact is. It ends with its owner: those of a task with its evidence, the others with the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    /// This instance.
    Instance,
    /// A project.
    Project(&'a ProjectKey),
    /// A ticket of a project, by number.
    Ticket(&'a ProjectKey, u64),
    /// A task.
    Task(TaskId),
    /// A service that may be out of order.
    Service(&'a str),
}

/// How long a code that was green is taken for green, milliseconds: 30 days.
const GREEN_MS: i64 = 30 * 24 * 3_600_000;

impl Fact {
    /// When it ends by itself, if it is remembered now.
    pub fn until(&self, now: Time) -> Option<Time> {
        matches!(self, Self::GreenCi { .. } | Self::Base { .. }).then(|| now.plus_ms(GREEN_MS))
    }

    /// Whose it is.
    pub fn owner(&self) -> Owner<'_> {
        match self {
            Self::Draining
            | Self::Paused
            | Self::FingerprintKey
            | Self::BodiesDropped
            | Self::EvidenceDropped
            | Self::Persons
            | Self::ScrubDue => Owner::Instance,
            Self::People(project)
            | Self::TrackerCursor(project)
            | Self::NumbersGiven(project)
            | Self::Main(project)
            | Self::MainMove(project, _)
            | Self::Restored(project)
            | Self::Flaky(project)
            | Self::Quarantine(project)
            | Self::BaseShown(project)
            | Self::Base { project, .. }
            | Self::GreenCi { project, .. } => Owner::Project(project),
            Self::TicketId(project, number)
            | Self::TicketSeen(project, number)
            | Self::TicketRefused(project, number) => Owner::Ticket(project, *number),
            Self::Pushed(task, _) | Self::DeployAsked(task, _) | Self::TicketBefore(task, _) => Owner::Task(*task),
            Self::Circuit(service) => Owner::Service(service),
        }
    }

    /// What it says, as it is stored.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Paused => "paused",
            Self::FingerprintKey => "fingerprint_key",
            Self::BodiesDropped => "bodies_dropped",
            Self::EvidenceDropped => "evidence_dropped",
            Self::Persons => "persons",
            Self::ScrubDue => "scrub_due",
            Self::People(_) => "people",
            Self::TrackerCursor(_) => "tracker_cursor",
            Self::NumbersGiven(_) => "numbers_given",
            Self::Main(_) => "main",
            Self::MainMove(..) => "main_move",
            Self::Restored(_) => "restored",
            Self::GreenCi { .. } => "green_ci",
            Self::Base { .. } => "base",
            Self::BaseShown(_) => "base_shown",
            Self::Flaky(_) => "flaky",
            Self::Quarantine(_) => "quarantine",
            Self::TicketId(..) => "id",
            Self::TicketSeen(..) => "seen",
            Self::TicketRefused(..) => "ticket_refused",
            Self::Pushed(..) => "pushed",
            Self::DeployAsked(..) => "deploy_asked",
            Self::TicketBefore(..) => "ticket_before",
            Self::Circuit(_) => "circuit",
        }
    }

    /// Which of several facts of one kind and one owner it is; empty where there is one.
    pub fn name(&self) -> String {
        match self {
            Self::MainMove(_, n) => n.to_string(),
            Self::GreenCi { code, command, .. } => format!("{code}/{command}"),
            Self::Base { tree, command, .. } => format!("{tree}/{command}"),
            Self::Pushed(_, branch) => branch.clone(),
            Self::DeployAsked(_, revision) => revision.to_string(),
            Self::TicketBefore(_, job) => job.to_string(),
            Self::Draining
            | Self::Paused
            | Self::FingerprintKey
            | Self::BodiesDropped
            | Self::EvidenceDropped
            | Self::Persons
            | Self::ScrubDue
            | Self::People(_)
            | Self::TrackerCursor(_)
            | Self::NumbersGiven(_)
            | Self::Main(_)
            | Self::Restored(_)
            | Self::Flaky(_)
            | Self::Quarantine(_)
            | Self::BaseShown(_)
            | Self::TicketId(..)
            | Self::TicketSeen(..)
            | Self::TicketRefused(..)
            | Self::Circuit(_) => String::new(),
        }
    }
}
