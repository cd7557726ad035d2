//! `orch gate`: the gates by hand, for a developer or for somebody's own CI. A gate asked here is always judged for
//! real, whatever switches and scopes say, on exactly the commits named, without a server and without a database.

use crate::by_hand::{Asked, Ground, plain_git, unless_stopped};
use crate::cli::gate::{GateCommand, GateListArgs, GateRunArgs};
use crate::cli::{Context, Exit, Failure, Outcome, Tone};
use crate::gate_config;
use orch_core::ids::{GateId, Sha};
use orch_core::verdict::{Finding, Verdict};
use orch_engine::gates;
use serde_json::json;

/// Lists gates or judges one.
pub fn run(command: &GateCommand, context: &mut Context<'_>) -> Outcome {
    match command {
        GateCommand::List(args) => {
            list(args, context);
            Ok(Exit::Done)
        }
        GateCommand::Run(args) => judge(args, context),
    }
}

fn list(args: &GateListArgs, context: &mut Context<'_>) {
    if args.json {
        let all: Vec<_> =
            gates::GATES.iter().map(|g| json!({ "gate": g.meta.id.as_str(), "asks": g.meta.asks })).collect();
        context.say(crate::cli::show::line(&serde_json::Value::from(all)));
    } else {
        for gate in gates::GATES {
            context.say(format!("{:<28} {}", gate.meta.id.as_str(), gate.meta.asks));
        }
    }
}

fn judge(args: &GateRunArgs, context: &mut Context<'_>) -> Outcome {
    let id = GateId::parse(&args.name).ok_or_else(|| {
        let near = GateId::ALL
            .iter()
            .max_by(|a, b| {
                strsim::jaro_winkler(a.as_str(), &args.name).total_cmp(&strsim::jaro_winkler(b.as_str(), &args.name))
            })
            .map_or("check_ci_green", |g| g.as_str());
        Failure::usage(format!("there is no gate `{}`", args.name))
            .hint(format!("did you mean {near}? `orch gate list` shows all"))
    })?;
    let repo = context.cwd.join(&args.repo);
    let path = context.env.get("PATH").cloned();
    let git = |rev: &[&str]| plain_git(&repo, path.as_ref(), rev);
    let resolve = |rev: &str| {
        git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{rev}^{{commit}}")])
            .ok_or_else(|| Failure::usage(format!("{} has no commit `{rev}`", repo.display())))
    };
    if git(&["rev-parse", "--git-dir"]).is_none() {
        return Err(
            Failure::usage(format!("{} is not a git repository", repo.display())).hint("name one with --repo DIR")
        );
    }
    let head = resolve(&args.head)?;
    let base = match &args.base {
        Some(base) => resolve(base)?,
        None => ["origin/HEAD", "origin/main", "origin/master", "main", "master"]
            .iter()
            .find_map(|rev| resolve(rev).ok())
            .ok_or_else(|| Failure::usage("cannot tell what the work started from").hint("name it with --base REF"))?,
    };
    let objects = git(&["rev-parse", "--path-format=absolute", "--git-path", "objects"])
        .ok_or_else(|| Failure::new(Exit::CannotTell, format!("cannot find the objects of {}", repo.display())))?;
    let rules = tempfile::NamedTempFile::new()
        .map_err(|e| Failure::new(Exit::CannotTell, format!("make a file to work with: {e}")))?;
    let config = gate_config::find(args, context, (&base, &head), rules.path())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Exit::CannotTell, format!("cannot start: {e}")))?;
    let asked = Asked { repo, head: Sha::new(head), base: Sha::new(base), objects: objects.into(), key: None };
    let path = context.env.get("PATH").cloned().unwrap_or_else(|| "/usr/bin:/bin".into());
    let judged = runtime
        .block_on(unless_stopped(async {
            let ground = Ground::make(&asked, config.as_ref(), path).await?;
            ground.judge(id).await
        }))
        .map_err(|fault| Failure::new(Exit::CannotTell, fault.text))?;
    Ok(show((id, &asked), &judged, args.json, context))
}

fn show((id, asked): (GateId, &Asked), judged: &gates::Judged, as_json: bool, context: &mut Context<'_>) -> Exit {
    let exit = match &judged.verdict {
        Verdict::Pass => Exit::Done,
        Verdict::Fail { .. } | Verdict::Unreadable { .. } => Exit::Failed,
        Verdict::Wait { .. } | Verdict::Inconclusive { .. } | Verdict::Skipped { .. } => Exit::CannotTell,
    };
    if as_json {
        let all = json!({
            "gate": id.as_str(), "base": asked.base, "head": asked.head,
            "verdict": judged.verdict, "degraded": gates::degraded(&judged.verdict, &judged.evidence),
            "evidence": judged.evidence,
        });
        context.say(crate::cli::show::line(&all));
        return exit;
    }
    let tone = match exit {
        Exit::Done => Tone::Good,
        Exit::Failed | Exit::Usage => Tone::Bad,
        Exit::CannotTell => Tone::Warn,
    };
    let missed = gates::degraded(&judged.verdict, &judged.evidence);
    let tone = if missed.is_empty() { tone } else { Tone::Warn };
    let word = context.paint(tone, gates::word(&judged.verdict, &judged.evidence));
    context.say(format!("{id}: {word} ({}..{})", asked.base.short(), asked.head.short()));
    match &judged.verdict {
        Verdict::Fail { findings } | Verdict::Unreadable { findings } => {
            for finding in findings {
                context.say(line(finding));
            }
        }
        Verdict::Inconclusive { fault } => context.say(format!("  cannot tell: {}", fault.text)),
        Verdict::Skipped { why } => context.say(format!("  {why}")),
        Verdict::Wait { .. } => context.say("  it waits for something only a server can see"),
        Verdict::Pass => {
            for line in missed {
                context.say(format!("  not seen: {line}"));
            }
        }
    }
    exit
}

fn line(finding: &Finding) -> String {
    let place = match (&finding.file, finding.line) {
        (Some(file), Some(line)) => format!(" {file}:{line}:"),
        (Some(file), None) => format!(" {file}:"),
        (None, _) => String::new(),
    };
    format!("  {:?}{place} {}", finding.severity, finding.text.replace('\n', "\n      "))
}
