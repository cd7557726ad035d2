//! `orch demo`: a user with a repository, an `orch.toml` and a ticket, played quickly. It uses what any user has (git, a
//! configuration file, `orch serve`, HTTP) and nothing else; no other code knows that this is the demonstration.

mod setting;
mod story;

use crate::cli::client::{Client, ServerArgs};
use crate::cli::{Context, Exit, Failure, Outcome, Tone, demo::DemoArgs};
use crate::demo_files::{TICKET_BODY, TICKET_TITLE};
use serde_json::{Value, json};
use setting::Setting;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for the daemon to come up.
const UP_WITHIN: Duration = Duration::from_secs(20);
/// Longest wait for the whole road.
const DONE_WITHIN: Duration = Duration::from_mins(10);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(120);

/// Runs the demonstration.
pub fn run(args: &DemoArgs, context: &mut Context<'_>) -> Outcome {
    let began = Instant::now();
    let place = Place::new(args.dir.as_deref(), args.keep, &context.cwd)?;
    let agent = args.agent.as_deref().unwrap_or("scripted");
    let setting = Setting::build(&place.dir, agent, &context.actor(), &context.env)?;
    context.say("A small status page is live. Somebody wrote a ticket:");
    context.say("");
    context.say(format!("  {TICKET_TITLE}"));
    context.say("");
    setting.deploy_first()?;
    let mut daemon = Daemon::start(&setting, &context.env)?;
    let server = ServerArgs { url: Some(setting.url()), config: Some(setting.config.clone()) };
    daemon.wait_until_up(&Client::find(context, &server)?)?;
    // The token is there once the daemon is up.
    let client = Client::find(context, &server)?;
    let before = client.page(&setting.production_url())?;
    context.say(format!("dashboard   {}", setting.url()));
    context.say(format!("production  {}", setting.production_url()));
    context.say("");
    if !args.no_open {
        open_browser(&setting.url(), context);
    }
    let ticket = json!({ "project": "DEMO", "title": TICKET_TITLE, "body": TICKET_BODY, "start": true, "key": "demo" });
    let task = client.post_keyed(&["api", "v1", "tasks"], &ticket)?;
    let id = task.get("id").and_then(Value::as_str).unwrap_or("DEMO-1").to_owned();
    let end = story::tell(&client, &id, context, began, args.fast, &mut daemon)?;
    let good = story::evidence(&client, &id, &end, &setting, &before, context)?;
    daemon.stop();
    let seconds = began.elapsed().as_secs_f32();
    context.say("");
    if place.keep {
        let dir = place.dir.display();
        context.say(format!("Everything is in {dir}. To go on from there: cd {dir} && orch serve"));
        context.say(format!("Then look at {}/tasks/{id}, or `orch evidence {id}`.", setting.url()));
    } else {
        context.say("Everything is removed again; `orch demo --keep` keeps it, and `orch serve` goes on from there.");
    }
    if good {
        let done = context.paint(Tone::Good, "done and healthy");
        context.say(format!("{id} is {done} after {seconds:.0} s."));
        Ok(Exit::Done)
    } else {
        let phase = end.get("phase").and_then(Value::as_str).unwrap_or("unknown").to_owned();
        Err(Failure::new(Exit::Failed, format!("{id} ended as {phase}, which is not what was hoped for"))
            .hint("run it again with --keep and look at serve.log"))
    }
}

/// The directory it all happens in.
struct Place {
    dir: PathBuf,
    keep: bool,
}

impl Place {
    fn new(named: Option<&Path>, keep: bool, cwd: &Path) -> Result<Self, Failure> {
        let dir = match named {
            Some(dir) => cwd.join(dir),
            None => std::env::temp_dir().join(format!("orch-demo-{}", std::process::id())),
        };
        let in_use = std::fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some());
        if in_use {
            return Err(Failure::usage(format!("{} is not empty", dir.display()))
                .hint("name a new directory with --dir; one that was kept goes on with `orch serve` in it"));
        }
        std::fs::create_dir_all(&dir)
            .map_err(|e| Failure::new(Exit::CannotTell, format!("cannot make {}: {e}", dir.display())))?;
        let dir = dir.canonicalize().unwrap_or(dir);
        Ok(Self { dir, keep })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.keep {
            // Left-overs in a temporary directory are not worth a failure.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// `orch serve`, as a user would start it.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    fn start(setting: &Setting, env: &std::collections::BTreeMap<String, String>) -> Result<Self, Failure> {
        let log = setting.dir.join("serve.log");
        let trouble = |what: &str, e: std::io::Error| Failure::new(Exit::CannotTell, format!("cannot {what}: {e}"));
        let out = std::fs::File::create(&log).map_err(|e| trouble("write serve.log", e))?;
        let err = out.try_clone().map_err(|e| trouble("write serve.log", e))?;
        let exe = std::env::current_exe().map_err(|e| trouble("find this program's own file", e))?;
        let child = Command::new(exe)
            .arg("serve")
            .arg("--config")
            .arg(&setting.config)
            .current_dir(&setting.dir)
            .env_clear()
            .envs(env.iter().filter(|(name, _)| !name.starts_with("ORCH_")))
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|e| trouble("start orch serve", e))?;
        Ok(Self { child, log })
    }

    /// Fails with the daemon's own words if it has ended.
    pub(crate) fn must_live(&mut self) -> Result<(), Failure> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let tail = lines[lines.len().saturating_sub(5)..].join("\n");
                Err(Failure::new(Exit::CannotTell, format!("orch serve ended ({status}):\n{tail}")))
            }
            Err(e) => Err(Failure::new(Exit::CannotTell, format!("cannot see orch serve: {e}"))),
        }
    }

    fn wait_until_up(&mut self, client: &Client) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            self.must_live()?;
            match client.get(&["health"], &[]) {
                Ok(_) => return Ok(()),
                Err(failure) if UP_WITHIN < began.elapsed() => return Err(failure),
                Err(_) => client.pause(Duration::from_millis(50)),
            }
        }
    }

    fn stop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let (Ok(None), Some(pid)) = (self.child.try_wait(), pid) {
            // The child is ours and not reaped, so its pid is still its own.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

fn open_browser(url: &str, context: &Context<'_>) {
    let graphical = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|n| context.env.get(*n).is_some_and(|v| !v.is_empty()));
    if graphical && context.color {
        // No browser, no harm: the address is printed.
        let _ =
            Command::new("xdg-open").arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    }
}
