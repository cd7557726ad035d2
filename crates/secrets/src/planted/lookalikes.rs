//! What looks like a secret and is none: a gate that cries at lock files and documentation is switched off by the second
//! week. Never reads the rules. Values are random where they are random in life (hashes, ids, images).

use super::{ALNUM, BASE64, DIGITS, Dice, HEX, LOWER, LookAlike, UPPER, URLSAFE, to_base64};

/// What people write where a secret will be.
const STAND_INS: &[&str] = &[
    "your-token-here",
    "your_api_key",
    "YOUR_API_KEY_HERE",
    "<your-token>",
    "<API_KEY>",
    "changeme",
    "change-me-please",
    "changeme123",
    "replace-with-your-key",
    "REPLACE_ME",
    "xxxxxxxxxxxxxxxxxxxx",
    "XXXX-XXXX-XXXX",
    "****************",
    "...",
    "dummy-token-1",
    "fake-api-key-1",
    "test-secret-key",
    "not-a-real-secret-1",
    "insert-token-here",
    "password",
    "password123",
    "Passw0rd!",
    "secret",
    "supersecret",
    "s3cr3t",
    "hunter2",
    "letmein",
    "qwerty123",
    "admin123",
    "correct horse battery staple",
    "correct-horse-battery-staple",
    "example-token-123",
    "abcdefghijklmnopqrstuvwxyz",
    "1234567890",
    "12345678-1234-1234-1234-123456789012",
    "00000000000000000000000000000000",
    "deadbeefdeadbeef",
    "mock_token_value_1",
    "sample-key-0001",
    "TODO: set me",
    "null",
    "undefined",
    "[REDACTED]",
    "<redacted>",
    "test-token-12345",
];

/// References to a value that is kept elsewhere.
const REFERENCES: &[&str] = &[
    "${DB_PASSWORD}",
    "$API_TOKEN",
    "${env:SECRET_TOKEN}",
    "{{ .Values.apiToken }}",
    "{{ secrets.API_KEY }}",
    "${{ secrets.DEPLOY_TOKEN }}",
    "%(db_password)s",
    "%DB_PASSWORD%",
    "#{ENV['SECRET_KEY_BASE']}",
    "<%= ENV['API_KEY'] %>",
    "vault:secret/data/shop#password",
    "op://shop/database/password",
    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-a1b2c3",
    "ssm:/shop/prod/db_password",
    "file:/run/secrets/db_password",
    "/run/secrets/api_token_v2",
    "env:SHOP_TOKEN_2",
    "@Microsoft.KeyVault(SecretUri=https://shop.vault.azure.net/)",
    "ref+vault://shop/password1",
    "projects/123456/secrets/api-key/versions/1",
    "kubernetes.io/service-account-token",
    "secretref:db-password-2",
];

/// Lines of code and settings that speak of secrets and hold none.
const CODE: &[&str] = &[
    "password = os.environ[\"DB_PASSWORD\"]",
    "api_key = os.getenv(\"API_KEY_V2\", \"\")",
    "const token = process.env.API_TOKEN_2;",
    "let token = std::env::var(\"DEPLOY_TOKEN_2\")?;",
    "String password = System.getenv(\"DB_PASSWORD_1\");",
    "token := r.Header.Get(\"X-Auth-Token\")",
    "if password == user.password_hash { login() }",
    "self.token = request.headers.get('X-Api-Key-2')",
    "const SECRET_NAME = 'shop/database/v2';",
    "secretKeyRef: {name: shop-db-1, key: password}",
    "tokenUrl: 'https://login.example.com/oauth2/v2.0/token'",
    "passwordField: '#user_password_2',",
    "token_type = \"urn:ietf:params:oauth:token-type:access_token\"",
    "secret_name = \"shop-database-credentials-v2\"",
    "API_KEY_HEADER = 'X-Shop-Api-Key-V2'",
    "authorization: `Bearer ${accessToken2}`",
    "curl -H 'Authorization: Bearer $TOKEN' https://api.internal/v1",
    "curl -u user:$PASSWORD https://api.internal",
    "psql postgres://user:password@localhost:5432/db",
    "DATABASE_URL=postgres://postgres:postgres@db:5432/app",
    "redis://:${REDIS_PASSWORD}@cache:6379/0",
    "mongodb://<username>:<password>@cluster0.mongodb.net",
    "https://user:pass@example.com/path",
    "amqp://guest:guest@localhost:5672/",
    "mysql://root:root@127.0.0.1/test",
    "https://%s:%s@%s/repo.git",
    "git clone https://x-access-token:${TOKEN}@github.com/a/b",
    "postgres://{user}:{password}@{host}/{db}",
    "type Token struct { Value string `json:\"access_token\"` }",
    "assert_eq!(tokenize(\"a + b2\"), [\"a\", \"+\", \"b2\"]);",
    "passwordPolicy: 'min8-digit1'",
    "<input type=\"password\" name=\"password\" placeholder=\"Password1\">",
    "<password>${env.NEXUS_PASSWORD}</password>",
    "-----BEGIN PRIVATE KEY-----",
    "text.includes('-----BEGIN RSA PRIVATE KEY-----')",
    "tokens: { color: 'primary-500', space: 'sm-2' }",
    "next_token = \"eyJsYXN0\"",
    "machine example.com login user password $PASSWORD",
    "//registry.npmjs.org/:_authToken=${NPM_TOKEN}",
    "password: ${{ secrets.PYPI_API_TOKEN }}",
    "secrets: inherit",
    "Authorization: Basic <base64>",
    "keyring.get_password(\"shop-service-1\", \"deploy-user-2\")",
    "csrf_token: '{{ csrf_token() }}'",
    "PASSWORD_RESET_URL = '/account/reset-password/v2'",
    "basic authentication is used",
    "Basic realm=\"Restricted Area\"",
    "sk-circle-fade-dot",
    "hf_hub_download(repo_id)",
    "npm_config_registry=https://registry.internal",
    "SecretStr = 'pydantic.SecretStr'",
    "secret_manager_version = 'v1beta2'",
    "access_key_id_column = 'aws_access_key_id'",
    "KEYCLOAK_CLIENT_ID=shop-frontend-2",
    "token_expires_in = '3600seconds'",
    "COOKIE_NAME = '__Host-session_token2'",
];

/// Sentences of several languages about passwords and tokens.
const PROSE: &[&str] = &[
    "password: 'Das Passwort muss mindestens 8 Zeichen lang sein'",
    "token: \"Le jeton d'accès a expiré\"",
    "secret: 'La clave secreta no es válida'",
    "\"password\": \"パスワードを入力してください\"",
    "\"password_hint\": \"Lösenordet måste innehålla 1 siffra\"",
    "msgstr \"Passwort vergessen?\"",
    "password = Mot de passe oublié",
    "\"login.password\": \"Passwort\"",
    "\"token.expired\": \"Token abgelaufen\"",
    "api.key.label=API-Schlüssel",
    "The password is stored as an Argon2 hash.",
    "Ask an administrator for a token and put it into `.env`.",
    "password: Contraseña",
    "secret: Geheimnis",
];

/// Examples that providers print in their documentation, in two parts each.
const DOCUMENTED: &[(&str, &str)] = &[
    ("AKIAIOSFODNN7", "EXAMPLE"),
    ("AKIAI44QH8DHB", "EXAMPLE"),
    ("aws_secret_access_key = wJalrXUtnF", "EMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("sk_test_", "4eC39HqLyjWDarjtT1zdp7dc"),
    ("https://hooks.slack.com/services/T00000000/B00000000/", "XXXXXXXXXXXXXXXXXXXXXXXX"),
    (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.",
        "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
    ),
    ("Authorization: Basic QWxhZGRpbjpv", "cGVuIHNlc2FtZQ=="),
    ("xoxb-your-", "token-goes-here"),
    ("ghp_", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
    ("glpat-", "xxxxxxxxxxxxxxxxxxxx"),
    ("sk-ant-api03-", "your-key-goes-here"),
    ("sk-proj-", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
    ("AIza", "SyXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"),
    ("AccountKey=Eby8vdM02xN", "OcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="),
];

type Make = fn(&mut Dice) -> (&'static str, String);

fn armoured(d: &mut Dice, label: &str) -> String {
    format!("-----{} {label}-----\n{}-----{} {label}-----\n", "BEGIN", "MII".to_owned() + &d.base64_lines(9, 40), "END")
}

const FAMILIES: &[(&str, Make)] = &[
    ("uuid", |d| ("src/ids.py", format!("CUSTOMER_TOKEN_ID = \"{}\"\ntoken = \"{}\"\n", d.uuid(), d.uuid()))),
    ("git_sha", |d| (".github/workflows/ci.yml", format!("- uses: actions/checkout@{} # v4.2.2\n", d.text(HEX, 40)))),
    ("git_link", |d| {
        ("Cargo.lock", format!("source = \"git+https://github.com/a/tokenizer?rev={0}#{0}\"\n", d.text(HEX, 40)))
    }),
    ("sha256", |d| ("Cargo.lock", format!("name = \"secrecy\"\nchecksum = \"{}\"\n", d.text(HEX, 64)))),
    ("npm_integrity", |d| {
        let hash = to_base64(d.text(ALNUM, 64).as_bytes());
        ("package-lock.json", format!("\"js-tokens\": {{\"version\": \"4.0.0\", \"integrity\": \"sha512-{hash}\"}},\n"))
    }),
    ("yarn_integrity", |d| ("yarn.lock", format!("js-tokens@^4.0.0:\n  integrity sha1-{}=\n", d.text(BASE64, 27)))),
    ("go_sum", |d| ("go.sum", format!("github.com/golang-jwt/jwt/v5 v5.2.1 h1:{}=\n", d.text(BASE64, 43)))),
    ("pip_hash", |d| ("requirements.txt", format!("PyJWT==2.9.0 --hash=sha256:{}\n", d.text(HEX, 64)))),
    ("poetry_hash", |d| {
        ("poetry.lock", format!("{{file = \"secretstorage-3.3.3.whl\", hash = \"sha256:{}\"}},\n", d.text(HEX, 64)))
    }),
    ("image_data", |d| {
        let image = d.text(BASE64, d.clone().between(400, 4_000));
        ("web/logo.css", format!(".a{{background:url(data:image/png;base64,iVBORw0KGgo{image}==)}}\n"))
    }),
    ("image_lines", |d| {
        ("docs/image.mht", format!("Content-Transfer-Encoding: base64\n\n/9j/4AAQ{}", d.base64_lines(40, 22)))
    }),
    ("font_data", |d| {
        ("web/font.css", format!("src:url(data:font/woff2;base64,d09GMgAB{}) format('woff2')\n", d.text(BASE64, 3_000)))
    }),
    ("stand_in_env", |d| (".env.example", format!("API_TOKEN={}\n", d.one(STAND_INS)))),
    ("stand_in_code", |d| {
        let name = d.one(&["password", "api_key", "auth_token", "client_secret", "secretKey", "accessToken"]);
        ("tests/test_login.py", format!("    client = Client({name}=\"{}\")\n", d.one(STAND_INS)))
    }),
    ("stand_in_json", |d| {
        (
            "docs/config.json",
            format!("{{\"token\": \"{}\", \"password\": \"{}\"}}\n", d.one(STAND_INS), d.one(STAND_INS)),
        )
    }),
    ("stand_in_yaml", |d| {
        ("values.yaml", format!("auth:\n  password: {}\n  token: \"{}\"\n", d.one(STAND_INS), d.one(STAND_INS)))
    }),
    ("reference_yaml", |d| ("deploy.yaml", format!("db_password: {0}\napi_token: \"{0}\"\n", d.one(REFERENCES)))),
    ("reference_env", |d| {
        (".env", format!("DB_PASSWORD={}\nCLIENT_SECRET='{}'\n", d.one(REFERENCES), d.one(REFERENCES)))
    }),
    ("code", |d| {
        (d.one(&["src/a.py", "web/a.ts", "a.go", "deploy/a.sh", "README.md", "a.yaml"]), format!("{}\n", d.one(CODE)))
    }),
    ("prose", |d| {
        (
            d.one(&["locale/de.yaml", "locale/fr.json", "docs/a.md", "po/de.po", "a.properties"]),
            format!("{}\n", d.one(PROSE)),
        )
    }),
    ("documented", |d| {
        let (a, b) = DOCUMENTED[d.below(DOCUMENTED.len())];
        ("docs/setup.md", format!("For example `{a}{b}`.\n"))
    }),
    ("public_key_ssh", |d| {
        ("deploy/authorized_keys", format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{} deploy@host\n", d.text(BASE64, 43)))
    }),
    ("public_key_rsa", |d| {
        ("keys.txt", format!("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ{} a@b\n", d.text(BASE64, 500)))
    }),
    ("public_key_pem", |d| ("certs/public.pem", armoured(d, "PUBLIC KEY"))),
    ("certificate", |d| ("certs/ca.pem", armoured(d, "CERTIFICATE"))),
    ("certificate_request", |d| ("certs/a.csr", armoured(d, "CERTIFICATE REQUEST"))),
    ("pgp_signature", |d| ("release.asc", armoured(d, "PGP SIGNATURE"))),
    ("pgp_public", |d| ("key.asc", armoured(d, "PGP PUBLIC KEY BLOCK"))),
    ("age_recipient", |d| {
        ("secrets.md", format!("Encrypt for age1{}.\n", d.text("qpzry9x8gf2tvdw0s3jn54khce6mua7l", 58)))
    }),
    ("stripe_publishable", |d| ("web/pay.js", format!("const stripe = Stripe('pk_live_{}');\n", d.text(ALNUM, 99)))),
    ("css_colours", |d| {
        (
            "web/tokens.css",
            format!("--token-{}: #{};\n--secret: #{};\n", d.text(LOWER, 5), d.text(HEX, 6), d.text(HEX, 8)),
        )
    }),
    ("version", |d| {
        (
            "pom.xml",
            format!(
                "<version.token>{}.{}.{}-rc{}</version.token>\n",
                d.below(20),
                d.below(99),
                d.below(99),
                d.below(9)
            ),
        )
    }),
    ("date", |d| {
        (
            "data.json",
            format!("{{\"token_created\": \"20{}-01-02T03:04:05.{}Z\"}}\n", d.text("12", 2), d.text(DIGITS, 6)),
        )
    }),
    ("container_digest", |d| {
        ("Dockerfile", format!("FROM registry.internal/token-service@sha256:{}\n", d.text(HEX, 64)))
    }),
    ("minified", |d| {
        let name = |d: &mut Dice| d.text("abcdefghijklmnopqrstuvwxyz", 1);
        let (a, b, c) = (name(d), name(d), name(d));
        let text = format!(
            "!function({a},{b}){{var token={a}.token||\"\",password={b}.password;{a}.secret={b}({c},{}),{a}.apiKey=void 0===\
             {b}?null:{b}.apiKey;for(var {c}=0;{c}<{};{c}++)e[{c}]^={};return token+password}}(window,document);\n",
            d.text(DIGITS, 4),
            d.text(DIGITS, 3),
            d.text(DIGITS, 5)
        );
        ("web/app.min.js", text)
    }),
    ("source_map", |d| {
        (
            "web/app.js.map",
            format!("{{\"version\":3,\"mappings\":\"AAAA,SAAS,{};{}\"}}\n", d.text(ALNUM, 300), d.text(ALNUM, 200)),
        )
    }),
    ("password_hash", |d| {
        ("seed.sql", format!("INSERT INTO users VALUES (1, 'a', '$2b$12${}');\n", d.text(ALNUM, 53)))
    }),
    ("password_hash_named", |d| {
        (
            "seed.py",
            format!(
                "password_hash = \"$argon2id$v=19$m=65536,t=3,p=4${}${}\"\n",
                d.text(BASE64, 22),
                d.text(BASE64, 43)
            ),
        )
    }),
    ("etag", |d| {
        (
            "cache.json",
            format!("{{\"etag\": \"W/\\\"{}\\\"\", \"cache_key\": \"{}\"}}\n", d.text(HEX, 32), d.text(HEX, 40)),
        )
    }),
    ("object_id", |d| {
        (
            "fixtures.json",
            format!("{{\"_id\": \"{}\", \"session_token_id\": \"{}\"}}\n", d.text(HEX, 24), d.text(URLSAFE, 21)),
        )
    }),
    ("jwt_without_signature", |d| {
        let claims = to_base64(format!("{{\"sub\":\"{}\"}}", d.text(DIGITS, 9)).as_bytes()).replace('=', "");
        ("docs/jwt.md", format!("The claims are `{claims}`.\n"))
    }),
    ("plain_base64", |d| {
        (
            "fixtures/a.txt",
            to_base64(format!("Hello {}, nothing to see in here at all.\n", d.text(LOWER, 12)).as_bytes()),
        )
    }),
    ("hex_dump", |d| {
        (
            "fixtures/dump.txt",
            (0..8)
                .fold(String::new(), |dump, n| dump + &format!("{n:07x}0  {}  {}\n", d.text(HEX, 16), d.text(HEX, 16))),
        )
    }),
    ("address", |d| {
        (
            "docs/links.md",
            format!("https://example.com/{}/{}?id={}&page=2\n", d.text(LOWER, 8), d.text(ALNUM, 22), d.uuid()),
        )
    }),
    ("commit_link", |d| {
        ("CHANGELOG.md", format!("- Fix the token (https://git.internal/a/b/commit/{})\n", d.text(HEX, 40)))
    }),
    ("sql_ids", |d| {
        (
            "dump.sql",
            format!(
                "INSERT INTO tokens_seen VALUES ('{}', {}, '{}');\n",
                d.uuid(),
                d.text("123456789", 9),
                d.text(UPPER, 8)
            ),
        )
    }),
    ("constant", |d| ("src/consts.c", format!("static const uint64_t token_seed = 0x{}ULL;\n", d.text(HEX, 16)))),
    ("translation_key", |d| {
        (
            "locale/en.json",
            format!("{{\"settings.security.password.reset{}\": \"Reset your password\"}}\n", d.below(99)),
        )
    }),
    ("svg_path", |d| {
        (
            "web/icon.svg",
            format!("<path d=\"M{0}.{1}h{1}v{0}H{1}z\" id=\"password-token-{0}\"/>\n", d.below(99), d.below(99)),
        )
    }),
    ("badge", |d| {
        ("README.md", format!("[![coverage](https://codecov.invalid/gh/a/b/badge.svg?token={})]\n", d.text(UPPER, 10)))
    }),
    ("badge_link", |d| {
        ("README.md", format!("[cov]: https://codecov.invalid/gh/a/graph/badge.svg?token={}\n", d.text(UPPER, 10)))
    }),
    ("form_body", |d| ("src/form.rs", format!("body(b\"user=u{}&password=secure%20password\")\n", d.below(9)))),
    ("entropy_words", |d| {
        (
            "tests/words.txt",
            format!("secret-garden-{}-token-ring-{}\n", d.one(&["blue", "green", "north"]), d.below(99)),
        )
    }),
];

/// So many look-alikes, every family in turn.
pub fn lookalikes(seed: u64, count: usize) -> Vec<LookAlike> {
    let mut d = Dice::new(seed);
    (0..count)
        .map(|n| {
            let (kind, make) = FAMILIES[n % FAMILIES.len()];
            let (path, text) = make(&mut d);
            LookAlike { kind, path: path.to_owned(), text }
        })
        .collect()
}
