//! The table of people: one person under several names, and what cannot be one.

use super::*;

/// A project whose lists begin at line 8, and a table of people that begins at line 12 where there is no second list.
fn with(people: &str, more: &str) -> String {
    let project = project(more).replace("approvers = [\"anna\"]\n", "");
    format!("{project}[people]\n{people}")
}

fn may(text: &str, who: &str, act: Act) -> bool {
    let (config, _) = parse(text, &[]).unwrap_or_else(|e| panic!("{e}"));
    config.people_of(&config.projects[0]).may(&who.into(), act)
}

const ANNA: &str = "anna = { local = \"anna\", gitea = \"Anna.B\", telegram = 123, roles = [\"approver\"] }\n";
const BOB: &str = "bob = { login = \"anna\", plane = \"b-1\", roles = [\"starter\", \"lander\"] }\n";

#[test]
fn a_role_holds_under_every_name_and_in_every_project_that_names_nobody_for_it() {
    let text = with(&format!("{ANNA}{BOB}"), "");
    for who in ["local:anna", "gitea:anna.b", "telegram:123", "anna"] {
        assert!(may(&text, who, Act::Approve) && may(&text, who, Act::Start), "{who}");
    }
    // Bob logs in as `anna`: that is not her.
    for who in ["login:anna", "plane:B-1", "bob"] {
        assert!(!may(&text, who, Act::Approve) && may(&text, who, Act::Start) && may(&text, who, Act::Land), "{who}");
    }
    assert!(!may(&text, "plane:anna", Act::Start) && !may(&text, "gitea:bob", Act::Start));
    assert!(!may(&text, "local:anna", Act::Land), "there is a lander");
    // One list of a project's own takes the place of one role; an empty one of it, too.
    let own = with(&format!("{ANNA}{BOB}"), "approvers = [\"bob\"]\nlanders = []");
    assert!(may(&own, "plane:b-1", Act::Approve) && !may(&own, "local:anna", Act::Approve));
    assert!(may(&own, "login:anna", Act::Land), "an empty list of landers means who may approve");
    let nobody = with(&format!("{ANNA}{BOB}"), "approvers = []");
    assert!(!may(&nobody, "local:anna", Act::Approve) && may(&nobody, "bob", Act::Start));
    let (config, warnings) = parse(&nobody, &[]).unwrap();
    assert_eq!(config.waits_for_nobody(&config.projects[0]), ["an approval of its analysis"]);
    assert!(warnings.iter().any(|w| w.to_string().contains("has no `approvers`")), "{warnings:?}");
}

#[test]
fn one_account_is_one_persons_and_every_mistake_names_its_line_and_the_fix() {
    let table: &[(&str, &str)] = &[
        (
            "bob = { gitea = \"anna.b\" }\n",
            "orch.toml:13: [people.bob] `gitea` is `anna.b`, and `anna` has the same account there (`Anna.B`): an account is one \
             person's; remove it from one of them",
        ),
        (
            "bob = { gitea = \"ａｎｎａ.ｂ\" }\n",
            "orch.toml:13: [people.bob] `gitea` is `ａｎｎａ.ｂ`, and `anna` has the same account there (`Anna.B`): an account is \
             one person's; remove it from one of them",
        ),
        (
            "bob = { telegram = 123 }\n",
            "orch.toml:13: [people.bob] `telegram` is `123`, and `anna` has the same account there (`123`): an account is one \
             person's; remove it from one of them",
        ),
        (
            "Anna = { local = \"a2\" }\n",
            "orch.toml:12: [people] `Anna` and `anna` look like one name: give one of them another key",
        ),
        (
            "bob = { local = \"bob\", roles = [\"aprover\"] }\n",
            "orch.toml:13: [people.bob] `roles` has no role `aprover`: did you mean `approver`?",
        ),
        (
            "bob = { local = \"bob\", roles = [\"king\"] }\n",
            "orch.toml:13: [people.bob] `roles` has no role `king`: roles are approver, starter, lander",
        ),
        (
            "bob = { roles = [\"starter\"] }\n",
            "orch.toml:13: [people] `bob` has no name that a system knows: write one of local, login, plane, gitea or telegram, \
             like `local = \"bob\"`",
        ),
        ("bob = { gitea = \"gitea:bob\" }\n", "orch.toml:13: [people.bob] `gitea` says its system twice: write `bob`"),
        (
            "bob = { local = \"unknown\" }\n",
            "orch.toml:13: [people.bob] `local` is `unknown`, which stands for a request that names nobody",
        ),
        ("bob = { local = \"b ob\" }\n", "orch.toml:13: [people.bob] `local` holds ` `, which no name may"),
        (
            "bob = { login = \"bob\u{202e}\" }\n",
            "orch.toml:13: [people.bob] `login` holds `\\u{202e}`, which no name may",
        ),
        (
            "bob = { login = \"jose\u{301}\" }\n",
            "orch.toml:13: [people.bob] `login` is written with combining characters: write it as `josé`",
        ),
        ("bob = { login = \"\" }\n", "orch.toml:13: [people.bob] `login` is empty"),
        ("bob = { telegram = 0 }\n", "orch.toml:13: [people.bob] `telegram` is 0, which is no account"),
        ("bob = { telegram = \"x\" }\n", "orch.toml:13: [people.bob] `telegram` must be a whole number, not a string"),
        ("bob = { gitlab = \"x\" }\n", "orch.toml:13: [people.bob] unknown key `gitlab`: did you mean `gitea`?"),
        ("bob = \"approver\"\n", "orch.toml:13: [people.bob] must be a table, not a string"),
        (
            "orch = { local = \"o\" }\n",
            "orch.toml:13: [people] `orch` is what orch calls somebody else: choose another key",
        ),
        (
            "person-3 = { local = \"o\" }\n",
            "orch.toml:13: [people] `person-3` is what orch calls somebody else: choose another key",
        ),
        ("\"local:bob\" = { local = \"o\" }\n", "orch.toml:13: [people] `local:bob` holds `:`, which no name may"),
    ];
    for (bob, told) in table {
        let said = problems(&with(&format!("{ANNA}{bob}"), ""));
        assert_eq!(said.lines().next(), Some(*told), "{bob}\n{said}");
    }
    // Names of this machine differ in upper and lower case, and two scripts are two names.
    for bob in ["bob = { local = \"Anna\" }\n", "bob = { gitea = \"Аnna.B\" }\n", "\"ольга\" = { local = \"ольга\" }\n"]
    {
        assert!(parse(&with(&format!("{ANNA}{bob}"), ""), &[]).is_ok(), "{bob}");
    }
}

#[test]
fn a_project_names_people_of_the_table_where_there_is_one() {
    let said = problems(&with(ANNA, "approvers = [\"ana\", \"gitea:anna.b\"]\nstarters = [\"local:eve\"]"));
    assert_eq!(
        said,
        "orch.toml:8: [[project]] DEMO `approvers` has `ana`, who is not in [people]: did you mean `anna`?\n\
         orch.toml:9: [[project]] DEMO `starters` has `local:eve`, who is not in [people]: add the person to [people]"
    );
    // An empty table is none: names stand for themselves.
    let text = with("", "approvers = [\"carl\"]");
    assert!(may(&text, "gitea:carl", Act::Approve) && !may(&text, "local:anna", Act::Approve));
    for name in ["", "unknown", "orch", "local:unknown"] {
        let said = problems(&with("", &format!("landers = [\"{name}\"]")));
        assert!(said.starts_with("orch.toml:8: [[project]] DEMO `landers` has "), "{name}: {said}");
    }
}
