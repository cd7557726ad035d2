//! What a project must have, what its commands may be given, and what its budgets may say.

use super::*;

#[test]
fn a_project_needs_a_key_a_repository_and_something_that_checks_its_code() {
    let agent = "[agents]\ndefault = \"mine\"\n[agents.programs.mine]\ncommand = [\"a\"]\n";
    assert_eq!(
        problems(&format!("{agent}[[project]]\n")),
        "orch.toml:5: [[project]] has no `key`: the prefix of its work items, like \"DEMO\"\n\
         orch.toml:5: [[project]] has no `repo`: a path or an address of its repository\n\
         orch.toml:5: [[project]] has neither `commands.test` nor `commands.ci`: nothing would check its code; name one, \
         or write `allow_untested = true`"
    );
    for bad in ["demo", "1A", "ABCDEFGHIJK", "A-B", "Ä"] {
        let text = format!("{agent}[[project]]\nkey = \"{bad}\"\nrepo = \".\"\nallow_untested = true\n");
        assert_eq!(
            problems(&text),
            format!(
                "orch.toml:6: [[project]] `key` must be 1 to 10 capital letters and digits, a letter first, not `{bad}`"
            )
        );
    }
    let twice = "[[project]]\nkey = \"A\"\nrepo = \".\"\nallow_untested = true\n";
    assert_eq!(problems(&format!("{agent}{twice}{twice}")), "orch.toml:10: [[project]] `key` A is used twice");
}

#[test]
fn the_environment_of_commands_may_not_be_what_each_run_has_of_its_own() {
    let text = "[agents]\ndefault = \"mine\"\n[agents.programs.mine]\ncommand = [\"a\"]\n[[project]]\nkey = \"A\"\nrepo = \".\"\n\
                [project.commands]\nsetup = \"npm ci\"\ntest = \"npm test\"\n[project.commands.env]\nRUSTUP_HOME = \"/x\"\n\
                HOME = \"/root\"\nORCH_ROUND = \"1\"\n\"A B\" = \"x\"\n";
    assert_eq!(
        problems(text),
        "orch.toml:13: [project.commands.env] `HOME` is orch's to set: each run has its own\n\
         orch.toml:14: [project.commands.env] `ORCH_ROUND` is orch's to set: each run has its own\n\
         orch.toml:15: [project.commands.env] `A B` is no name of a variable"
    );
}

/// A configuration with one project and one program of this kind.
fn with_money(kind: &str, rest: &str) -> String {
    format!(
        "[agents]\ndefault = \"mine\"\n[agents.programs.mine]\nkind = \"{kind}\"\ncommand = [\"a\"]\n{rest}\n\
         [[project]]\nkey = \"A\"\nrepo = \".\"\nallow_untested = true\n"
    )
}

#[test]
fn a_budget_of_a_program_that_need_not_say_what_it_costs_needs_a_cap_for_each_run() {
    let told = problems(&with_money("command", "[budget]\nday_usd = 20"));
    assert_eq!(
        told,
        "orch.toml:7: [budget] `day_usd` limits A, whose program `mine` (kind = \"command\") need not say what a run cost: set \
         [budget] `run_usd` to what a run may cost; one that does not say counts as that"
    );
    assert!(parse(&with_money("scripted", "[budget]\nday_usd = 20"), &[]).is_ok());
    assert!(parse(&with_money("command", "[budget]\nday_usd = 20\nrun_usd = 2"), &[]).is_ok());
    let own = with_money("command", "") + "[project.budget]\ntotal_usd = 100\n";
    assert!(problems(&own).starts_with("orch.toml:12: [project.budget] `total_usd` limits A"), "{}", problems(&own));
    assert!(parse(&(own + "run_usd = 1.5\n"), &[]).is_ok());
    let claude = |proxy: bool| {
        let all = with_money("claude", &format!("proxy = {proxy}\n[budget]\nday_usd = 20"));
        parse(&all.replace("command = [\"a\"]\n", ""), &[]).map_err(|problems| format!("{problems:?}"))
    };
    assert!(claude(true).is_ok(), "its proxy counts");
    assert!(claude(false).unwrap_err().contains("(proxy = false) need not say"));
}

#[test]
fn an_amount_that_means_nothing_and_a_budget_no_run_fits_into_are_refused() {
    assert_eq!(
        problems(&with_money("scripted", "[budget]\nrun_usd = 5\ntask_usd = 4.99\nmonth_usd = 0.0000001")),
        "orch.toml:7: [budget] `run_usd` is more than [budget] `task_usd`: no run would ever begin\n\
         orch.toml:9: [budget] `month_usd` must be 0 or between 0.000001 and 1000000 US dollars"
    );
}

#[test]
fn a_project_has_its_own_amounts_and_those_of_all() {
    let text = with_money("command", "[budget]\nrun_usd = 2\ntask_usd = 9.99\nday_usd = 20")
        + "[project.budget]\ntask_usd = 5\nmonth_usd = 100\n";
    let (config, _) = parse(&text, &[]).unwrap();
    let limits = config.money(&config.projects[0]);
    assert_eq!((limits.run, limits.task), (Some(2_000_000), Some(5_000_000)));
    assert_eq!((limits.own, limits.all), ([None, Some(100_000_000), None], [Some(20_000_000), None]));
}

#[test]
fn a_time_zone_is_one_that_is_known() {
    let told = problems("[server]\ntimezone = \"Europe/Berln\"\n");
    assert!(told.starts_with("orch.toml:2: [server] `timezone` `Europe/Berln` is not known to this machine"), "{told}");
    assert!(parse("[server]\ntimezone = \"Europe/Berlin\"\n", &[]).is_ok());
}

#[test]
fn a_part_needs_a_name_of_its_own_paths_and_something_to_run() {
    let head = "[agents]\ndefault = \"mine\"\n[agents.programs.mine]\ncommand = [\"a\"]\n[[project]]\nkey = \"A\"\nrepo = \".\"\n";
    let part = |text: &str| format!("[[project.parts]]\n{text}\n");
    let web = part("name = \"web\"\npaths = [\"/web/\"]\ntest = \"npm test\"");
    let (config, _) = parse(&format!("{head}{web}"), &[]).unwrap();
    let project = &config.projects[0];
    assert_eq!(project.whole(orch_engine::parts::Of::Test).unwrap().line, "npm test", "no other command is needed");
    assert_eq!(project.whole(orch_engine::parts::Of::Ci), None);

    let bad = format!(
        "{head}{web}{}{}",
        part("name = \"web\"\npaths = [\"!/web/\"]\nci = \" \""),
        part("pathes = [\"../x\"]")
    );
    assert_eq!(
        problems(&bad),
        "orch.toml:12: [[project.parts]] web has neither `test` nor `ci`: nothing would be run for it\n\
         orch.toml:13: [[project.parts]] `name`: there are two parts `web`\n\
         orch.toml:14: [[project.parts]] web has no `paths`: what belongs to it, like [\"/web/\"]\n\
         orch.toml:15: [[project.parts]] web: `ci` is empty; leave the line out\n\
         orch.toml:16: [[project.parts]] has no `name`: what people call it, like \"web\"\n\
         orch.toml:16: [[project.parts]] has no `paths`: what belongs to it, like [\"/web/\"]\n\
         orch.toml:16: [[project.parts]] has neither `test` nor `ci`: nothing would be run for it\n\
         orch.toml:17: [project.parts] unknown key `pathes`: did you mean `paths`?"
    );
    let leaves = part("name = \"a b\"\npaths = [\"/web/\", \"../x\"]\ntest = \"t\"");
    assert_eq!(
        problems(&format!("{head}{leaves}")),
        "orch.toml:9: [[project.parts]] `name`: only letters, digits, `-` and `_`, not `a b`\n\
         orch.toml:10: [[project.parts]] `paths`: `../x` leaves the repository"
    );
    assert_eq!(
        problems(&format!("{head}allow_untested = true\n[project.parts]\nname = \"web\"\n")),
        "orch.toml:9: write [[project.parts]] with two brackets: it is a list of tables"
    );
}
