//! The repository `orch demo` works on and the ticket it starts with. Plain files of a small service that is really built,
//! tested and deployed; nothing in here or in orch knows that it is a demonstration.

/// Path in the repository, content, executable.
pub const FILES: &[(&str, &str, bool)] = &[
    ("README.md", include_str!("../demo/README.md"), false),
    ("site/index.html.in", include_str!("../demo/site/index.html.in"), false),
    ("build.sh", include_str!("../demo/build.sh"), true),
    ("test.sh", include_str!("../demo/test.sh"), true),
    ("deploy.sh", include_str!("../demo/deploy.sh"), true),
    ("check.sh", include_str!("../demo/check.sh"), true),
    ("rollback.sh", include_str!("../demo/rollback.sh"), true),
    (".orch/agents/developer.sh", include_str!("../demo/agents/developer.sh"), true),
];

/// Title of the ticket.
pub const TICKET_TITLE: &str = "Show a maintenance notice on the status page";

/// Text of the ticket.
pub const TICKET_BODY: &str = "\
People should see planned maintenance before it surprises them.

- The page shows the text of `site/notice.txt` in a paragraph with the class `notice`, below the heading.
- Characters such as `<` and `&` in that text are shown as text and never become markup.
- When `site/notice.txt` is empty, the page has no such paragraph.

Start with this notice: Maintenance on Saturday, 22:00 UTC: logins & uploads may be slow.
";
