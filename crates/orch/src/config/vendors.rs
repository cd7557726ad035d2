//! `[gitea]`, `[plane]`, `[telegram]`: access to other people's servers. Tokens are secrets and are never shown.

use super::section::section;
use orch_ports::Secret;

section! {
    /// A Gitea server as forge.
    Gitea {
        /// Its address.
        url: Option<String> = None;
        /// Owner of the repositories.
        owner: Option<String> = None;
        /// Access token.
        token: Option<Secret> = None;
    }
}

section! {
    /// A Plane server as tracker.
    Plane {
        /// Address of its API.
        api_url: Option<String> = None;
        /// Access token.
        api_token: Option<Secret> = None;
        /// Slug of the workspace.
        workspace: Option<String> = None;
    }
}

section! {
    /// Messages by Telegram.
    Telegram {
        /// Token of the bot.
        bot_token: Option<Secret> = None;
        /// Chat it writes to.
        chat_id: Option<String> = None;
    }
}
