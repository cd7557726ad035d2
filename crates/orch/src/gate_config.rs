//! With which configuration a gate is asked by hand. It never takes one that the judged commits bring in or change: they
//! have no say in how they are judged, and what stands in the working tree is theirs.

use crate::by_hand::plain_git;
use crate::cli::gate::GateRunArgs;
use crate::cli::{Context, Exit, Failure};
use crate::config::{Config, FILE_NAME};
use std::path::{Path, PathBuf};

/// The repository a configuration file stands in, if it is the judged one, and the two sides of the judgement.
struct Repository<'a> {
    path: Option<&'a String>,
    /// Its working tree, as git names it.
    top: PathBuf,
    base: &'a str,
    head: &'a str,
}

/// What a commit has under a name.
enum Held {
    Nothing,
    File,
    /// A link, here or on the way, a directory or a submodule.
    Other,
}

impl<'a> Repository<'a> {
    /// `None`: the directory is in no working tree of a repository that knows the judged commits.
    fn around(dir: &Path, path: Option<&'a String>, base: &'a str, head: &'a str) -> Option<Self> {
        let top = PathBuf::from(plain_git(dir, path, &["rev-parse", "--show-toplevel"])?);
        let known =
            |commit: &str| plain_git(&top, path, &["cat-file", "-e", &format!("{commit}^{{commit}}")]).is_some();
        (known(base) || known(head)).then(|| Self { path, top: top.clone(), base, head })
    }

    /// The name in the repository of a path below `dir`, by the names alone: what stands in the working tree is judged and
    /// is not asked. `dir` itself is where the caller stands.
    fn name(&self, dir: &Path, path: &Path) -> Option<String> {
        let here = dir.canonicalize().ok()?;
        let below = path.strip_prefix(dir).ok()?;
        let mut parts: Vec<String> = Vec::new();
        for part in here.strip_prefix(&self.top).ok()?.components().chain(below.components()) {
            match part {
                std::path::Component::Normal(part) => parts.push(part.to_str()?.to_owned()),
                std::path::Component::ParentDir => drop(parts.pop()?),
                _ => {}
            }
        }
        Some(parts.join("/"))
    }

    fn held(&self, commit: &str, name: &str) -> Result<Held, Failure> {
        let ends = name.match_indices('/').map(|(at, _)| at).chain([name.len()]);
        for end in ends {
            let listed = plain_git(&self.top, self.path, &["ls-tree", "--full-tree", commit, "--", &name[..end]]);
            let listed = listed.ok_or_else(|| {
                let short: String = commit.chars().take(10).collect();
                Failure::new(Exit::CannotTell, format!("cannot read {short} in {}", self.top.display()))
            })?;
            match listed.split_whitespace().next().unwrap_or_default() {
                "" => return Ok(Held::Nothing),
                "040000" if end < name.len() => {}
                mode if mode.starts_with("100") && end == name.len() => return Ok(Held::File),
                _ => return Ok(Held::Other),
            }
        }
        Ok(Held::Other)
    }

    /// A file of the repository as the work started from it.
    fn at_base(&self, name: &str) -> Result<AtBase, Failure> {
        match self.held(self.base, name)? {
            Held::Other => Err(Failure::usage(format!("{name} is a link or no file where the work started"))
                .hint("name the configuration with --config FILE")),
            Held::Nothing if matches!(self.held(self.head, name)?, Held::Nothing) => Ok(AtBase::NotCommitted),
            Held::Nothing => Ok(AtBase::New),
            Held::File => {
                let text = plain_git(&self.top, self.path, &["cat-file", "blob", &format!("{}:{name}", self.base)]);
                let cannot = || Failure::new(Exit::CannotTell, format!("cannot read {name} where the work started"));
                Ok(AtBase::Text(text.ok_or_else(cannot)?))
            }
        }
    }
}

/// What the work started from has under a name.
enum AtBase {
    Text(String),
    /// Only the work brings it in.
    New,
    /// Neither side has it: it is whoever runs the gate.
    NotCommitted,
}

/// The configuration a gate is asked with: the one named, else the nearest one. Where that is part of the judged repository,
/// it counts as it was before the work: nobody may say in a change how this change is judged. `rules` is a file to use.
pub(crate) fn find(
    args: &GateRunArgs,
    context: &mut Context<'_>,
    (base, head): (&str, &str),
    rules: &Path,
) -> Result<Option<Config>, Failure> {
    if let Some(named) = &args.config {
        return Ok(Some(context.load(&context.cwd.join(named))?.0));
    }
    let path = context.env.get("PATH").cloned();
    for dir in context.cwd.clone().ancestors() {
        let file = dir.join(FILE_NAME);
        let judged = Repository::around(dir, path.as_ref(), base, head);
        let name = judged.as_ref().and_then(|judged| judged.name(dir, &file));
        let (Some(judged), Some(name)) = (judged, name) else {
            if file.is_file() {
                return Ok(Some(context.load(&file)?.0));
            }
            continue;
        };
        match judged.at_base(&name)? {
            AtBase::Text(text) => return as_it_was(context, &judged, dir, &text, rules).map(Some),
            AtBase::New => {
                let it = file.display();
                context.note(format!("note: {name} is new in what is judged and is not used; --config {it} uses it"));
                return Ok(None);
            }
            AtBase::NotCommitted if file.is_file() => return Ok(Some(context.load(&file)?.0)),
            AtBase::NotCommitted => {}
        }
    }
    Ok(None)
}

/// The configuration in `dir` with this text, and of the files it names only what the work has no say in.
fn as_it_was(
    context: &mut Context<'_>,
    judged: &Repository<'_>,
    dir: &Path,
    text: &str,
    rules: &Path,
) -> Result<Config, Failure> {
    let (mut config, _) = Config::parse(&dir.join(FILE_NAME), text, &context.env).map_err(|errors| {
        Failure::usage(format!("as the work started from it: {}", errors.seen_from(&context.cwd)))
            .hint("name another configuration with --config FILE")
    })?;
    let cannot = |e: std::io::Error| Failure::new(Exit::CannotTell, format!("write {}: {e}", rules.display()));
    let security = config.security_mut();
    if let Some(name) = security.rules.as_deref().and_then(|path| judged.name(dir, path)) {
        match judged.at_base(&name)? {
            AtBase::Text(text) => {
                std::fs::write(rules, text).map_err(cannot)?;
                security.rules = Some(rules.to_owned());
            }
            AtBase::New => {
                context.note(format!("note: the rules in {name} are new in what is judged and are not used"));
                security.rules = None;
            }
            AtBase::NotCommitted => {}
        }
    }
    for place in [&mut security.osv_dir, &mut security.rustsec_dir] {
        let Some(name) = place.as_deref().and_then(|path| judged.name(dir, path)) else { continue };
        if [judged.base, judged.head].iter().any(|c| !matches!(judged.held(c, &name), Ok(Held::Nothing))) {
            context.note(format!("note: the advisories in {name} are part of what is judged and are not used"));
            *place = None;
        }
    }
    Ok(config)
}
