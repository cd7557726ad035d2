//! The developer. Rules can review and run tests, they cannot write software: without a script of the project's own this
//! role fails and says what is missing.

use super::desk::{Desk, Report};

pub(super) fn work(_desk: &Desk) -> Result<Report, String> {
    Err("the scripted program cannot write software by itself: put a script at .orch/agents/developer.sh of the default branch, or \
         set another program under [project.agents] developer"
        .into())
}
