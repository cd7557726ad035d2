//! The model proxy of a run, in the driver's own process: it lives as long as the run does, whoever else dies. Puts together
//! whose account pays, and what the program is told instead of the key.

use crate::spec::DriverSpec;
use orch_core::agent_end::Action;
use orch_ports::Secret;
use orch_ports::agent::{AgentEnd, EndClass};
use orch_proxy::credential::{self, Credential};
use orch_proxy::journal;
use orch_proxy::routes::Service;
use orch_proxy::server::{Address, Heard, Proxy, Start, Way};
use orch_proxy::settings::{Place, Settings, files};
use orch_proxy::token::RunToken;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use tokio::runtime::Runtime;

/// Longest input that is read, bytes.
const LONGEST: u64 = 1024 * 1024;
/// Host in the address where a socket decides; nobody has that name.
const HOST: &str = "http://model.orch";
/// Names of variables that say the way to the service, the first one counts.
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];
const NOT_FOR: [&str; 2] = ["NO_PROXY", "no_proxy"];
const TRUSTED: &str = "NODE_EXTRA_CA_CERTS";
/// What the program reaches without an HTTP proxy: its model proxy.
const OURS: &str = "127.0.0.1,localhost,model.orch";
/// Keys as the supervisor says them: one JSON object of texts.
///
/// # Errors
/// They did not come whole.
pub fn keys(input: &mut dyn Read) -> io::Result<BTreeMap<String, Secret>> {
    let mut text = String::new();
    input.take(LONGEST).read_to_string(&mut text)?;
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    let given: BTreeMap<String, String> =
        serde_json::from_str(&text).map_err(|_| io::Error::other("the keys did not come through whole"))?;
    let of = |(name, value): (String, String)| {
        let value = Secret::of(&name, value);
        (name, value)
    };
    Ok(given.into_iter().map(of).collect())
}

/// Keys with the plain variables beside them: a region stands among either.
pub fn with_plain(env: &BTreeMap<String, String>, keys: &BTreeMap<String, Secret>) -> BTreeMap<String, Secret> {
    let plain = env.iter().map(|(name, value)| (name.clone(), Secret::of(name, value.clone())));
    plain.chain(keys.iter().map(|(name, value)| (name.clone(), value.clone()))).collect()
}

/// The end of a run whose program was refused by its own proxy: the program takes it for the service's word.
pub(crate) fn end(run_dir: &Path, end: AgentEnd) -> AgentEnd {
    let Ok(totals) = journal::read(&run_dir.join(files::JOURNAL)) else { return end };
    match (totals.refused, end.class) {
        (Some(why), class) if class.means().0 != Action::Over => AgentEnd::new(EndClass::BudgetLimit, why),
        // The account's key was never asked: it is not the account that is to blame, nor any other task.
        (None, EndClass::Auth) if !totals.alarms.is_empty() => AgentEnd::new(
            EndClass::Configuration,
            format!(
                "its model proxy refused a key that is not the run's (an `apiKeyHelper` or a key in the program's own settings?): {}",
                totals.alarms.join("; ")
            ),
        ),
        _ => end,
    }
}

/// A proxy that runs, and the environment of the program behind it.
#[derive(Debug)]
pub(crate) struct Proxied {
    /// Instead of `spec.env` and the keys.
    pub(crate) env: BTreeMap<String, String>,
    proxy: Option<Proxy>,
    runtime: Option<Runtime>,
}

impl Drop for Proxied {
    /// Its socket is let go first. Nobody waits for a name that is being looked up: what counts is written down already.
    fn drop(&mut self) {
        drop(self.proxy.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Proxied {
    /// Starts it.
    ///
    /// # Errors
    /// There is no credential, or the proxy cannot listen: then no program may be started.
    pub(crate) fn start(
        run_dir: &Path,
        spec: &DriverSpec,
        settings: &Settings,
        keys: &BTreeMap<String, Secret>,
        heard: impl Fn(Heard) + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let all = with_plain(&spec.env, keys);
        let credential = Credential::of(&all, settings.base_url.as_deref())?;
        let token = RunToken::new().map_err(|e| format!("make a token of the run: {e}"))?;
        let said = |names: &[&str]| names.iter().find_map(|name| all.get(*name)).filter(|v| !v.expose().is_empty());
        let trusted = said(&[TRUSTED]).map(|file| {
            let file = file.expose();
            std::fs::read(file).map_err(|e| format!("read {TRUSTED} {file}: {e}"))
        });
        let way = Way {
            https: said(&HTTPS).cloned(),
            all: said(&ALL).cloned(),
            not_for: said(&NOT_FOR).map(|hosts| hosts.expose().to_owned()),
            trusted: trusted.transpose()?,
        };
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).thread_name("model-proxy").enable_all().build();
        let runtime = runtime.map_err(|e| format!("start the model proxy: {e}"))?;
        let (service, included) = (credential.service, credential.is_included());
        let place = Place::in_run(run_dir);
        if place == Place::Loopback && !spec.enclosed.is_empty() {
            return Err(format!(
                "the path of {} is too long for a socket (100 bytes), and a sandbox has no other way to the model: let the state \
                 of the instance lie at a shorter path (`orch instance move`)",
                run_dir.display()
            ));
        }
        let start = Start { dir: run_dir, settings, credential, token: token.clone(), place: &place, way };
        let proxy = runtime.block_on(Proxy::start(start, heard)).map_err(|e| format!("start the model proxy: {e}"))?;
        let env = environment(&spec.env, keys, &told(service, included, proxy.address(), &token));
        Ok(Self { env, proxy: Some(proxy), runtime: Some(runtime) })
    }
}

/// Variables by which the program finds the proxy and is known to it.
fn told(service: Service, included: bool, address: &Address, token: &RunToken) -> Vec<(&'static str, String)> {
    let (url, socket) = match address {
        Address::Socket(socket) => (HOST.to_owned(), Some(socket.display().to_string())),
        Address::Url(url) => (url.clone(), None),
    };
    let token = token.expose().to_owned();
    let on = || "1".to_owned();
    let mut told = match service {
        // With such a token the program reads the account's limits as a subscription's.
        Service::Anthropic if included => vec![("ANTHROPIC_BASE_URL", url), ("CLAUDE_CODE_OAUTH_TOKEN", token)],
        Service::Anthropic => vec![("ANTHROPIC_BASE_URL", url), ("ANTHROPIC_AUTH_TOKEN", token)],
        Service::OpenAi => vec![("OPENAI_BASE_URL", format!("{url}/v1")), ("OPENAI_API_KEY", token)],
        Service::Bedrock => vec![
            ("CLAUDE_CODE_USE_BEDROCK", on()),
            ("ANTHROPIC_BEDROCK_BASE_URL", url),
            ("AWS_BEARER_TOKEN_BEDROCK", token),
        ],
        Service::Vertex => vec![
            ("CLAUDE_CODE_USE_VERTEX", on()),
            ("ANTHROPIC_VERTEX_BASE_URL", format!("{url}/v1")),
            ("CLAUDE_CODE_SKIP_VERTEX_AUTH", on()),
            ("ANTHROPIC_CUSTOM_HEADERS", format!("Authorization: Bearer {token}")),
        ],
    };
    told.extend(socket.map(|socket| ("ANTHROPIC_UNIX_SOCKET", socket)));
    told
}

/// What was configured, without any credential of an account and any other way out, and with what was told.
fn environment(
    env: &BTreeMap<String, String>,
    keys: &BTreeMap<String, Secret>,
    told: &[(&'static str, String)],
) -> BTreeMap<String, String> {
    let keys = keys.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
    let all = env.iter().map(|(name, value)| (name.clone(), value.clone())).chain(keys);
    let kept = all
        .filter(|(name, _)| !credential::NAMES.contains(&name.as_str()) && !credential::WAYS.contains(&name.as_str()));
    let mut all: BTreeMap<String, String> =
        kept.chain(told.iter().map(|(name, value)| ((*name).to_owned(), value.clone()))).collect();
    // What it says to its own proxy goes through no other one.
    for name in NOT_FOR {
        let hosts = all.get(name).map_or_else(|| OURS.to_owned(), |hosts| format!("{hosts},{OURS}"));
        all.insert(name.to_owned(), hosts);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_told_the_proxy_and_no_credential() {
        let token = RunToken::new().unwrap();
        let secret = |name: &str, value: &str| (name.to_owned(), Secret::new(value));
        let keys = BTreeMap::from([
            secret("ANTHROPIC_API_KEY", "sk-ant-api03-canary"),
            secret("AWS_SECRET_ACCESS_KEY", "canary-aws"),
            secret("REGISTRY_TOKEN", "for-its-tools"),
        ]);
        let env = BTreeMap::from([
            ("A".to_owned(), "a".to_owned()),
            ("ANTHROPIC_BASE_URL".to_owned(), "http://elsewhere".to_owned()),
        ]);
        let socket = Address::Socket("/run/model.sock".into());
        for (service, included, names) in [
            (Service::Anthropic, false, vec!["ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"]),
            (Service::Anthropic, true, vec!["ANTHROPIC_BASE_URL", "CLAUDE_CODE_OAUTH_TOKEN"]),
            (Service::Bedrock, false, vec!["ANTHROPIC_BEDROCK_BASE_URL", "AWS_BEARER_TOKEN_BEDROCK"]),
            (Service::Vertex, false, vec!["ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_VERTEX_BASE_URL"]),
        ] {
            let all = environment(&env, &keys, &told(service, included, &socket, &token));
            assert!(names.iter().all(|name| all.contains_key(*name)), "{all:?}");
            assert_eq!(all["ANTHROPIC_UNIX_SOCKET"], "/run/model.sock");
            assert_eq!((all["A"].as_str(), all["REGISTRY_TOKEN"].as_str()), ("a", "for-its-tools"));
            let text = format!("{all:?}");
            assert!(!text.contains("canary") && !text.contains("elsewhere") && text.contains(token.expose()), "{text}");
        }
        let port = told(Service::Anthropic, false, &Address::Url("http://127.0.0.1:4".into()), &token);
        assert!(port.contains(&("ANTHROPIC_BASE_URL", "http://127.0.0.1:4".to_owned())) && port.len() == 2);
    }

    #[test]
    fn keys_come_as_one_object_or_not_at_all() {
        assert_eq!(keys(&mut "".as_bytes()).unwrap().len(), 0);
        assert_eq!(keys(&mut r#"{"A":"b"}"#.as_bytes()).unwrap()["A"].expose(), "b");
        let torn = keys(&mut r#"{"A":"canary"#.as_bytes()).unwrap_err().to_string();
        assert!(torn.contains("whole") && !torn.contains("canary"), "{torn}");
    }
}
