//! Services and programs that tests need: their ports, and how to get them.

/// Ports of services, by the number everybody uses.
pub(super) const SERVICES: &[(&str, &str)] = &[
    ("3306", "MySQL or MariaDB"),
    ("4222", "NATS"),
    ("4566", "LocalStack"),
    ("5432", "PostgreSQL"),
    ("5672", "RabbitMQ"),
    ("6379", "Redis"),
    ("8500", "Consul"),
    ("9000", "MinIO"),
    ("9042", "Cassandra"),
    ("9092", "Kafka"),
    ("9200", "Elasticsearch"),
    ("11211", "memcached"),
    ("2379", "etcd"),
    ("27017", "MongoDB"),
];

/// How to get a program.
pub(super) const PROGRAMS: &[(&str, &str)] = &[
    ("autoreconf", "install autoconf, automake and libtool"),
    ("bun", "`npm install -g bun`"),
    ("cargo", "install Rust with rustup, https://rustup.rs"),
    ("cc", "install a C compiler: `apt install build-essential`"),
    ("cmake", "`apt install cmake`"),
    ("docker", "install Docker, and let the user of orch use it"),
    ("go", "install Go, https://go.dev/dl"),
    ("gradle", "install Gradle, or commit its wrapper"),
    ("java", "install a JDK: `apt install default-jdk`"),
    ("just", "`cargo install just`"),
    ("make", "`apt install make`"),
    ("memcached", "`apt install memcached`"),
    ("mvn", "`apt install maven`"),
    ("node", "install Node.js, https://nodejs.org"),
    ("npm", "install Node.js, https://nodejs.org"),
    ("npx", "install Node.js, https://nodejs.org"),
    ("pdm", "`pipx install pdm`"),
    ("pnpm", "`npm install -g pnpm`"),
    ("poetry", "`pipx install poetry`"),
    ("postgres", "`apt install postgresql`"),
    ("protoc", "`apt install protobuf-compiler`"),
    ("python3", "`apt install python3 python3-venv`"),
    ("redis-server", "`apt install redis-server`"),
    ("tox", "`pipx install tox`"),
    ("uv", "`pipx install uv`"),
    ("yarn", "`npm install -g yarn`"),
];

/// Programs of services: they are installed as tools are, and called what they are.
pub(super) const SERVERS: &[&str] = &["redis-server", "postgres", "mysqld", "mongod", "memcached", "etcd"];
