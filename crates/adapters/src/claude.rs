//! `kind = "claude"`: Claude Code, driven by `orch agent-driver`. It decides how the driver is told about a run, and puts
//! together what the driver and the role have reported. The program gets no more than a command agent does, and its key is
//! written into no file.

use crate::command::{self, CommandAgent, CommandSettings, report};
use orch_core::agent_end::Action;
use orch_core::word::Word;
use orch_driver::proxied;
use orch_driver::rules::Rules;
use orch_driver::spec::{self, DriverSpec, Endpoint, Report};
use orch_ports::agent::{AgentEnd, AgentProgram, AgentReport, Brief, EndClass, Live, Resume, Usage, files};
use orch_ports::masks::readable;
use orch_ports::supervisor::{EndReason, ExitRecord, Keys, PoliteSignal, RunSpec, files as run_files};
use orch_ports::{Fault, Secret};
use orch_proxy::credential::Credential;
use orch_proxy::gate::Limits;
use orch_proxy::journal::{self, Totals};
use orch_proxy::routes::Service;
use orch_proxy::settings::{self, Settings};
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Largest report that is read, bytes.
const MAX_REPORT_BYTES: u64 = 1024 * 1024;
/// How long the program may take to end once it was asked to, milliseconds.
const PROGRAM_GRACE_MS: u64 = 10_000;
/// How long the driver has for that and its report, milliseconds.
const DRIVER_GRACE_MS: u64 = 20_000;
/// Lines of the log that are shown of a run that ended badly.
const TAIL_LINES: usize = 12;

/// Tools of an agent where nothing else is configured.
pub const TOOLS: &[&str] = &["Bash", "Read", "Edit", "Write", "Glob", "Grep"];
/// The tool by which the model asks; it is always given.
const ASK: &str = "AskUserQuestion";

/// Variables of the program that a run needs. What the configuration says wins.
const ENV: &[(&str, &str)] = &[
    // Nothing but the service is spoken to.
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
    // orch waits longer and for all runs at once.
    ("CLAUDE_CODE_MAX_RETRIES", "3"),
    // It would wait for a server that it has started.
    ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
    ("BASH_DEFAULT_TIMEOUT_MS", "600000"),
    ("BASH_MAX_TIMEOUT_MS", "1800000"),
];

/// The program as it is configured.
#[derive(Clone, Debug)]
pub struct ClaudeSettings {
    /// What it has in common with a command agent; `command` is not used.
    pub command: CommandSettings,
    /// This binary.
    pub orch: PathBuf,
    /// The program; without a `/` it is found through `PATH`.
    pub program: String,
    /// Model.
    pub model: Option<String>,
    /// Most turns of the model in a run; 0: no limit.
    pub max_turns: u32,
    /// Tools it has.
    pub tools: Vec<String>,
    /// Beginnings of commands that it may not run.
    pub deny: Vec<String>,
    /// Most refusals of one wish.
    pub most_refusals: u32,
    /// Where it finds the service.
    pub endpoint: Endpoint,
    /// The proxy in front of it; none: it is given its key.
    pub proxy: Option<ProxySettings>,
}

/// The model proxy as it is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// Most tokens of a run; 0: no limit.
    pub max_tokens: u64,
    /// Most requests of a run; 0: no limit.
    pub max_requests: u64,
    /// Are bodies written down?
    pub log_bodies: bool,
    /// Files whose being there pauses every run.
    pub pause: Vec<PathBuf>,
}

/// Claude Code.
#[derive(Clone, Debug)]
pub struct ClaudeAgent {
    settings: ClaudeSettings,
    command: CommandAgent,
}

impl ClaudeAgent {
    /// With these settings.
    pub fn new(settings: ClaudeSettings) -> Self {
        let command = CommandAgent::new(settings.command.clone());
        Self { settings, command }
    }

    fn spec(&self, brief: &Brief, keys: &BTreeMap<String, Secret>) -> Result<DriverSpec, Fault> {
        let settings = &self.settings;
        let tmp = brief.run_dir.join(files::TMP);
        let mut env: BTreeMap<String, String> = ENV.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        env.insert("CLAUDE_CODE_TMPDIR".into(), tmp.display().to_string());
        env.extend(self.command.env(brief)?);
        let session = match &brief.resume {
            Some(resume) => resume.session.clone(),
            None => spec::session_name().map_err(|e| Fault::transient(format!("name a session: {e}")))?,
        };
        let proxy = self.proxy(brief, keys)?;
        // Dollars are no limit of a subscription.
        let micro_usd = proxy.as_ref().map_or(brief.reserved_micro_usd, |proxy| proxy.limits.micro_usd.unwrap_or(0));
        let budget = format!("{}.{:06}", micro_usd / 1_000_000, micro_usd % 1_000_000);
        let mut tools = settings.tools.clone();
        if !tools.iter().any(|t| t == ASK) {
            tools.push(ASK.to_owned());
        }
        let mut places = command::places(brief, &env);
        places.write.push(brief.session_dir.clone());
        let enclosed = settings.command.sandbox.enclose(vec![settings.program.clone()], &places);
        Ok(DriverSpec {
            program: settings.program.clone(),
            enclosed: if 1 < enclosed.len() { enclosed } else { Vec::new() },
            model: settings.model.clone(),
            max_turns: settings.max_turns,
            budget_usd: (0 < micro_usd).then_some(budget),
            session,
            resume: brief.resume.as_ref().map(goes_on),
            rules: Rules {
                tools,
                places: vec![brief.worktree.clone(), tmp, brief.run_dir.join(files::OUT)],
                worktree: brief.worktree.clone(),
                deny: settings.deny.clone(),
            },
            most_refusals: settings.most_refusals,
            test: brief.test.clone(),
            prompt_file: brief.prompt_file.clone(),
            result_file: brief.result_file.clone(),
            artefacts: brief.artefacts.iter().map(|name| format!("{}/{name}", brief.artefact_dir)).collect(),
            session_dir: brief.session_dir.clone(),
            env,
            keys: keys.keys().cloned().collect(),
            endpoint: settings.endpoint.clone(),
            proxy,
            grace_ms: PROGRAM_GRACE_MS,
        })
    }

    /// What the proxy of a run is told. Whether its credential can be used is found out here, where a person hears of it.
    fn proxy(&self, brief: &Brief, keys: &BTreeMap<String, Secret>) -> Result<Option<Settings>, Fault> {
        let Some(proxy) = &self.settings.proxy else { return Ok(None) };
        let (name, base_url) = (&self.settings.command.name, &self.settings.endpoint.base_url);
        let all = proxied::with_plain(&self.settings.command.env, keys);
        let credential = credential(&all, base_url.as_deref())
            .map_err(|why| Fault::denied(format!("agent program `{name}`: {why}")))?;
        let set = |n: u64| (0 < n).then_some(n);
        let micro_usd = set(brief.reserved_micro_usd).filter(|_| !credential.is_included());
        Ok(Some(Settings {
            base_url: base_url.clone(),
            limits: Limits { micro_usd, tokens: set(proxy.max_tokens), requests: set(proxy.max_requests) },
            pause: [brief.run_dir.join(run_files::PAUSE)].into_iter().chain(proxy.pause.iter().cloned()).collect(),
            log_bodies: proxy.log_bodies,
        }))
    }
}

/// The credential that Claude Code's model proxy uses, found among the keys of a program.
///
/// # Errors
/// There is none that can be used: the names, and what to do.
pub fn credential(keys: &BTreeMap<String, Secret>, base_url: Option<&str>) -> Result<Credential, String> {
    let credential = Credential::of(keys, base_url)?;
    if credential.service == Service::OpenAi {
        return Err("OPENAI_API_KEY is of no use to Claude Code: give it a key of Anthropic's".to_owned());
    }
    Ok(credential)
}

/// What is said before the brief where a session goes on.
fn goes_on(resume: &Resume) -> String {
    match resume.after {
        EndClass::Question => "A person has answered your question: the answer is in the brief below, under \"Answers you were \
                               given\". Go on with it. The brief is as it is now; names of files in it may have changed."
            .into(),
        after => format!(
            "Your last run broke off ({}). This is the same session, and the files are as you left them: look at them and go on \
             where you were. The brief is as it is now; names of files in it may have changed.",
            after.as_str().replace('_', " ")
        ),
    }
}

impl AgentProgram for ClaudeAgent {
    fn name(&self) -> &str {
        self.command.name()
    }

    fn launch(&self, brief: &Brief) -> Result<RunSpec, Fault> {
        let keys = self.keys()?;
        let [home, tmp, out] = [files::HOME, files::TMP, files::OUT].map(|name| brief.run_dir.join(name));
        for dir in [&home, &tmp, &out, &brief.session_dir] {
            command::private_dir(dir)?;
        }
        let spec = self.spec(brief, &keys)?;
        let file = brief.run_dir.join(spec::files::SPEC);
        let json =
            serde_json::to_vec_pretty(&spec).map_err(|e| Fault::bug(format!("write {}: {e}", file.display())))?;
        let mut options = std::fs::OpenOptions::new();
        let written = options.write(true).create(true).truncate(true).mode(0o600).open(&file);
        written
            .and_then(|mut file| std::io::Write::write_all(&mut file, &json))
            .map_err(|e| Fault::transient(format!("write {}: {e}", file.display())))?;
        let settings = &self.settings.command;
        let home = brief.run_dir.join(files::HOME).display().to_string();
        let plain = |name: &str| {
            Some(keys.get(name).map(Secret::expose).or(settings.env.get(name).map(String::as_str))?.to_owned())
        };
        // Whom the model proxy trusts on the way to the service, where that is not the system's own list.
        let trusted = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
        let trusted: Vec<_> = trusted.iter().filter_map(|name| Some(((*name).to_owned(), plain(name)?))).collect();
        let argv =
            [self.settings.orch.display().to_string(), spec::SUBCOMMAND.into(), brief.run_dir.display().to_string()];
        Ok(RunSpec {
            argv: argv.into(),
            cwd: brief.worktree.clone(),
            env: BTreeMap::from([
                ("PATH".to_owned(), settings.path.clone()),
                ("HOME".to_owned(), home),
                ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ])
            .into_iter()
            .chain(trusted)
            .collect(),
            keys: Keys::new(keys),
            keys_on_stdin: self.settings.proxy.is_some(),
            stdin: None,
            deadline_ms: settings.deadline_ms,
            silence_ms: settings.silence_ms,
            grace_ms: DRIVER_GRACE_MS.max(settings.grace_ms),
            polite: PoliteSignal::Term,
            detach: false,
            keep: true,
        })
    }

    fn sandbox(&self) -> Option<String> {
        self.command.sandbox()
    }

    fn keys(&self) -> Result<BTreeMap<String, Secret>, Fault> {
        self.command.keys()
    }

    fn live(&self, run_dir: &Path) -> Option<Live> {
        let report = reported(run_dir)?;
        let usage = counted(run_dir).map_or(report.usage.clone(), |totals| usage(&totals, &report.usage));
        Some(Live { model: report.model, session: report.session, usage })
    }

    fn read(&self, run_dir: &Path, exit: &ExitRecord) -> AgentReport {
        let driver = reported(run_dir);
        let known = driver.clone().unwrap_or_default();
        let result = report::result_of(run_dir);
        let question =
            [known.question.clone(), result.question.clone()].into_iter().flatten().collect::<Vec<_>>().join("\n\n");
        let question = Some(readable(&question)).filter(|q| !q.trim().is_empty());
        let class = match known.class {
            // It had said so before anything ended it.
            Some(class) if class.means().0 == Action::Over => class,
            class => match exit.reason {
                EndReason::Deadline => EndClass::Deadline,
                EndReason::Silence => EndClass::Silence,
                EndReason::Cancelled => EndClass::Stopped,
                EndReason::SpawnFailed => EndClass::Configuration,
                // A driver that could not say anything was ended with its program.
                EndReason::Exited if command::is_unmade(run_dir) => EndClass::Configuration,
                EndReason::Exited => class.unwrap_or(EndClass::Crash),
            },
        };
        let class = match (class, &question, &result.word) {
            (EndClass::Finished, Some(_), _) => EndClass::Question,
            (EndClass::Finished, None, Some(Word::Unable { .. })) => EndClass::Unable,
            _ => class,
        };
        let why = match class.means().0 {
            Action::Over => String::new(),
            _ => why(&known, exit, run_dir),
        };
        let unread =
            || Usage { cost_unread: Some("the driver of the run has reported nothing".into()), ..Usage::default() };
        let totals = counted(run_dir);
        let waits =
            matches!(class, EndClass::RateLimit | EndClass::Overloaded | EndClass::UsageLimit | EndClass::Billing);
        // What the program does not say the service has said in its headers.
        let named = totals.as_ref().and_then(|t| t.wait).map(|(_, until)| until).filter(|at| waits && exit.ended < *at);
        AgentReport {
            end: AgentEnd { not_before: known.not_before.or(named), ..AgentEnd::new(class, why) },
            summary: result.summary.or_else(|| known.summary.as_deref().map(report::clean_text)),
            question,
            word: result.word,
            resolved: result.resolved,
            alarms: totals.as_ref().map(|t| t.alarms.clone()).unwrap_or_default(),
            usage: match (driver, totals, exit.reason) {
                (_, _, EndReason::SpawnFailed) => Usage::default(),
                (driver, Some(totals), _) => usage(&totals, &driver.map(|d| d.usage).unwrap_or_default()),
                (Some(report), None, _) => report.usage,
                (None, None, _) => unread(),
            },
            model: known.model.as_deref().map(readable),
            session: known.session,
            version: known.version,
        }
    }
}

/// The driver's word and the last lines of the log.
fn why(report: &Report, exit: &ExitRecord, run_dir: &Path) -> String {
    let mut lines = report::tail(&run_dir.join(run_files::STDOUT), TAIL_LINES);
    // The last line of the log is that very word.
    let first = if report.why.is_empty() {
        exit.describe()
    } else {
        lines.pop();
        readable(&report.why).chars().take(1_000).collect()
    };
    if lines.is_empty() { first } else { format!("{first}\nThe end of its log:\n{}", lines.join("\n")) }
}

/// What the proxy of a run has counted; nothing where there was none, or its journal cannot be read.
fn counted(run_dir: &Path) -> Option<Totals> {
    let path = run_dir.join(settings::files::JOURNAL);
    path.symlink_metadata().ok()?;
    journal::read(&path).map_err(|e| tracing::warn!("read {}: {e}", path.display())).ok()
}

/// What a run has used, by what its proxy has counted; the program alone knows its turns.
fn usage(totals: &Totals, said: &Usage) -> Usage {
    let cut = match totals.cut {
        0 => None,
        1 => Some("1 response broke off: its input and `max_tokens` are counted".to_owned()),
        n => Some(format!("{n} responses broke off: their input and `max_tokens` are counted")),
    };
    let unpriced = (!totals.unpriced.is_empty() && !totals.included).then(|| {
        format!(
            "no price is known of {}: the dearest is counted",
            totals.unpriced.iter().map(|m| readable(m)).collect::<Vec<_>>().join(", ")
        )
    });
    let why: Vec<String> = [cut, unpriced].into_iter().flatten().collect();
    Usage {
        cost_usd: totals.spent.micro_usd as f64 / 1e6,
        cost_unread: (!why.is_empty() && !totals.included).then(|| why.join("; ")),
        measured: true,
        included: totals.included,
        cost_note: Some(format!("counted by the model proxy, at list prices of {}", orch_proxy::prices::DATE)),
        input_tokens: totals.tokens.input_all(),
        output_tokens: totals.tokens.output,
        turns: said.turns,
    }
}

/// The report of a driver. It lies where the agent could write: nothing in it is fatal.
fn reported(run_dir: &Path) -> Option<Report> {
    let path = run_dir.join(spec::files::REPORT);
    if !path.symlink_metadata().is_ok_and(|m| m.is_file() && m.len() <= MAX_REPORT_BYTES) {
        return None;
    }
    let mut bytes = Vec::new();
    std::fs::File::open(&path).ok()?.take(MAX_REPORT_BYTES).read_to_end(&mut bytes).ok()?;
    // An empty list would be read as a report with nothing in it, and its cost as 0.
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&bytes).ok()?;
    let mut report: Report = serde_json::from_value(fields.into()).ok()?;
    let usd = report.usage.cost_usd;
    if orch_core::budget::micro_usd(usd).is_none() {
        report.usage.cost_usd = 0.0;
        report.usage.cost_unread = Some(format!("the driver reported no amount of dollars: {usd}"));
    }
    Some(report)
}

#[cfg(test)]
#[path = "claude_tests.rs"]
mod tests;
