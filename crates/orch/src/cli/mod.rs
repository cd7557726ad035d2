//! The command line: definitions, dispatch and nothing else. A subcommand is one file with its arguments and one `run`;
//! results go to stdout, diagnostics to stderr, and the exit code says how it ended (0 done, 1 failed, 2 usage, 3
//! cannot tell).

mod acting;
pub mod agent_driver;
pub mod answer;
pub mod approve;
pub mod attach;
pub mod audit;
pub mod backup;
pub mod client;
pub mod config;
pub mod context;
pub mod cost;
pub mod db;
pub mod demo;
pub mod diff;
pub mod doctor;
pub mod drain;
pub mod evidence;
pub mod exit;
pub mod gate;
mod git_probe;
pub mod init;
pub mod instance;
pub mod journal;
pub mod land;
pub mod logs;
pub mod people;
pub mod pr;
mod programs;
pub mod project;
pub mod queue;
mod read;
pub mod sandbox;
pub mod serve;
pub mod show;
pub mod supervise;
pub mod table;
pub mod task;
pub mod task_arrange;
pub mod why;

#[cfg(test)]
mod audit_tests;
#[cfg(test)]
mod instance_tests;
#[cfg(test)]
mod tests;

pub use context::{Context, Tone};
pub use exit::{Exit, Failure, Outcome};

use clap::{Parser, Subcommand};
use std::io::IsTerminal;
use std::process::ExitCode;

/// Takes a ticket to production with coding agents; deterministic code decides, agents do the work.
#[derive(Debug, Parser)]
#[command(name = "orch", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done; 1 the thing asked about failed; 2 usage or configuration error; 3 cannot \
                        tell.\n\nExample:\n  orch init && orch serve")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the whole way from ticket to done on a sample repository, offline
    Demo(demo::DemoArgs),
    /// Write a commented orch.toml for a repository
    Init(init::InitArgs),
    /// List instances; move the state of one out of a clone
    #[command(subcommand)]
    Instance(instance::InstanceCommand),
    /// Copy the whole instance to a directory while it works
    Backup(backup::BackupArgs),
    /// Bring a copy of the whole instance back
    Restore(backup::RestoreArgs),
    /// Check, copy, bring up to date or begin anew the database
    #[command(subcommand)]
    Db(db::DbCommand),
    /// Run the daemon: engine, HTTP API, dashboard
    Serve(serve::ServeArgs),
    /// Say what is missing or wrong on this machine, with the fix
    Doctor(doctor::DoctorArgs),
    /// List or show the configured projects
    #[command(subcommand)]
    Project(project::ProjectCommand),
    /// Make, start, stop and look at tasks
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// Land a branch of your own, through the same gates and the same queue, without agents
    Land(land::LandArgs),
    /// Say what a task waits for, since when, and what ends it
    Why(why::WhyArgs),
    /// Show what a task changes, as it is approved and lands
    Diff(diff::DiffArgs),
    /// List and open pull requests, and show what they change
    #[command(subcommand)]
    Pr(pr::PrCommand),
    /// Approve what a task asks approval for
    Approve(approve::ApproveArgs),
    /// Refuse what a task asks approval for
    Reject(approve::RejectArgs),
    /// Answer a question an agent asked
    Answer(answer::AnswerArgs),
    /// Print an agent's live output
    Logs(logs::LogsArgs),
    /// Show every gate's verdict and what it looked at
    Evidence(evidence::EvidenceArgs),
    /// Add up what agents have cost
    Cost(cost::CostArgs),
    /// Show the queue, as GET /queue returns it
    Queue(queue::QueueArgs),
    /// List the gates, or judge one by itself
    #[command(subcommand)]
    Gate(gate::GateCommand),
    /// Bring advisories about dependencies to a machine without a network
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// List people, or forget one
    #[command(subcommand)]
    People(people::PeopleCommand),
    /// Export the journal, or check an exported one
    #[command(subcommand)]
    Journal(journal::JournalCommand),
    /// Stop claiming work; agents keep running
    Drain(drain::DrainArgs),
    /// Stop everything, or one project: nothing is begun, agents stand still
    Pause(drain::PauseArgs),
    /// Go on after a pause or a drain
    Resume(drain::ResumeArgs),
    /// Take up a changed configuration while the daemon runs
    Reload(drain::ReloadArgs),
    /// Check and explain the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Own one run; started by the daemon, not by people
    #[command(hide = true)]
    Supervise(supervise::SuperviseArgs),
    /// Drive an agent's program in one run; started by a supervisor, not by people
    #[command(hide = true)]
    AgentDriver(agent_driver::AgentDriverArgs),
    /// Let a sandboxed run reach the hosts it may; started with the run, not by people
    #[command(hide = true, name = orch_sandbox::door::SUBCOMMAND)]
    SandboxDoor(sandbox::DoorArgs),
    /// Lead from the inside of a sandbox to its way out; started with the run, not by people
    #[command(hide = true, name = orch_sandbox::relay::SUBCOMMAND)]
    SandboxRelay(sandbox::RelayArgs),
    /// Play a role by a script, through the contract of any agent; started by a supervisor, not by people
    #[command(hide = true, after_help = "Example:\n  orch scripted-agent")]
    ScriptedAgent,
}

/// The whole program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            return if e.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    match &cli.command {
        Command::Supervise(args) => return supervise::run(args),
        Command::AgentDriver(args) => return agent_driver::run(args),
        Command::SandboxDoor(args) => return sandbox::door(args),
        Command::SandboxRelay(args) => return sandbox::relay(args),
        Command::ScriptedAgent => return orch_adapters::scripted::scripted_agent_main(),
        _ => {}
    }
    let env = crate::config::env::process_env();
    let cwd = match std::env::current_dir() {
        Ok(cwd) => cwd,
        Err(e) => {
            let _ =
                std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("orch: no current directory: {e}\n"));
            return Exit::CannotTell.into();
        }
    };
    let color = std::io::stdout().is_terminal() && env.get("NO_COLOR").is_none_or(String::is_empty);
    let asks = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let mut context = Context::new(env, cwd, (&mut out, &mut err), color);
    context.asks = asks;
    run(&cli, &mut context).into()
}

/// Runs a parsed command and prints its failure.
pub fn run(cli: &Cli, context: &mut Context<'_>) -> Exit {
    let outcome = match &cli.command {
        Command::Demo(args) => crate::demo::run(args, context),
        Command::Init(args) => init::run(args, context),
        Command::Instance(command) => instance::run(command, context),
        Command::Backup(args) => backup::backup(args, context),
        Command::Restore(args) => backup::restore(args, context),
        Command::Db(command) => db::run(command, context),
        Command::Serve(args) => crate::serve::run(args, context),
        Command::Doctor(args) => doctor::run(args, context),
        Command::Project(command) => project::run(command, context),
        Command::Task(command) => task::run(command, context),
        Command::Land(args) => land::run(args, context),
        Command::Why(args) => why::run(args, context),
        Command::Diff(args) => diff::run(args, context),
        Command::Pr(command) => pr::run(command, context),
        Command::Approve(args) => approve::approve(args, context),
        Command::Reject(args) => approve::reject(args, context),
        Command::Answer(args) => answer::run(args, context),
        Command::Logs(args) => logs::run(args, context),
        Command::Evidence(args) => evidence::run(args, context),
        Command::Queue(args) => queue::run(args, context),
        Command::Gate(command) => crate::gate_cli::run(command, context),
        Command::Audit(command) => audit::run(command, context),
        Command::Cost(args) => cost::run(args, context),
        Command::People(command) => people::run(command, context),
        Command::Journal(command) => journal::run(command, context),
        Command::Drain(args) => drain::drain(args, context),
        Command::Pause(args) => drain::pause(args, context),
        Command::Resume(args) => drain::resume(args, context),
        Command::Reload(args) => drain::reload(args, context),
        Command::Config(command) => config::run(command, context),
        // They live before the context: they must not read a configuration or own a terminal.
        Command::Supervise(_)
        | Command::AgentDriver(_)
        | Command::SandboxDoor(_)
        | Command::SandboxRelay(_)
        | Command::ScriptedAgent => Err(Failure::usage("this command is started by the daemon")),
    };
    match outcome {
        Ok(exit) => exit,
        Err(failure) => {
            context.note(format!("orch: {failure}"));
            failure.exit
        }
    }
}
