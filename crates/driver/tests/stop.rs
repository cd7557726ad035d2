//! A polite signal to the driver: the program is interrupted, and the run is reported. Alone in its process, which it
//! signals.

#![allow(clippy::unwrap_used, unreachable_pub)]

use orch_driver::process::agent_driver_main;
use orch_driver::spec::{DriverSpec, Report};
use orch_ports::agent::EndClass;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_signal_interrupts_the_program_and_what_it_says_then_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    // It tells the driver's process as soon as it works on the brief, and answers the interruption with its result.
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && { echo '2.1.332 (Claude Code)'; exit 0; }\nwhile read -r line; do\n case $line in\n\
        *initialize*) echo '{\"type\":\"control_response\",\"response\":{\"subtype\":\"success\",\"request_id\":\"orch-initialize\"}}';;\n\
        *interrupt*) echo '{\"type\":\"result\",\"subtype\":\"error_during_execution\",\"is_error\":true,\"total_cost_usd\":0.25}';;\n\
        *'\"user\"'*) echo '{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s-1\"}'; kill -TERM $PPID;;\n esac\ndone\n";
    std::fs::write(at("claude"), script).unwrap();
    std::fs::set_permissions(at("claude"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(at("prompt.md"), "the brief").unwrap();
    let mut spec = DriverSpec { program: at("claude").display().to_string(), ..DriverSpec::default() };
    spec.rules.worktree = dir.path().to_owned();
    spec.prompt_file = at("prompt.md");
    spec.session_dir = at("sessions");
    spec.grace_ms = 10_000;
    spec.env.insert("PATH".into(), "/usr/bin:/bin".into());
    std::fs::write(at("driver.json"), serde_json::to_vec(&spec).unwrap()).unwrap();
    agent_driver_main(dir.path());
    let report: Report = serde_json::from_slice(&std::fs::read(at("report.json")).unwrap()).unwrap();
    assert_eq!((report.class, report.session.as_deref()), (Some(EndClass::Stopped), Some("s-1")));
    assert_eq!(report.usage.micro_usd(), Some(250_000));
}
