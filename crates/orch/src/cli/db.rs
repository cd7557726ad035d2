//! `orch db`: the database itself. Looking and copying work while a daemon is at it; bringing the schema up to date and
//! beginning anew do not.

use super::context::{Context, Tone};
use super::exit::{Exit, Failure, Outcome};
use super::show;
use crate::config::Config;
use crate::lost::{self, Gone};
use clap::{Args, Subcommand};
use orch_store::SqliteStore;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// `orch db`
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "Example:\n  orch db check")]
pub enum DbCommand {
    /// Read all of every database and say whether it is sound; exit 1 if one is not
    Check(CheckArgs),
    /// Copy the database to a file while the daemon works
    Backup(BackupArgs),
    /// Bring the schema up to date, with a copy of the database as it was
    Migrate(MigrateArgs),
    /// Say what is lost with a database, a tracker or a forge that is gone, and begin a new one
    New(NewArgs),
}

/// `orch db check`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch db check --json")]
pub struct CheckArgs {
    /// Configuration file (default: the nearest orch.toml from here upwards)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `orch db backup`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example:\n  orch db backup /srv/backup/orch-$(date +%F).db\n\nOnly the database: `orch backup \
                        DIR` copies the whole instance."
)]
pub struct BackupArgs {
    /// File to write; it must not exist
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Configuration file (default: the nearest orch.toml from here upwards)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `orch db migrate`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example:\n  orch db migrate\n\nThe daemon does the same at its start. An older orch refuses the \
                        database afterwards; the copy beside it is the way back."
)]
pub struct MigrateArgs {
    /// Configuration file (default: the nearest orch.toml from here upwards)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `orch db new`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example:\n  orch db new          # says what is lost\n  orch db new --yes    # begins anew\n\nOnly \
                        where orch.db, tracker.db or forge/forge.db is gone or empty; the one is made from what the \
                        others know. A backup is the better way: `orch restore DIR`."
)]
pub struct NewArgs {
    /// Do it
    #[arg(long)]
    pub yes: bool,
    /// Configuration file (default: the nearest orch.toml from here upwards)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(command: &DbCommand, context: &mut Context<'_>) -> Outcome {
    match command {
        DbCommand::Check(args) => check(args, context),
        DbCommand::Backup(args) => backup(args, context),
        DbCommand::Migrate(args) => migrate(args, context),
        DbCommand::New(args) => new(args, context),
    }
}

fn check(args: &CheckArgs, context: &mut Context<'_>) -> Outcome {
    let config = context.config(args.config.as_deref())?;
    let data = config.data_dir();
    let files = [config.db.path.clone(), data.join("tracker.db"), data.join("forge/forge.db")];
    let (mut all, mut bad) = (Vec::new(), false);
    for file in files.iter().filter(|file| file.exists()) {
        let wrong = SqliteStore::examine_whole(file).unwrap_or_else(|e| vec![e.to_string()]);
        bad |= !wrong.is_empty();
        let schema = (*file == config.db.path).then(|| SqliteStore::inspect(file).ok().flatten()).flatten();
        all.push(json!({ "file": file, "schema": schema, "wrong": wrong }));
    }
    let lost = lost::refuse(&config).err();
    bad |= lost.is_some();
    if args.json {
        let lost = lost.map(|failure| failure.message);
        context.say(show::json(&json!({
            "ok": !bad, "newest_schema": SqliteStore::newest_version(), "databases": all, "lost": lost,
        })));
    } else {
        for one in &all {
            let wrong: Vec<&str> = one["wrong"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let tone = if wrong.is_empty() { Tone::Good } else { Tone::Bad };
            let word = context.paint(tone, if wrong.is_empty() { "ok  " } else { "fail" });
            let schema = one["schema"].as_i64().map(|n| format!(", schema version {n}")).unwrap_or_default();
            context.say(format!("{word} {}{schema}", one["file"].as_str().unwrap_or_default()));
            for line in wrong {
                context.say(format!("     {line}"));
            }
        }
        match lost {
            Some(failure) => context.say(format!("{} {failure}", context.paint(Tone::Bad, "fail"))),
            None if all.is_empty() => context.say("there is no database yet; the first start makes it"),
            None if bad => context.say("bring a backup back: `orch restore DIR`"),
            None => {}
        }
    }
    Ok(if bad { Exit::Failed } else { Exit::Done })
}

fn backup(args: &BackupArgs, context: &mut Context<'_>) -> Outcome {
    let config = context.config(args.config.as_deref())?;
    let to = context.cwd.join(&args.file);
    there(&config)?;
    SqliteStore::copy_file(&config.db.path, &to).map_err(|e| Failure::new(Exit::CannotTell, e.to_string()))?;
    let word = context.paint(Tone::Good, "copied");
    context.say(format!("{word} {} to {}", config.db.path.display(), to.display()));
    Ok(Exit::Done)
}

fn there(config: &Config) -> Result<(), Failure> {
    if config.db.path.is_file() {
        return Ok(());
    }
    Err(Failure::new(Exit::CannotTell, format!("there is no database {}", config.db.path.display()))
        .hint("the first `orch serve` makes it"))
}

fn migrate(args: &MigrateArgs, context: &mut Context<'_>) -> Outcome {
    let config = context.config(args.config.as_deref())?;
    there(&config)?;
    let path = &config.db.path;
    let failed = |e: orch_store::StoreError| Failure::new(Exit::CannotTell, e.to_string());
    let found = SqliteStore::inspect(path).map_err(failed)?.unwrap_or_default();
    let newest = SqliteStore::newest_version();
    let mut copy = None;
    if found != newest {
        let hold = SqliteStore::hold(path, "orch db migrate").map_err(failed)?;
        let file = sibling(path, &format!("version-{found}"));
        if !file.exists() {
            SqliteStore::copy_file(path, &file).map_err(failed)?;
        }
        drop(hold);
        let options = orch_store::sqlite::OpenOptions { holder: "orch db migrate".into(), ..Default::default() };
        drop(SqliteStore::open(path, options).map_err(failed)?);
        copy = Some(file);
    }
    if args.json {
        context.say(show::json(&json!({ "from": found, "to": newest, "copy": copy })));
    } else if let Some(copy) = copy {
        context.say(format!("{} has schema version {newest} now, it had {found}", path.display()));
        context.say(format!("  as it was: {}", copy.display()));
    } else {
        context.say(format!("{} has schema version {newest} already", path.display()));
    }
    Ok(Exit::Done)
}

fn sibling(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{end}"));
    PathBuf::from(name)
}

fn new(args: &NewArgs, context: &mut Context<'_>) -> Outcome {
    let config = context.config(args.config.as_deref())?;
    let path = &config.db.path;
    if !SqliteStore::is_blank(path) {
        let gone = lost::gone(&config);
        if !gone.is_empty() {
            return others(args, context, &config, &gone);
        }
        return Err(Failure::new(
            Exit::Failed,
            format!("the database {} is there and holds something", path.display()),
        )
        .hint("`orch db check` says whether it is sound; to begin without it, stop the daemon and move it away"));
    }
    if lost::remains(config.data_dir()).is_empty() {
        return Err(Failure::new(Exit::Failed, format!("nothing of this instance lies beside {}", path.display()))
            .hint("`orch serve` begins it"));
    }
    let runtime = runtime()?;
    let lost = runtime.block_on(lost::look(&config)).map_err(|f| Failure::new(Exit::CannotTell, f.text))?;
    if args.yes {
        runtime.block_on(lost::begin(&config, &lost)).map_err(|f| Failure::new(Exit::CannotTell, f.text))?;
    }
    if args.json {
        context.say(show::json(&json!({ "begun": args.yes, "lost": lost::LOST, "tasks": lost })));
        return Ok(Exit::Done);
    }
    context.say("lost with the database:");
    for line in lost::LOST {
        context.say(format!("  - {line}"));
    }
    if lost.is_empty() {
        context.say("no ticket of these projects is open");
    }
    for ticket in &lost {
        context.say(format!("{}  {}  {}", ticket.item, super::table::plain(&ticket.title), ticket.says()));
    }
    if args.yes {
        let word = context.paint(Tone::Good, "begun");
        context.say(format!(
            "{word} {}; start `orch serve`, look at each task, then `orch task start ID`",
            path.display()
        ));
    } else {
        context.note("nothing was changed: `orch db new --yes` begins anew, `orch restore DIR` brings a backup back");
    }
    Ok(Exit::Done)
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|e| Failure::new(Exit::CannotTell, format!("cannot start: {e}")))
}

/// The tracker's or the forge's file is gone and the database is there: they are made from its tasks.
fn others(args: &NewArgs, context: &mut Context<'_>, config: &Config, gone: &[Gone]) -> Outcome {
    let cannot = |text: String| Failure::new(Exit::CannotTell, text);
    let options = orch_store::sqlite::OpenOptions { holder: "orch db new".into(), ..Default::default() };
    let store = SqliteStore::open(&config.db.path, options).map_err(|e| cannot(e.to_string()))?;
    let runtime = runtime()?;
    let again = runtime.block_on(lost::others::look(config, &store, gone)).map_err(|f| cannot(f.text))?;
    if args.yes {
        let made = lost::others::begin(config, &store, gone, again.clone());
        runtime.block_on(made).map_err(|f| cannot(f.text))?;
    }
    let files: Vec<&str> = gone.iter().map(|one| one.file()).collect();
    let lost = lost::others::lost(gone);
    if args.json {
        context.say(show::json(&json!({ "begun": args.yes, "files": files, "lost": lost, "tasks": again })));
        return Ok(Exit::Done);
    }
    context.say(format!("lost with {}:", files.join(" and ")));
    for line in lost {
        context.say(format!("  - {line}"));
    }
    for one in &again {
        context.say(format!("{}  {}  {}", one.item, super::table::plain(&one.title), one.says()));
    }
    if args.yes {
        context.say(format!("{} {}; start `orch serve`", context.paint(Tone::Good, "begun"), files.join(" and ")));
    } else {
        context
            .note("nothing was changed: `orch db new --yes` makes this again, `orch restore DIR` brings a backup back");
    }
    Ok(Exit::Done)
}
