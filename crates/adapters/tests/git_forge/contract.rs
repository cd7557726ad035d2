//! The contract of forges, over a path, over git's own protocol and over HTTP.

use super::servers::Daemon;
use super::{World, demo, git};
use orch_adapters::git_forge::GitForge;
use orch_core::ids::{Actor, ProjectKey, Sha};
use orch_ports::Remote;
use orch_ports::contract::forge::{self as contract, ForgeFixture};
use std::sync::atomic::Ordering;

struct Fixture {
    world: World,
    forge: GitForge,
    guards: bool,
}

#[async_trait::async_trait]
impl ForgeFixture for Fixture {
    fn project(&self) -> ProjectKey {
        demo()
    }
    fn unique(&self) -> String {
        format!("u{}", self.world.runs.fetch_add(1, Ordering::Relaxed))
    }
    fn guards_main(&self) -> bool {
        self.guards
    }
    fn reviewer(&self) -> Actor {
        "local:rita".into()
    }
    async fn push(&self, branch: &str, parent: &Sha, path: &str, text: &str) -> Result<Sha, String> {
        self.world.push(branch, parent.as_str(), path, text)
    }
    async fn push_deletion(&self, branch: &str) -> Result<(), String> {
        let work = self.world.root.path().join("work");
        git(&work, &["push", "--quiet", &self.world.colleague, &format!(":refs/heads/{branch}")]).map(drop)
    }
    async fn tree(&self, commit: &Sha) -> String {
        git(&self.world.bare(), &["rev-parse", &format!("{commit}^{{tree}}")]).unwrap()
    }
    async fn parents(&self, commit: &Sha) -> Vec<Sha> {
        let line = git(&self.world.bare(), &["show", "-s", "--format=%P", commit.as_str()]).unwrap();
        line.split(' ').map(Sha::new).collect()
    }
    async fn comment(&self, number: u64, key: &str) -> (Option<String>, usize) {
        let comments = self.forge.comments(&demo(), number).await.unwrap();
        (comments.iter().find(|(k, _)| k == key).map(|(_, body)| body.clone()), comments.len())
    }
    async fn settled(&self) {}
}

async fn keeps_the_contract(world: World, guards: bool) {
    let forge = world.open().await.unwrap();
    let fixture = Fixture { world, forge, guards };
    contract::all(&fixture.forge, &fixture).await;
}

#[tokio::test]
async fn a_path_and_a_file_address_keep_the_contract() {
    keeps_the_contract(World::new(), false).await;
    let mut world = World::new();
    world.remote = Remote::of(&format!("file://{}", world.bare().display()));
    keeps_the_contract(world, false).await;
}

#[tokio::test]
async fn a_git_daemon_keeps_the_contract() {
    let mut world = World::new();
    let Some(daemon) = Daemon::start(&world.root.path().join("served")) else { return };
    world.remote = Remote::of(&daemon.url("shop.git"));
    world.colleague = daemon.url("shop.git");
    keeps_the_contract(world, false).await;
}

#[tokio::test]
async fn smart_http_with_a_password_and_a_protected_branch_keeps_the_contract() {
    let Some((world, http)) = World::over_http() else { return };
    keeps_the_contract(world, true).await;
    let asked = http.asked();
    assert!(asked.iter().any(|line| line.starts_with("orch POST") && line.ends_with("/git-receive-pack")), "{asked:?}");
}
