//! The kinds of secrets that are planted, each as its provider describes it. Never reads the rules.

use super::{ALNUM, BASE64, DIGITS, Dice, HEX, LOWER, Planted, UPPER, URLSAFE, to_base64};

/// A provider for which there is no rule and after which none was tuned: only what the engine does in general finds it.
pub const HELD_OUT: &str = "algolia_admin_key";

type Make = fn(&mut Dice) -> String;
type MakeFile = fn(&mut Dice) -> Planted;

/// Tokens that prove themselves by their form, wherever they stand.
const TOKENS: &[(&str, Make)] = &[
    ("aws_access_key_id", |d| format!("AK{}{}", "IA", d.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16))),
    ("github_classic", |d| format!("gh{}_{}", "p", d.text(ALNUM, 36))),
    ("github_oauth", |d| format!("gh{}_{}", "o", d.text(ALNUM, 36))),
    ("github_app", |d| format!("gh{}_{}", "s", d.text(ALNUM, 36))),
    ("github_user_to_server", |d| format!("gh{}_{}", "u", d.text(ALNUM, 36))),
    ("github_refresh", |d| format!("gh{}_{}", "r", d.text(ALNUM, 76))),
    ("github_fine_grained", |d| format!("github_{}_{}_{}", "pat", d.text(ALNUM, 22), d.text(ALNUM, 59))),
    ("gitlab_personal", |d| format!("gl{}-{}", "pat", d.text(URLSAFE, 20))),
    ("gitlab_routable", |d| format!("gl{}-{}.01.{}", "pat", d.text(ALNUM, 27), d.text(LOWER, 9))),
    ("gitlab_deploy", |d| format!("gl{}-{}", "dt", d.text(URLSAFE, 20))),
    ("gitlab_runner", |d| format!("gl{}-{}", "rt", d.text(URLSAFE, 20))),
    ("gitlab_trigger", |d| format!("gl{}-{}", "ptt", d.text(HEX, 40))),
    ("plane", |d| format!("plane_{}_{}", "api", d.text(HEX, 32))),
    ("slack_bot", |d| {
        format!("xo{}-{}-{}-{}", "xb", d.text("123456789", 12), d.text("123456789", 13), d.text(ALNUM, 24))
    }),
    ("slack_user", |d| {
        let n = |d: &mut Dice| d.text("123456789", 12);
        format!("xo{}-{}-{}-{}-{}", "xp", n(d), n(d), n(d), d.text(HEX, 32))
    }),
    ("slack_app", |d| format!("xa{}-1-A{}-{}-{}", "pp", d.text(UPPER, 10), d.text("123456789", 13), d.text(HEX, 64))),
    ("slack_webhook", |d| {
        let (team, hook, key) = (d.text(UPPER, 10), d.text(UPPER, 10), d.text(ALNUM, 24));
        format!("https://hooks.{}.com/services/T{team}/B{hook}/{key}", "slack")
    }),
    ("stripe_live", |d| format!("sk_{}_{}", "live", d.text(ALNUM, 99))),
    ("stripe_short", |d| format!("sk_{}_{}", "live", d.text(ALNUM, 24))),
    ("stripe_restricted", |d| format!("rk_{}_{}", "live", d.text(ALNUM, 99))),
    ("stripe_webhook", |d| format!("wh{}_{}", "sec", d.text(ALNUM, 32))),
    ("google_api_key", |d| format!("AI{}{}", "za", d.text(URLSAFE, 34) + "k")),
    ("google_oauth_secret", |d| format!("GOC{}-{}", "SPX", d.text(URLSAFE, 28))),
    ("azure_storage", |d| {
        let key = d.text(BASE64, 86);
        format!(
            "DefaultEndpointsProtocol=https;AccountName=shop;{}={key}==;EndpointSuffix=core.windows.net",
            "AccountKey"
        )
    }),
    ("azure_client_secret", |d| format!("{}8{}{}", d.text(ALNUM, 3), "Q~", d.text(ALNUM, 34))),
    ("openai_first", |d| format!("s{}-{}T3Blbk{}{}", "k", d.text(ALNUM, 20), "FJ", d.text(ALNUM, 20))),
    ("openai_project", |d| {
        let (a, b) = (d.text(URLSAFE, 74), d.text(URLSAFE, 73));
        format!("s{}-proj-{a}T3Blbk{}{b}A", "k", "FJ")
    }),
    ("openai_service", |d| {
        let (a, b) = (d.text(URLSAFE, 74), d.text(URLSAFE, 73));
        format!("s{}-svcacct-{a}T3Blbk{}{b}A", "k", "FJ")
    }),
    ("anthropic", |d| format!("sk-{}-api03-{}AA", "ant", d.text(URLSAFE, 93))),
    ("anthropic_oauth", |d| format!("sk-{}-oat01-{}AA", "ant", d.text(URLSAFE, 93))),
    ("hugging_face", |d| format!("h{}_{}", "f", d.text(ALNUM, 34))),
    ("npm", |d| format!("n{}_{}", "pm", d.text(ALNUM, 36))),
    ("pypi", |d| format!("py{}-AgEIcHlwaS5vcmc{}", "pi", d.text(URLSAFE, 160))),
    ("crates_io", |d| format!("c{}{}", "io", d.text(ALNUM, 32))),
    ("docker_hub", |d| format!("dckr_{}_{}", "pat", d.text(URLSAFE, 26) + "x")),
    ("digitalocean", |d| format!("do{}_v1_{}", "p", d.text(HEX, 64))),
    ("twilio_key", |d| format!("S{}{}", "K", d.text(HEX, 32))),
    ("sendgrid", |d| format!("S{}.{}.{}", "G", d.text(URLSAFE, 22), d.text(URLSAFE, 43))),
    ("mailgun", |d| format!("k{}-{}", "ey", d.text(HEX, 32))),
    ("mailchimp", |d| format!("{}-{}{}", d.text(HEX, 32), "us", d.between(1, 21))),
    ("discord_webhook", |d| {
        let (id, key) = (d.text("123456789", 18), d.text(URLSAFE, 68));
        format!("https://{}.com/api/webhooks/{id}/{key}", "discord")
    }),
    ("shopify", |d| format!("shp{}_{}", "at", d.text(HEX, 32))),
    ("square", |d| format!("sq0{}-{}", "csp", d.text(URLSAFE, 43))),
    ("databricks", |d| format!("da{}{}", "pi", d.text(HEX, 32))),
    ("new_relic", |d| format!("NR{}-{}", "AK", d.text(UPPER, 27))),
    ("grafana_service", |d| format!("gl{}_{}_{}", "sa", d.text(ALNUM, 32), d.text(HEX, 8))),
    ("grafana_cloud", |d| {
        let json =
            format!(r#"{{"o":"{}","n":"shop","k":"{}","m":{{"r":"eu"}}}}"#, d.text(DIGITS, 6), d.text(ALNUM, 24));
        format!("gl{}_{}", "c", to_base64(json.as_bytes()))
    }),
    ("vault", |d| format!("hv{}.{}", "s", d.text(URLSAFE, 90))),
    ("terraform_cloud", |d| format!("{}.atlas{}.{}", d.text(ALNUM, 14), "v1", d.text(ALNUM, 67))),
    ("linear", |d| format!("lin_{}_{}", "api", d.text(ALNUM, 40))),
    ("notion", |d| format!("n{}_{}{}", "tn", d.text(DIGITS, 11), d.text(ALNUM, 35))),
    ("figma", |d| format!("fi{}_{}", "gd", d.text(URLSAFE, 40))),
    ("postman", |d| format!("PM{}-{}-{}", "AK", d.text(HEX, 24), d.text(HEX, 34))),
    ("sentry_user", |d| format!("snt{}_{}", "ryu", d.text(HEX, 64))),
    ("supabase", |d| format!("sb{}_{}", "p", d.text(HEX, 40))),
    ("planetscale", |d| format!("pscale_{}_{}", "tkn", d.text(URLSAFE, 43))),
    ("airtable", |d| format!("p{}{}.{}", "at", d.text(ALNUM, 14), d.text(HEX, 64))),
    ("atlassian", |d| format!("ATA{}xFfGF0{}={}", "TT3", d.text(URLSAFE, 170), d.text("0123456789ABCDEF", 8))),
    ("age", |d| format!("AGE-{}-KEY-1{}", "SECRET", d.text("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58))),
    ("jwt", |d| {
        let part = |text: &str| to_base64(text.as_bytes()).replace(['='], "").replace('+', "-").replace('/', "_");
        let header = part(r#"{"alg":"HS256","typ":"JWT"}"#);
        let claims = part(&format!(r#"{{"sub":"{}","role":"service","exp":{}}}"#, d.uuid(), d.text("123456789", 10)));
        format!("{header}.{claims}.{}", d.text(URLSAFE, 43))
    }),
    ("postgres_url", |d| address(d, "postgres")),
    ("mysql_url", |d| address(d, "mysql")),
    ("mongodb_url", |d| address(d, "mongodb+srv")),
    ("redis_url", |d| format!("re{}://:{}@cache.internal:6379/0", "dis", d.text(ALNUM, 24))),
    ("amqp_url", |d| address(d, "amqp")),
    ("basic_auth_url", |d| address(d, "https")),
];

fn address(d: &mut Dice, scheme: &str) -> String {
    let (user, password) = (d.one(&["shop", "deploy", "svc-orders"]), d.text(ALNUM, 20));
    format!("{scheme}://{user}:{password}@db-3.internal:5432/orders")
}

/// Secrets that only what stands beside them gives away: the name, and how the value is made.
const NAMED: &[(&str, &str, Make)] = &[
    ("aws_secret_key", "aws_secret_access_key", |d| d.text(BASE64, 40)),
    ("gitea", "gitea_token", |d| d.text(HEX, 40)),
    ("twilio_token", "twilio_auth_token", |d| d.text(HEX, 32)),
    ("telegram", "telegram_bot_token", |d| {
        format!("{}:A{}{}", d.text("123456789", 10), "A", d.text(URLSAFE, 32) + "w")
    }),
    ("discord_bot", "discord_token", |d| {
        let id = to_base64(d.text("123456789", 18).as_bytes());
        format!("{id}.{}.{}", d.text(ALNUM, 6), d.text(ALNUM, 38))
    }),
    ("datadog", "datadog_api_key", |d| d.text(HEX, 32)),
    ("cloudflare", "cloudflare_api_token", |d| d.text(URLSAFE, 40)),
    ("fastly", "fastly_api_token", |d| d.text(URLSAFE, 32)),
    ("heroku", "heroku_api_key", Dice::uuid),
    ("asana", "asana_token", |d| format!("1/{}:{}", d.text("123456789", 16), d.text(HEX, 32))),
    ("generic_password", "db_password", |d| format!("{}!{}#{}", d.text(ALNUM, 6), d.text(DIGITS, 2), d.text(ALNUM, 6))),
    ("generic_secret", "client_secret", |d| d.text(ALNUM, 40)),
    ("generic_token", "upload_token", |d| d.text(URLSAFE, 32)),
    ("generic_api_key", "weather_api_key", |d| d.text(HEX, 32)),
    (HELD_OUT, "algolia_admin_key", |d| d.text(HEX, 32)),
];

/// Secrets with a file form of their own.
const FILES: &[(&str, MakeFile)] = &[
    ("rsa_key", |d| armoured(d, "rsa_key", "RSA PRIVATE KEY", "deploy/server.key", "MIIEpAIBAAKCAQEA")),
    ("pkcs8_key", |d| armoured(d, "pkcs8_key", "PRIVATE KEY", "certs/tls.pem", "MIIEvQIBADANBgkq")),
    ("ec_key", |d| armoured(d, "ec_key", "EC PRIVATE KEY", "certs/ec.pem", "MHcCAQEEIIvqOcrk")),
    ("openssh_key", |d| armoured(d, "openssh_key", "OPENSSH PRIVATE KEY", "deploy/ident", "b3BlbnNzaC1rZXkt")),
    ("pgp_key", |d| armoured(d, "pgp_key", "PGP PRIVATE KEY BLOCK", "release/key.asc", "\nlQOYBGQyx5gBCACu")),
    ("putty_key", |d| {
        let body = d.base64_lines(4, 22);
        let public = d.base64_lines(3, 22);
        let text = format!(
            "PuTTY-User-{}-File-3: ssh-rsa\nEncryption: none\nComment: deploy\nPublic-Lines: 4\n{public}Private-Lines: \
             5\n{body}Private-MAC: {}\n",
            "Key",
            d.text(HEX, 64)
        );
        planted("putty_key", first_line(&body), "deploy/key.txt", text)
    }),
    ("google_service_account", |d| {
        let body = d.base64_lines(4, 22);
        let (begin, end) = (format!("-----{} PRIVATE KEY-----", "BEGIN"), format!("-----{} PRIVATE KEY-----", "END"));
        let key = format!("{begin}\\n{}{end}\\n", body.replace('\n', "\\n"));
        let text = format!(
            "{{\n  \"type\": \"service_account\",\n  \"project_id\": \"shop\",\n  \"private_key_id\": \"{}\",\n  \
             \"private_key\": \"{key}\",\n  \"client_email\": \"a@shop.iam.gserviceaccount.com\"\n}}\n",
            d.text(HEX, 40)
        );
        planted("google_service_account", first_line(&body), "infra/account.json", text)
    }),
    ("netrc", |d| {
        let password = d.text(ALNUM, 16);
        let text = format!("machine git.internal\n  login shop\n  password {password}\n");
        planted("netrc", password, "home/netrc", text)
    }),
    ("npmrc_uuid", |d| {
        let token = d.uuid();
        planted("npmrc_uuid", token.clone(), ".npmrc", format!("//registry.internal/:_{}={token}\n", "authToken"))
    }),
    ("npmrc", |d| {
        let token = d.text(URLSAFE, 36);
        planted("npmrc", token.clone(), ".npmrc", format!("//registry.internal/:_{}={token}\n", "authToken"))
    }),
    ("pypirc", |d| {
        let password = d.text(ALNUM, 20);
        let text = format!("[internal]\nrepository = https://pypi.internal/\nusername = shop\npassword = {password}\n");
        planted("pypirc", password, ".pypirc", text)
    }),
    ("docker_config", |d| {
        let auth = to_base64(format!("shop:{}", d.text(ALNUM, 18)).as_bytes());
        let text = format!("{{\n  \"auths\": {{\"registry.internal\": {{\"auth\": \"{auth}\"}}}}\n}}\n");
        planted("docker_config", auth, "ci/docker.json", text)
    }),
    ("kubernetes_env", |d| {
        let value = d.text(ALNUM, 24);
        let text = format!("env:\n  - name: DB_PASSWORD\n    value: \"{value}\"\n");
        planted("kubernetes_env", value, "k8s/app.yaml", text)
    }),
];

fn first_line(body: &str) -> String {
    body.lines().next().unwrap_or_default().to_owned()
}

fn armoured(d: &mut Dice, kind: &'static str, label: &str, path: &str, head: &str) -> Planted {
    let body = head.to_owned() + &d.text(BASE64, 48) + "\n" + &d.base64_lines(d.clone().between(3, 20), 22);
    let text = format!("-----{} {label}-----\n{body}-----{} {label}-----\n", "BEGIN", "END");
    planted(kind, first_line(body.trim_start()), path, text)
}

fn planted(kind: &'static str, secret: impl Into<String>, path: &str, text: String) -> Planted {
    Planted { kind, secret: secret.into(), path: path.to_owned(), text }
}

/// Ways to write a token down where its own form is all there is: no telling name.
fn surroundings(d: &mut Dice, value: &str) -> (&'static str, String) {
    match d.below(12) {
        0 => ("notes.md", format!("For now we use {value} until the new one is there.\n")),
        1 => ("app/settings.py", format!("import os\n\nCLIENT = Client('{value}')\n")),
        2 => ("src/client.rs", format!("const SERVICE: &str = \"{value}\";\n")),
        3 => ("deploy/values.yaml", format!("service:\n  login: {value}\n")),
        4 => ("config.json", format!("{{\"a\": 1, \"service\": \"{value}\"}}\n")),
        5 => (".env.production", format!("SERVICE={value}\n")),
        6 => ("web/app.min.js", format!("!function(){{var a=1,b=\"{value}\",c=function(){{return b}}}}();")),
        7 => ("src/Main.java", format!("  // client.connect(\"{value}\");\n")),
        8 => ("ci/run.sh", format!("#!/bin/sh\nexport SERVICE='{value}'\nrun --quiet\n")),
        9 => ("log/debug.log", format!("2026-03-01T10:00:00Z DEBUG sent {value} to upstream\n")),
        10 => ("tests/data.csv", format!("id,name,value\n7,service,{value}\n8,other,none\n")),
        _ => ("infra/main.tf", format!("resource \"x\" \"y\" {{\n  value = \"{value}\"\n}}\n")),
    }
}

/// Ways to write a value beside its name.
fn assignment(d: &mut Dice, name: &str, value: &str) -> (&'static str, String) {
    let upper = name.to_ascii_uppercase();
    let camel: String = name
        .split('_')
        .enumerate()
        .map(|(n, word)| if n == 0 { word.to_owned() } else { word[..1].to_ascii_uppercase() + &word[1..] })
        .collect();
    match d.below(10) {
        0 => (".env", format!("DEBUG=0\n{upper}={value}\n")),
        1 => ("app/settings.py", format!("{upper} = \"{value}\"\n")),
        2 => ("src/config.ts", format!("export const config = {{ {camel}: '{value}' }};\n")),
        3 => ("config.json", format!("{{\n  \"{name}\": \"{value}\"\n}}\n")),
        4 => ("deploy/values.yaml", format!("service:\n  {name}: {value}\n")),
        5 => ("src/config.rs", format!("pub const {upper}: &str = \"{value}\";\n")),
        6 => ("src/Config.java", format!("  private static final String {upper} = \"{value}\";\n")),
        7 => ("main.go", format!("\t{camel} := \"{value}\"\n")),
        8 => ("ci/run.sh", format!("export {upper}='{value}'\n")),
        _ => ("config/app.properties", format!("{}={value}\n", name.replace('_', "."))),
    }
}

/// One of every kind. Another seed gives other secrets in other surroundings.
pub fn kinds(seed: u64) -> Vec<Planted> {
    let mut d = Dice::new(seed);
    let mut all = Vec::new();
    for (kind, make) in TOKENS {
        let value = make(&mut d);
        let (path, text) = surroundings(&mut d, &value);
        all.push(planted(kind, value, path, text));
    }
    for (kind, name, make) in NAMED {
        let value = make(&mut d);
        let (path, text) = assignment(&mut d, name, &value);
        all.push(planted(kind, value, path, text));
    }
    all.extend(FILES.iter().map(|(_, make)| make(&mut d)));
    all
}
