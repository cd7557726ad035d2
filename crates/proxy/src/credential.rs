//! Whose account pays, and how a request says so. A credential is recognised by the name of its variable, as the vendors'
//! own programs read them; two of them are one too many. A login that a person made in a browser is none: it ends after
//! hours, and is renewed in a file that only its own program may write.

use crate::routes::Service;
use orch_ports::Secret;
use std::collections::BTreeMap;

/// Names that hold a credential, or say where it is valid. None of them reaches the program.
pub const NAMES: &[&str] = &[
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_REFRESH_TOKEN",
    "OPENAI_API_KEY",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "GOOGLE_OAUTH_ACCESS_TOKEN",
    "GOOGLE_APPLICATION_CREDENTIALS",
];

/// Names that lead a program elsewhere than its proxy. None of them reaches it.
pub const WAYS: &[&str] = &[
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_UNIX_SOCKET",
    "ANTHROPIC_BEDROCK_BASE_URL",
    "ANTHROPIC_VERTEX_BASE_URL",
    "ANTHROPIC_FOUNDRY_BASE_URL",
    "ANTHROPIC_FOUNDRY_RESOURCE",
    "ANTHROPIC_FOUNDRY_API_KEY",
    "ANTHROPIC_CUSTOM_HEADERS",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
];

/// Those of them that say an address: `base_url` says it where there is a proxy.
const ADDRESSES: &[&str] =
    &["ANTHROPIC_BASE_URL", "ANTHROPIC_UNIX_SOCKET", "ANTHROPIC_BEDROCK_BASE_URL", "ANTHROPIC_VERTEX_BASE_URL"];

/// The way out of what a proxy cannot do.
const WITHOUT: &str = "or set `proxy = false`, and the program is given what it knows itself";

/// What makes a token for a subscription.
const MAKE: &str = "run `claude setup-token` where you are logged in, and write what it prints into `env_file` as \
                    CLAUDE_CODE_OAUTH_TOKEN=..., or write an API key there as ANTHROPIC_API_KEY=...";

/// The beta by which Anthropic takes tokens of subscriptions, as Claude Code 2.1.332 sends it.
const OAUTH_BETA: &str = "oauth-2025-04-20";

/// How a request proves whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Proof {
    /// A server of one's own that asks for nothing.
    Nothing,
    /// `x-api-key`.
    Key(Secret),
    /// `authorization: Bearer`.
    Bearer(Secret),
    /// The same, of a subscription.
    Subscription(Secret),
}

/// A credential and where it is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Whose protocol it is for.
    pub service: Service,
    /// Address of the service, without a `/` at its end.
    pub base: String,
    /// Does a region's own endpoint cost more there?
    pub regional: bool,
    /// Where every path has to begin, so that no other project of the account is used.
    pub below: Option<String>,
    proof: Proof,
}

impl Credential {
    /// Finds it among the keys of a program. `base_url` is an address instead of the vendor's: a gateway.
    ///
    /// # Errors
    /// There is none, or more than one, or one that cannot be used: the names, and what to do. Never a value.
    pub fn of(keys: &BTreeMap<String, Secret>, base_url: Option<&str>) -> Result<Self, String> {
        let has = |name: &str| keys.get(name).filter(|value| !value.expose().trim().is_empty());
        // A key never goes to another house than the one that was named with it.
        if let Some(name) = ADDRESSES.iter().find(|name| base_url.is_none() && has(name).is_some()) {
            return Err(format!("{name} does not reach the model proxy: say the address by `base_url`, {WITHOUT}"));
        }
        let unknown = ["ANTHROPIC_CUSTOM_HEADERS", "CLAUDE_CODE_USE_FOUNDRY"];
        if let Some(name) = unknown.iter().find(|name| has(name).is_some()) {
            return Err(format!("{name} is nothing that the model proxy passes on: take it away, {WITHOUT}"));
        }
        if has("CLAUDE_CODE_OAUTH_REFRESH_TOKEN").is_some() {
            return Err(format!(
                "CLAUDE_CODE_OAUTH_REFRESH_TOKEN is of an interactive login, which is not used: {MAKE}"
            ));
        }
        if has("AWS_ACCESS_KEY_ID").is_some() && has("AWS_BEARER_TOKEN_BEDROCK").is_none() {
            return Err(format!(
                "AWS_ACCESS_KEY_ID: requests are not signed here; make an API key of Amazon Bedrock, and give it as \
                 AWS_BEARER_TOKEN_BEDROCK with AWS_REGION, {WITHOUT}"
            ));
        }
        if has("GOOGLE_APPLICATION_CREDENTIALS").is_some() && has("GOOGLE_OAUTH_ACCESS_TOKEN").is_none() {
            return Err(format!(
                "GOOGLE_APPLICATION_CREDENTIALS: no tokens are made of it here; give one as GOOGLE_OAUTH_ACCESS_TOKEN \
                 (`gcloud auth print-access-token`) with ANTHROPIC_VERTEX_PROJECT_ID and CLOUD_ML_REGION, {WITHOUT}"
            ));
        }
        let kinds = [
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_AUTH_TOKEN",
            "CLAUDE_CODE_OAUTH_TOKEN",
            "OPENAI_API_KEY",
            "AWS_BEARER_TOKEN_BEDROCK",
            "GOOGLE_OAUTH_ACCESS_TOKEN",
        ];
        let there: Vec<(&str, &Secret)> = kinds.into_iter().filter_map(|name| Some((name, has(name)?))).collect();
        let base = |vendor: &str| plain(base_url.unwrap_or(vendor));
        let named = |name: &str| {
            let value = has(name).map(|v| v.expose().trim().to_owned());
            let value = value.ok_or(format!("{} needs {name} beside it", there[0].0))?;
            let fits = value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
            if fits {
                Ok(value)
            } else {
                Err(format!("{name} holds what no such name has: letters, digits and `-` alone"))
            }
        };
        let (name, secret) = match there[..] {
            [] if has("CLAUDE_CODE_USE_BEDROCK").is_some() => {
                return Err(format!(
                    "CLAUDE_CODE_USE_BEDROCK needs AWS_BEARER_TOKEN_BEDROCK with AWS_REGION, {WITHOUT}"
                ));
            }
            [] if has("CLAUDE_CODE_USE_VERTEX").is_some() => {
                return Err(format!(
                    "CLAUDE_CODE_USE_VERTEX needs GOOGLE_OAUTH_ACCESS_TOKEN with ANTHROPIC_VERTEX_PROJECT_ID and \
                     CLOUD_ML_REGION, {WITHOUT}"
                ));
            }
            [] if base_url.is_some() => {
                let base = base("");
                return Ok(Self {
                    service: Service::Anthropic,
                    base,
                    regional: false,
                    below: None,
                    proof: Proof::Nothing,
                });
            }
            [] => {
                return Err(format!(
                    "there is no key for the model. A login in a browser (`claude /login`, ~/.claude/.credentials.json) is not \
                     used: {MAKE}"
                ));
            }
            [one] => one,
            [(one, _), (other, _), ..] => {
                return Err(format!("{one} and {other}: which account is to pay? Keep one of them"));
            }
        };
        let secret = Secret::new(secret.expose().trim());
        check(name, secret.expose())?;
        let of_anthropic = |proof| Self {
            service: Service::Anthropic,
            base: base("https://api.anthropic.com"),
            regional: false,
            below: None,
            proof,
        };
        Ok(match name {
            "ANTHROPIC_API_KEY" => of_anthropic(Proof::Key(secret)),
            "ANTHROPIC_AUTH_TOKEN" => {
                if base_url.is_none() {
                    return Err("ANTHROPIC_AUTH_TOKEN is the key of a gateway: say its address by `base_url`".into());
                }
                Self { base: base(""), ..of_anthropic(Proof::Bearer(secret)) }
            }
            "CLAUDE_CODE_OAUTH_TOKEN" => of_anthropic(Proof::Subscription(secret)),
            "OPENAI_API_KEY" => Self {
                service: Service::OpenAi,
                base: base("https://api.openai.com"),
                ..of_anthropic(Proof::Bearer(secret))
            },
            "AWS_BEARER_TOKEN_BEDROCK" => {
                let region = named("AWS_REGION")?;
                let vendor = format!("https://bedrock-runtime.{region}.amazonaws.com");
                let proof = Proof::Bearer(secret);
                Self { service: Service::Bedrock, base: base(&vendor), regional: true, below: None, proof }
            }
            _ => {
                let region = named("CLOUD_ML_REGION")?;
                let project = named("ANTHROPIC_VERTEX_PROJECT_ID")?;
                let vendor = match region.as_str() {
                    "global" => "https://aiplatform.googleapis.com".to_owned(),
                    region => format!("https://{region}-aiplatform.googleapis.com"),
                };
                let regional = region != "global";
                let below = Some(format!("/v1/projects/{project}/locations/{region}/"));
                Self { service: Service::Vertex, base: base(&vendor), regional, below, proof: Proof::Bearer(secret) }
            }
        })
    }

    /// Is it a subscription's? Then what is used is included in it, and costs nothing more.
    pub fn is_included(&self) -> bool {
        matches!(self.proof, Proof::Subscription(_))
    }

    /// The headers that a request gets, with the value it has of `anthropic-beta`.
    pub fn headers(&self, beta: Option<&str>) -> Vec<(&'static str, String)> {
        match &self.proof {
            Proof::Nothing => Vec::new(),
            Proof::Key(key) => vec![("x-api-key", key.expose().to_owned())],
            Proof::Bearer(token) => vec![("authorization", format!("Bearer {}", token.expose()))],
            Proof::Subscription(token) => {
                let beta = beta.unwrap_or_default();
                let has = beta.split(',').any(|b| b.trim() == OAUTH_BETA);
                let beta = match (has, beta.is_empty()) {
                    (true, _) => beta.to_owned(),
                    (false, true) => OAUTH_BETA.to_owned(),
                    (false, false) => format!("{beta},{OAUTH_BETA}"),
                };
                vec![("authorization", format!("Bearer {}", token.expose())), ("anthropic-beta", beta)]
            }
        }
    }
}

/// An address as requests are put behind it: their paths begin with `/v1` themselves.
fn plain(url: &str) -> String {
    let url = url.trim().trim_end_matches('/');
    url.strip_suffix("/v1").unwrap_or(url).to_owned()
}

/// What cannot be the value of this name.
fn check(name: &str, value: &str) -> Result<(), String> {
    if value.starts_with('{') || value.starts_with("sk-ant-ort") {
        return Err(format!("{name} holds an interactive login, which is not used: {MAKE}"));
    }
    if value.chars().any(|c| !c.is_ascii_graphic()) {
        return Err(format!("{name} holds characters that no key has (a space, a line break)"));
    }
    let other = match name {
        "ANTHROPIC_API_KEY" if value.starts_with("sk-ant-oat") => "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_OAUTH_TOKEN" if value.starts_with("sk-ant-api") => "ANTHROPIC_API_KEY",
        _ => return Ok(()),
    };
    Err(format!("{name} holds what belongs into {other}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(keys: &[(&str, &str)], base: Option<&str>) -> Result<Credential, String> {
        Credential::of(&keys.iter().map(|(k, v)| ((*k).to_owned(), Secret::new(*v))).collect(), base)
    }

    #[test]
    fn a_credential_is_known_by_its_name_and_sent_in_its_own_way() {
        let key = of(&[("ANTHROPIC_API_KEY", "sk-ant-api03-canary")], None).unwrap();
        assert_eq!((key.base.as_str(), key.is_included()), ("https://api.anthropic.com", false));
        assert_eq!(key.headers(None), [("x-api-key", "sk-ant-api03-canary".to_owned())]);
        let plan = of(&[("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-canary")], None).unwrap();
        assert!(plan.is_included());
        for (beta, want) in
            [(None, OAUTH_BETA), (Some("a"), "a,oauth-2025-04-20"), (Some("oauth-2025-04-20,b"), "oauth-2025-04-20,b")]
        {
            assert_eq!(plan.headers(beta)[1], ("anthropic-beta", want.to_owned()));
        }
        let gateway = of(&[("ANTHROPIC_AUTH_TOKEN", "gateway-canary")], Some("https://gw.example/llm/v1/")).unwrap();
        assert_eq!(gateway.base, "https://gw.example/llm");
        assert_eq!(gateway.headers(None), [("authorization", "Bearer gateway-canary".to_owned())]);
        assert_eq!(of(&[], Some("http://127.0.0.1:9000")).unwrap().headers(None), []);
        let openai = of(&[("OPENAI_API_KEY", "sk-canary")], None).unwrap();
        assert_eq!((openai.service, openai.base.as_str()), (Service::OpenAi, "https://api.openai.com"));
        let aws = of(&[("AWS_BEARER_TOKEN_BEDROCK", "canary"), ("AWS_REGION", "eu-central-1")], None).unwrap();
        assert_eq!(
            (aws.service, aws.base.as_str()),
            (Service::Bedrock, "https://bedrock-runtime.eu-central-1.amazonaws.com")
        );
        let google = |region| {
            let project = ("ANTHROPIC_VERTEX_PROJECT_ID", "p-1");
            of(&[("GOOGLE_OAUTH_ACCESS_TOKEN", "canary"), ("CLOUD_ML_REGION", region), project], None).unwrap()
        };
        assert_eq!(google("global").base, "https://aiplatform.googleapis.com");
        assert_eq!(google("europe-west1").base, "https://europe-west1-aiplatform.googleapis.com");
        assert!(google("europe-west1").regional && !google("global").regional);
        assert!(!format!("{plan:?} {aws:?}").contains("canary"), "a key is shown");
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_what_to_do_and_never_with_its_value() {
        let login = r#"{"claudeAiOauth":{"accessToken":"canary"}}"#;
        for (keys, says) in [
            (vec![], "claude setup-token"),
            (vec![("CLAUDE_CODE_OAUTH_REFRESH_TOKEN", "canary")], "claude setup-token"),
            (vec![("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-ort01-canary")], "claude setup-token"),
            (vec![("CLAUDE_CODE_OAUTH_TOKEN", login)], "interactive login"),
            (vec![("ANTHROPIC_API_KEY", "sk-ant-oat01-canary")], "belongs into CLAUDE_CODE_OAUTH_TOKEN"),
            (vec![("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-api03-canary")], "belongs into ANTHROPIC_API_KEY"),
            (vec![("ANTHROPIC_API_KEY", "canary canary")], "characters that no key has"),
            (vec![("ANTHROPIC_API_KEY", "  ")], "there is no key"),
            (vec![("ANTHROPIC_API_KEY", "canary-a"), ("OPENAI_API_KEY", "canary-b")], "which account is to pay"),
            (vec![("ANTHROPIC_AUTH_TOKEN", "canary")], "`base_url`"),
            (vec![("AWS_ACCESS_KEY_ID", "canary")], "AWS_BEARER_TOKEN_BEDROCK"),
            (vec![("AWS_BEARER_TOKEN_BEDROCK", "canary")], "needs AWS_REGION"),
            (vec![("AWS_BEARER_TOKEN_BEDROCK", "canary"), ("AWS_REGION", "evil.example/")], "AWS_REGION holds"),
            (
                vec![("GOOGLE_OAUTH_ACCESS_TOKEN", "canary"), ("CLOUD_ML_REGION", "global")],
                "ANTHROPIC_VERTEX_PROJECT_ID",
            ),
            (vec![("GOOGLE_APPLICATION_CREDENTIALS", "/canary.json")], "GOOGLE_OAUTH_ACCESS_TOKEN"),
            (vec![("AWS_ACCESS_KEY_ID", "canary")], "`proxy = false`"),
            (vec![("CLAUDE_CODE_USE_BEDROCK", "1")], "AWS_BEARER_TOKEN_BEDROCK"),
            (vec![("CLAUDE_CODE_USE_VERTEX", "1")], "GOOGLE_OAUTH_ACCESS_TOKEN"),
            (vec![("CLAUDE_CODE_USE_FOUNDRY", "1"), ("ANTHROPIC_API_KEY", "canary")], "`proxy = false`"),
            (vec![("ANTHROPIC_API_KEY", "canary"), ("ANTHROPIC_BASE_URL", "http://canary")], "by `base_url`"),
            (
                vec![("ANTHROPIC_API_KEY", "canary"), ("ANTHROPIC_CUSTOM_HEADERS", "x: canary")],
                "ANTHROPIC_CUSTOM_HEADERS",
            ),
        ] {
            let why = of(&keys, None).unwrap_err();
            assert!(why.contains(says) && !why.contains("canary"), "{why}");
        }
    }
}
