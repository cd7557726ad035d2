//! The world the daemon lives in: two projects with bare repositories, agents and hooks that are shell scripts, an
//! append-only log of what they did, and a person who speaks HTTP.

use crate::api::Wanted;
use crate::modes::outages::Mounted;
use crate::modes::power::Disk;
use crate::repo::AdminCommit;
use crate::scripts::{AGENT, PROJECT};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Projects: key, pipeline.
pub const PROJECTS: [(&str, &str); 2] = [("ALFA", "full"), ("BETA", "lite")];
/// The person.
pub const PERSON: &str = "local:anna";
/// What tasks do and how they may end. `shared` ones edit the same lines, the others a file of their own; a `flawed` one
/// is refused by its reviewer at first, a `broken` one by the tests; an `asking` one wants an answer; a `dropped` one is
/// cancelled by the person, and a `hopeless` one has an agent that always fails.
pub const KINDS: [(&str, &[&str]); 7] = [
    ("own", &["done"]),
    ("shared", &["done"]),
    ("flawed", &["done"]),
    ("broken", &["done"]),
    ("asking", &["done"]),
    ("dropped", &["cancelled", "done"]),
    ("hopeless", &["blocked"]),
];

/// How a task of a kind may end.
pub fn may_end(kind: &str, phase: &str) -> bool {
    KINDS.iter().any(|(name, ends)| *name == kind && ends.contains(&phase))
}

/// Longest time the daemon may take until it answers.
const LONGEST_START: Duration = Duration::from_secs(30);

/// Where things of a world are.
#[derive(Clone, Debug)]
pub struct Place {
    /// The daemon's data directory.
    pub data: PathBuf,
    /// The bare repositories that are served.
    pub repos: PathBuf,
    /// The daemon makes those itself, from clones.
    pub imported: bool,
}

impl Place {
    /// Everything beside each other.
    pub fn beside(dir: &Path) -> Self {
        Self { data: dir.join("data"), repos: dir.to_owned(), imported: false }
    }
}

/// A world.
#[derive(Debug)]
pub struct World {
    /// Everything is in here.
    pub dir: PathBuf,
    /// Where the daemon listens.
    pub listen: SocketAddr,
    /// First commit of each project.
    pub initial: BTreeMap<&'static str, String>,
    /// What an administrator did to main.
    pub admin: Vec<AdminCommit>,
    /// Work item and kind of every task that was made.
    pub made: BTreeMap<String, &'static str>,
    /// Run directories in which something was killed.
    pub killed_runs: BTreeSet<PathBuf>,
    pub(crate) place: Place,
    /// The file system its data directory is on, if it has one of its own.
    pub(crate) mounted: Option<Mounted>,
    /// Those that lose their power.
    pub(crate) disks: Vec<Disk>,
    pub(crate) wanted: VecDeque<Wanted>,
    pub(crate) http: reqwest::Client,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl World {
    /// Makes a world in an empty directory for the daemon `orch`.
    pub fn new(dir: &Path, orch: &Path, place: impl FnOnce(&Path) -> Place) -> Result<Self> {
        let dir = dir.canonicalize().with_context(|| format!("find {}", dir.display()))?;
        let [listen, site] = free_addresses()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // A connection that is kept would be one to a daemon that was killed.
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build()?;
        let place = place(&dir);
        let mut world = Self {
            dir,
            place,
            listen,
            initial: BTreeMap::new(),
            admin: Vec::new(),
            made: BTreeMap::new(),
            killed_runs: BTreeSet::new(),
            mounted: None,
            disks: Vec::new(),
            wanted: VecDeque::new(),
            http,
            runtime,
        };
        // A name of its own: a build in the middle of a long run must not change the daemon that is tested.
        let own = world.dir.join("orch");
        fs::hard_link(orch, &own)
            .or_else(|_| fs::copy(orch, &own).map(|_| ()))
            .with_context(|| format!("take {} into the world", orch.display()))?;
        for (name, text) in [("agent.sh", AGENT), ("project.sh", PROJECT)] {
            let file = world.dir.join(name);
            fs::write(&file, text)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        }
        File::create(world.effects())?;
        for (key, _) in PROJECTS {
            let first = world.first_commit(key)?;
            world.initial.insert(key, first);
        }
        fs::write(world.dir.join("orch.toml"), world.toml(site))?;
        Ok(world)
    }

    /// The log of what agents, tests and hooks did.
    pub fn effects(&self) -> PathBuf {
        self.dir.join("effects.log")
    }
    /// The daemon's own log.
    pub fn serve_log(&self) -> PathBuf {
        self.dir.join("serve.log")
    }
    /// Is this a task that the person cancels at some moment?
    pub(crate) fn may_be_cancelled(&self, item: &str) -> bool {
        self.made.get(item) == Some(&"dropped")
    }
    /// The daemon's data directory.
    pub fn data(&self) -> PathBuf {
        self.place.data.clone()
    }
    /// A project's bare repository.
    pub fn repo(&self, key: &str) -> PathBuf {
        self.place.repos.join(format!("{key}.git"))
    }
    /// The clone a project's first commit was made in.
    pub(crate) fn first(&self, key: &str) -> PathBuf {
        self.dir.join(format!("{key}-first"))
    }
    /// The file that stands in for the id of the machine's boot, if the world has boots of its own.
    fn boot_file(&self) -> PathBuf {
        self.dir.join("boot-id")
    }
    /// Gives the world a new boot: daemons and what they start believe that the machine has started again.
    pub(crate) fn boot(&self) -> Result<()> {
        let nanos = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        let (low, high, pid) = (nanos & 0xFFFF_FFFF, nanos >> 32 & 0xFFFF, std::process::id());
        Ok(fs::write(self.boot_file(), format!("{low:08x}-{high:04x}-4000-8000-{pid:012x}\n"))?)
    }
    fn site(&self, key: &str) -> PathBuf {
        self.dir.join("sites").join(key)
    }

    fn toml(&self, site: SocketAddr) -> String {
        let dir = self.dir.display();
        let mut text = format!(
            "[server]\nlisten = \"{}\"\n[db]\npath = \"{}/orch.db\"\n[agents]\ndefault = \"mine\"\nmax_concurrency = 3\n\
             [agents.programs.mine]\nkind = \"command\"\ncommand = [\"{dir}/agent.sh\"]\n\
             env = {{ EFFECTS = \"{dir}/effects.log\" }}\n\
             [merge]\ndefer_delay_s = 1\n[reaper]\ninterval_s = 1\n[post_deploy]\nwindow_s = 1\ninterval_s = 1\n\
             [sites.production]\nlisten = \"{site}\"\ndir = \"{dir}/sites/ALFA/production/current\"\n",
            self.listen,
            self.data().display()
        );
        for (key, pipeline) in PROJECTS {
            let run = |what: &str| {
                let site = self.site(key);
                format!("EFFECTS='{}' sh {dir}/project.sh {what} {}", self.effects().display(), site.display())
            };
            let _ = write!(
                text,
                "[[project]]\nkey = \"{key}\"\nrepo = \"{}\"\npipeline = \"{pipeline}\"\n\
                 approvers = [\"{PERSON}\"]\nstarters = [\"{PERSON}\"]\n[project.commands]\ntest = \"{}\"\nci = \"{}\"\n\
                 [project.deploy]\nproduction = \"{}\"\nrollback = \"{}\"\ncheck = \"{}\"\n",
                if self.place.imported { self.first(key) } else { self.repo(key) }.display(),
                run("test"),
                run("ci"),
                run("deploy"),
                run("rollback"),
                run("check"),
            );
            if pipeline == "full" {
                let staging = run("deploy");
                let _ = write!(text, "staging = \"{staging}\"\nhealth_url = \"http://{site}/\"\napproval = true\n");
            }
        }
        text
    }

    /// Starts the daemon.
    pub fn serve(&self) -> Result<Daemon> {
        let log = OpenOptions::new().create(true).append(true).open(self.serve_log())?;
        let mut command = if self.boot_file().exists() {
            let line = "mount --bind \"$1\" /proc/sys/kernel/random/boot_id && exec \"$2\" serve --config orch.toml";
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", line, "sh"]).arg(self.boot_file()).arg(self.dir.join("orch"));
            command
        } else {
            let mut command = Command::new(self.dir.join("orch"));
            command.args(["serve", "--config", "orch.toml"]);
            command
        };
        command
            .current_dir(&self.dir)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.dir)
            // Its programs write what the oracle reads outside of their places.
            .env("ORCH_SANDBOX_LEVEL", "off")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if self.plan_file().exists() {
            command.env("ORCH_FAULT", format!("@{}", self.plan_file().display()));
        }
        Ok(Daemon { child: command.spawn().context("start orch serve")? })
    }

    /// Waits until it answers; how long that took.
    pub fn wait_until_up(&self, daemon: &mut Daemon) -> Result<Duration> {
        let began = Instant::now();
        loop {
            if self.get("/livez").is_ok() {
                return Ok(began.elapsed());
            }
            if let Some(status) = daemon.ended()? {
                bail!("orch serve ended ({status}):\n{}", self.log_tail());
            }
            ensure!(began.elapsed() < LONGEST_START, "orch serve does not come up:\n{}", self.log_tail());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The end of the daemon's log.
    pub fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.serve_log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].iter().map(|l| format!("      {l}")).collect::<Vec<_>>().join("\n")
    }
}

/// A running `orch serve`; dropped, it is killed.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.pid()?, signal)?)
    }

    /// Its number.
    pub fn pid(&self) -> Result<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| anyhow!("a process without a number"))
    }

    /// Kills it.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().context("kill orch serve")?;
        self.child.wait().context("wait for orch serve")?;
        Ok(())
    }

    /// Ends it as a service manager does.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!("orch serve had ended by itself ({status})");
        }
        self.signal(Signal::TERM)?;
        let status = self.child.wait().context("wait for orch serve")?;
        ensure!(status.success(), "orch serve ended with {status} on SIGTERM");
        Ok(())
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("look at orch serve")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended long ago; either way nothing of it stays.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two addresses nobody listens on, from below the range the kernel gives out: in the moments between two daemons any
/// outgoing connection of this machine could get one of those.
fn free_addresses() -> Result<[SocketAddr; 2]> {
    let first = 20_000 + (std::process::id() % 1_000) as u16 * 10;
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut ports = (first..32_000).filter(free);
    let (Some(one), Some(two)) = (ports.next(), ports.next()) else { bail!("no free port from {first} upwards") };
    Ok([one, two].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
}
