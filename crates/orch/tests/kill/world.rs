//! The world the daemon is killed in: two projects with bare repositories, agents and hooks that are shell scripts, an
//! append-only log of what they did, and a person who makes tasks, approves and retries over HTTP.

use crate::scripts::{AGENT, PROJECT};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Projects: key, pipeline.
pub(crate) const PROJECTS: [(&str, &str); 2] = [("ALFA", "full"), ("BETA", "lite")];
/// What tasks do. `shared` ones edit the same lines, the others a file of their own; a `flawed` one is refused by its
/// reviewer at first, a `broken` one by the tests.
pub(crate) const KINDS: [&str; 4] = ["own", "shared", "flawed", "broken"];
/// The person.
pub(crate) const PERSON: &str = "local:anna";

/// A commit somebody with access to the server's disk put on main.
pub(crate) struct AdminCommit {
    pub(crate) project: &'static str,
    pub(crate) old: String,
    pub(crate) new: String,
}

pub(crate) struct World {
    pub(crate) dir: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) initial: BTreeMap<&'static str, String>,
    pub(crate) admin: Vec<AdminCommit>,
    /// Work item and kind of every task that was asked for.
    pub(crate) made: BTreeMap<String, &'static str>,
    /// Run directories in which something was killed.
    pub(crate) killed_runs: BTreeSet<PathBuf>,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl World {
    pub(crate) fn new(dir: &Path) -> Self {
        let dir = dir.canonicalize().unwrap();
        let [listen, site] = free_addresses();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // A connection that is kept would be one to a daemon that was killed.
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        let mut world = Self {
            dir,
            listen,
            initial: BTreeMap::new(),
            admin: Vec::new(),
            made: BTreeMap::new(),
            killed_runs: BTreeSet::new(),
            http,
            runtime,
        };
        // A name of its own: a build in the middle of a long run must not change the daemon that is tested.
        let (built, orch) = (env!("CARGO_BIN_EXE_orch"), world.dir.join("orch"));
        fs::hard_link(built, &orch).or_else(|_| fs::copy(built, &orch).map(|_| ())).unwrap();
        for (name, text) in [("agent.sh", AGENT), ("project.sh", PROJECT)] {
            let file = world.dir.join(name);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        File::create(world.effects()).unwrap();
        for (key, _) in PROJECTS {
            let first = world.first_commit(key);
            world.initial.insert(key, first);
        }
        let toml = world.toml(site);
        fs::write(world.dir.join("orch.toml"), toml).unwrap();
        world
    }

    pub(crate) fn effects(&self) -> PathBuf {
        self.dir.join("effects.log")
    }

    pub(crate) fn serve_log(&self) -> PathBuf {
        self.dir.join("serve.log")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(crate) fn repo(&self, key: &str) -> PathBuf {
        self.dir.join(format!("{key}.git"))
    }

    fn site(&self, key: &str) -> PathBuf {
        self.dir.join("sites").join(key)
    }

    fn toml(&self, site: SocketAddr) -> String {
        let dir = self.dir.display();
        let mut text = format!(
            "[server]\nlisten = \"{}\"\n[db]\npath = \"data/orch.db\"\n[agents]\ndefault = \"mine\"\nmax_concurrency = 3\n\
             [agents.programs.mine]\nkind = \"command\"\ncommand = [\"{dir}/agent.sh\"]\n\
             env = {{ EFFECTS = \"{dir}/effects.log\" }}\n\
             [merge]\ndefer_delay_s = 1\n[reaper]\ninterval_s = 1\n[post_deploy]\nwindow_s = 1\ninterval_s = 1\n\
             [sites.production]\nlisten = \"{site}\"\ndir = \"{dir}/sites/ALFA/production/current\"\n",
            self.listen
        );
        for (key, pipeline) in PROJECTS {
            let run = |what: &str| {
                let site = self.site(key);
                format!("EFFECTS='{}' sh {dir}/project.sh {what} {}", self.effects().display(), site.display())
            };
            let _ = write!(
                text,
                "[[project]]\nkey = \"{key}\"\nrepo = \"{key}.git\"\npipeline = \"{pipeline}\"\n\
                 approvers = [\"{PERSON}\"]\nstarters = [\"{PERSON}\"]\n[project.commands]\ntest = \"{}\"\nci = \"{}\"\n\
                 [project.deploy]\nproduction = \"{}\"\nrollback = \"{}\"\ncheck = \"{}\"\n",
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

    fn first_commit(&self, key: &str) -> String {
        let (repo, work) = (self.repo(key), self.dir.join(format!("{key}-first")));
        fs::create_dir_all(work.join("src")).unwrap();
        fs::write(work.join("src/shared.txt"), "mark first\n").unwrap();
        let at = |dir: &Path, args: &[&str]| git_in(dir, args, &[]).unwrap();
        at(&self.dir, &["init", "--quiet", "--bare", "--initial-branch=main", repo.to_str().unwrap()]);
        at(&work, &["init", "--quiet", "--initial-branch=main"]);
        at(&work, &["add", "--all"]);
        at(&work, &["commit", "--quiet", "--message=first"]);
        at(&work, &["push", "--quiet", repo.to_str().unwrap(), "main"]);
        at(&work, &["rev-parse", "HEAD"])
    }

    /// Puts a commit on main as an administrator would, past the forge. False: the forge moved main in that moment.
    pub(crate) fn admin_commit(&mut self, project: &'static str) -> bool {
        let repo = self.repo(project);
        let index = self.dir.join("admin-index");
        let env = [("GIT_INDEX_FILE", index.to_str().unwrap())];
        let git = |args: &[&str]| git_in(&repo, args, &env);
        let number = self.admin.len() + 1;
        let source = self.dir.join("admin-file");
        fs::write(&source, format!("administered {number}\n")).unwrap();
        let old = git(&["rev-parse", "refs/heads/main"]).unwrap();
        git(&["read-tree", &old]).unwrap();
        let blob = git(&["hash-object", "-w", source.to_str().unwrap()]).unwrap();
        let entry = format!("100644,{blob},src/admin-{number}.txt");
        git(&["update-index", "--add", "--cacheinfo", &entry]).unwrap();
        let tree = git(&["write-tree"]).unwrap();
        let new = git(&["commit-tree", "-p", &old, "-m", &format!("administered {number}"), &tree]).unwrap();
        let moved = git(&["update-ref", "refs/heads/main", &new, &old]).is_ok();
        if moved {
            self.admin.push(AdminCommit { project, old, new });
        }
        moved
    }

    /// Starts the daemon.
    pub(crate) fn serve(&self) -> Child {
        let log = OpenOptions::new().create(true).append(true).open(self.serve_log()).unwrap();
        Command::new(self.dir.join("orch"))
            .args(["serve", "--config", "orch.toml"])
            .current_dir(&self.dir)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Waits until it answers; how long that took.
    pub(crate) fn wait_until_up(&self, child: &mut Child) -> Duration {
        let began = Instant::now();
        loop {
            if self.get("/livez").is_ok() {
                return began.elapsed();
            }
            if let Some(status) = child.try_wait().unwrap() {
                panic!("orch serve ended ({status}):\n{}", self.log_tail());
            }
            assert!(began.elapsed() < Duration::from_secs(30), "orch serve does not come up:\n{}", self.log_tail());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.serve_log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, String> {
        self.send(self.http.get(self.url(path)))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.send(self.http.post(self.url(path)).json(body))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listen)
    }

    fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, String> {
        let token = fs::read_to_string(self.data().join("token")).unwrap_or_default();
        let request = request.bearer_auth(token.trim()).header("x-orch-actor", PERSON).timeout(Duration::from_secs(10));
        self.runtime.block_on(async {
            let response = request.send().await.map_err(|e| e.to_string())?;
            let status = response.status();
            let text = response.text().await.map_err(|e| e.to_string())?;
            if !status.is_success() {
                return Err(format!("{status}: {text}"));
            }
            Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
        })
    }

    /// Tasks as the API shows them.
    pub(crate) fn tasks(&self, all: bool) -> Result<Vec<Value>, String> {
        let answer = self.get(if all { "/api/v1/tasks?all=true" } else { "/api/v1/tasks" })?;
        let list = answer.get("tasks").unwrap_or(&answer).as_array().cloned();
        list.ok_or_else(|| format!("no list of tasks: {answer}"))
    }

    /// Makes and starts a task.
    pub(crate) fn new_task(&mut self, project: &str, kind: &'static str) -> Result<(), String> {
        let number = self.made.len() + 1;
        let body = json!({
            "project": project, "title": format!("Add a line, {kind}"), "body": format!("Please: kind={kind}"),
            "start": true, "key": format!("kill-{number}"),
        });
        let task = self.post("/api/v1/tasks", &body)?;
        let id = field(&task, "id");
        assert!(self.made.insert(id.clone(), kind).is_none(), "two requests with different keys made one task {id}");
        Ok(())
    }
}

/// A text field of JSON.
pub(crate) fn field(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Runs git by hand; its output without the line's end.
pub(crate) fn git_in(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<String, String> {
    let done = Command::new("git")
        .args(["-c", "user.name=World", "-c", "user.email=world@orch.invalid", "-c", "commit.gpgSign=false"])
        .args(["-c", "gc.auto=0"])
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir)
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output()
        .map_err(|e| e.to_string())?;
    if done.status.success() {
        Ok(String::from_utf8_lossy(&done.stdout).trim_end().to_owned())
    } else {
        Err(format!("git {args:?}: {}", String::from_utf8_lossy(&done.stderr)))
    }
}

/// Two addresses nobody listens on, from below the range the kernel gives out: in the moments between two daemons any
/// outgoing connection of this machine could get one of those.
fn free_addresses() -> [SocketAddr; 2] {
    let first = 20_000 + (std::process::id() % 1_000) as u16 * 10;
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut ports = (first..32_000).filter(free);
    [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, ports.next().expect("a free port"))))
}
